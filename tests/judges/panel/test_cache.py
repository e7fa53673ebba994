"""Verdicts that are known already: what is kept, for how long, and who may share it."""

import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from cgpo.errors import UserError
from cgpo.judges.base import Judge
from cgpo.judges.panel.cache import VerdictCache
from cgpo.judges.panel.panel import Panel
from cgpo.types import Outcome, Prompt, Sample, Verdict

S, V, N, U = Outcome.SATISFIED, Outcome.VIOLATED, Outcome.NOT_APPLICABLE, Outcome.UNDECIDED


def verdict(text: str, outcome: Outcome = S) -> Verdict:
    return Verdict(outcome, text)


def test_what_was_stored_is_found_but_the_undecided() -> None:
    cache = VerdictCache()
    cache.store({b"a": verdict("x"), b"b": verdict("é\ud800", V), b"c": verdict("", N), b"d": verdict("late", U)})
    found = cache.lookup([b"d", b"c", b"b", b"a", b"a", b"e"])
    assert found == {b"a": verdict("x"), b"b": verdict("é\ud800", V), b"c": verdict("", N)}


def test_the_least_recently_used_leave_first() -> None:
    cache = VerdictCache(size=3)
    for key in (b"a", b"b", b"c"):
        cache.store({key: verdict("")})
    cache.lookup([b"a"])
    cache.store({b"d": verdict("")})
    assert set(cache.lookup([b"a", b"b", b"c", b"d"])) == {b"a", b"c", b"d"}
    cache.store({bytes([i]): verdict("") for i in range(10)})
    assert len(cache) == 3


def test_a_file_outlives_its_process(tmp_path: Path) -> None:
    path = str(tmp_path / "deep" / "verdicts.db")
    cache = VerdictCache(path=path)
    cache.store({b"a": verdict("kept")})
    cache.close()
    assert VerdictCache(path=path).lookup([b"a"]) == {b"a": verdict("kept")}


def test_a_file_that_is_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    text, other = tmp_path / "notes.txt", tmp_path / "other.db"
    text.write_text("no database, but long enough to look like one\n" * 100)
    with sqlite3.connect(other) as database:
        database.execute("CREATE TABLE mine (x)")
    for path in (text, other, tmp_path):
        before = path.read_bytes() if path.is_file() else b""
        with pytest.raises(UserError, match=f"panel.cache.path: {path} cannot be used as a cache of verdicts"):
            VerdictCache(path=str(path))
        assert not path.is_file() or path.read_bytes() == before


@pytest.mark.parametrize("size", [0, -1, 1.5, True])
def test_a_size_below_one_is_refused(size: int) -> None:
    with pytest.raises(UserError, match=r"^VerdictCache\.size is .*: it must be a whole number of at least 1$"):
        VerdictCache(size=size)


def test_a_file_that_is_locked_is_done_without(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "verdicts.db"
    cache = VerdictCache(path=str(path), timeout=0.05)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    cache.store({b"a": verdict("lost")})
    assert cache.lookup([b"a"]) == {}
    assert len(caplog.records) == 1
    other.execute("COMMIT")
    cache.store({b"a": verdict("kept")})
    assert cache.lookup([b"a"]) == {b"a": verdict("kept")}


WRITER = """
import sys
from cgpo.judges.panel.cache import VerdictCache
from cgpo.types import Outcome, Verdict

path, name, count = sys.argv[1:]
cache = VerdictCache(path=path)
for i in range(int(count)):
    own = {f"{name} {i}".encode(): Verdict(Outcome.SATISFIED, name)}
    cache.store(own | {f"all {i}".encode(): Verdict(Outcome.SATISFIED, "all")})
"""


def writer(path: Path, name: str, count: int) -> subprocess.Popen[bytes]:
    """A process of its own that stores its verdicts, and some that every process stores."""
    return subprocess.Popen([sys.executable, "-c", WRITER, str(path), name, str(count)])


def test_processes_share_a_file_and_a_killed_one_breaks_nothing(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.db"
    endless, *others = writer(path, "endless", 10**9), writer(path, "a", 100), writer(path, "b", 100)
    try:
        assert [process.wait(60) for process in others] == [0, 0]
        cache = VerdictCache(path=str(path))
        deadline = time.monotonic() + 60
        while not cache.lookup([b"endless 0"]) and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        endless.kill()
        endless.wait(60)
    for name in "ab":
        keys = [f"{name} {i}".encode() for i in range(100)]
        assert cache.lookup(keys) == {key: verdict(name) for key in keys}
    assert cache.lookup([b"endless 0"]) == {b"endless 0": verdict("endless")}
    cache.store({b"after": verdict("fine")})
    assert cache.lookup([b"after"])
    cache.close()
    assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone() == ("ok",)


class Counts(Judge):
    """Violated by responses that are `no`; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def judge(self, samples: Sequence[Sample]) -> list[Verdict]:
        self.asked += [sample.response for sample in samples]
        says = {"no": V, "?": U}
        return [verdict(f"call {len(self.asked)}", says.get(sample.response, S)) for sample in samples]


class Dice(Counts):
    deterministic = False


class Second(Counts):
    version = "2"


def samples(*responses: str, key: str = "row", **metadata: object) -> list[Sample]:
    return [Sample(Prompt(key, "question", metadata=metadata), response) for response in responses]


def test_over_calls_and_tasks_a_judge_is_asked_once_and_again_where_it_was_undecided() -> None:
    judge = Counts()
    panel = Panel({"judge": judge}, cache=VerdictCache())
    assert panel.of(["judge"]).judge(samples("yes", "no", "?", "no")).cached == {"judge": 0}
    again = panel.of(["judge"]).judge(samples("no", "?", "new", "no", key="another row"))
    assert judge.asked == ["yes", "no", "?", "?", "new"]
    assert again.cached == {"judge": 2}
    assert [v.outcome for v in again.by_judge["judge"]] == [V, U, S, V]
    assert again.by_judge["judge"][0].reason == "call 3", "the reason is kept too"


def test_other_metadata_are_another_question() -> None:
    judge = Counts()
    panel = Panel({"judge": judge}, cache=VerdictCache())
    for answer in (1, "1", 1.0, None, 1):
        panel.judge(samples("yes", answer=answer))
    assert len(judge.asked) == 4


def test_metadata_that_are_no_json_are_never_kept() -> None:
    judge = Counts()
    panel = Panel({"judge": judge}, cache=VerdictCache())
    for _ in range(2):
        assert panel.judge(samples("yes", answer=object())).cached == {"judge": 0}
    assert len(judge.asked) == 2


@pytest.mark.parametrize("kind", [Counts, Dice, Second])
def test_who_may_use_whose_verdicts(kind: type[Counts]) -> None:
    cache, first, second = VerdictCache(), Counts(), kind()
    Panel({"a": first}, cache=cache, versions={"a": "settings"}).judge(samples("yes"))
    Panel({"b": second}, cache=cache, versions={"b": "settings"}).judge(samples("yes"))
    assert second.asked == ([] if kind is Counts else ["yes"])


def test_judges_of_which_nothing_is_known_never_share() -> None:
    cache, judges = VerdictCache(), [Counts(), Counts()]
    for judge in judges:
        Panel({"same": judge}, cache=cache).judge(samples("yes"))
    assert [judge.asked for judge in judges] == [["yes"], ["yes"]]


def test_no_samples_have_no_hits() -> None:
    assert Panel({"judge": Counts(), "dice": Dice()}, cache=VerdictCache()).judge([]).cached == {"judge": 0}


def test_without_a_cache_nothing_is_said_of_hits() -> None:
    assert Panel({"judge": Counts()}).judge(samples("yes")).cached == {}
    assert Panel({"judge": Dice()}, cache=VerdictCache()).judge(samples("yes")).cached == {}


def through_a_checkpoint(state: dict[str, Any], folder: Path) -> dict[str, Any]:
    torch.save(state, folder / "state.pt")
    return torch.load(folder / "state.pt", weights_only=True)


def test_a_cache_in_memory_goes_on_where_it_was_with_the_order_of_use(tmp_path: Path) -> None:
    cache = VerdictCache(size=4)
    known = {b"a": verdict("x"), b"b": verdict("é\ud800", V), b"c": verdict("", N), b"d": verdict("y")}
    for key, found in known.items():
        cache.store({key: found})
    cache.lookup([b"a"])
    resumed = VerdictCache(size=4)
    resumed.load_state_dict([through_a_checkpoint(cache.state_dict(), tmp_path)])
    for one in (cache, resumed):
        one.store({b"e": verdict("new"), b"f": verdict("new")})
        assert one.lookup([b"a", b"b", b"c", b"d", b"e", b"f"]) == {
            b"a": verdict("x"),
            b"d": verdict("y"),
            b"e": verdict("new"),
            b"f": verdict("new"),
        }


def test_the_caches_of_several_processes_become_one_that_keeps_what_was_used_last() -> None:
    caches = [VerdictCache(), VerdictCache()]
    for i, key in enumerate([b"a", b"b", b"c", b"d", b"a"]):
        caches[i % 2].store({key: verdict(key.decode())})  # the first has a, c; the second has b, d
    merged = VerdictCache(size=3)
    caches[1].lookup([b"b"])
    merged.load_state_dict([cache.state_dict() for cache in caches])
    assert set(merged.lookup([b"a", b"b", b"c", b"d"])) == {b"a", b"b", b"d"}
    caches[1].store({b"a": verdict("a")})
    both = VerdictCache()
    both.load_state_dict([cache.state_dict() for cache in caches])
    assert len(both) == 4


def test_a_cache_in_a_file_is_its_own_state(tmp_path: Path) -> None:
    cache = VerdictCache(path=str(tmp_path / "verdicts.db"))
    cache.store({b"a": verdict("kept")})
    assert cache.state_dict() == {}
    cache.load_state_dict([{}])
    assert cache.lookup([b"a"]) == {b"a": verdict("kept")}


def test_a_damaged_state_is_one_line() -> None:
    state = {"database": torch.arange(200, dtype=torch.uint8)}
    with pytest.raises(UserError, match="the checkpoint's verdicts cannot be read"):
        VerdictCache().load_state_dict([state])


class Paid(Counts):
    """Costs a call and ten tokens a sample."""

    @property
    def usage(self) -> dict[str, int]:
        return {"calls": len(self.asked), "tokens": 10 * len(self.asked)}


def test_a_resumed_panel_knows_its_verdicts_and_what_its_judges_have_spent(tmp_path: Path) -> None:
    def panel(judge: Paid) -> Panel:
        versions = {"paid": "settings", "free": "others"}
        return Panel({"paid": judge, "free": Counts()}, cache=VerdictCache(), max_calls={"paid": 5}, versions=versions)

    judge, again = Paid(), Paid()
    first, second = panel(judge), panel(again)
    first.of(["paid"]).judge(samples("a", "b", "c"))
    state = through_a_checkpoint(first.of(["free"]).state_dict(), tmp_path)
    assert state["spent"] == {"paid": {"calls": 3, "tokens": 30}}, "of all judges, whichever panel is asked"
    second.of(["free"]).load_state_dict([state])
    given = second.judge(samples("a", "b", "c", "d", "e", "f"))
    assert given.cached == {"paid": 3, "free": 0}
    assert again.asked == ["d", "e"], "two of the five calls were left"
    assert given.by_judge["paid"][5].reason == "not judged: 5 calls are spent, of at most 5 (panel.max_calls)"
    assert second.state_dict()["spent"] == {"paid": {"calls": 5, "tokens": 50}}

    both = panel(Paid())
    both.load_state_dict([state, second.state_dict(), {"cache": {}, "spent": {"gone": {"calls": 1}}}])
    assert both.state_dict()["spent"] == {"paid": {"calls": 8, "tokens": 80}}
