"""The store of built artifacts: keyed by what made them, built once, whole or not at all."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cgpo.errors import UserError
from cgpo.stages.artifacts import ArtifactStore

RECIPES = {
    "sft": {"steps": 3},
    "pairs": {"policy": "artifact:sft", "size": 5},
    "reward": {"policy": "artifact:sft", "pairs": ["artifact:pairs"]},
    "judge": {"policy": "artifact:sft", "template": "safety"},
    "alone": {"seed": 1},
}


@dataclass
class Bench:
    """A store whose stages write their recipe; remembers what was built and what was said."""

    folder: Path
    recipes: Mapping[str, Any] = field(default_factory=lambda: RECIPES)
    built: list[Any] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def store(self) -> ArtifactStore:
        bench = self

        class Write:
            def __init__(self, recipe: Any) -> None:
                self.recipe = recipe

            def build(self, folder: Path) -> None:
                assert list(folder.iterdir()) == []
                (folder / "half.txt").write_text("half")
                if self.recipe.get("fails"):
                    raise RuntimeError("no more memory")
                (folder / "made.json").write_text(json.dumps(self.recipe))
                bench.built.append(self.recipe)

        return ArtifactStore(self.folder, self.recipes, Write, self.said.append)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_dependencies_are_built_first_and_each_once(bench: Bench) -> None:
    store = bench.store()
    folder = store.path("reward")
    sft, pairs = (str(store.path(name)) for name in ("sft", "pairs"))
    assert bench.built == [
        {"steps": 3},
        {"policy": sft, "size": 5},
        {"policy": sft, "pairs": [pairs]},
    ]
    assert json.loads((folder / "made.json").read_text()) == bench.built[-1]
    assert json.loads((folder / "recipe.json").read_text()) == bench.built[-1]
    assert bench.said == [f"{name}: not there yet, made now" for name in ("sft", "pairs", "reward")]
    assert set(store.seconds) == {"sft", "pairs", "reward"}


def test_a_second_run_reuses_and_says_so_once(bench: Bench) -> None:
    folder = bench.store().path("reward")
    bench.built.clear()
    bench.said.clear()
    store = bench.store()
    assert store.path("reward") == store.path("reward") == folder
    assert bench.built == []
    assert bench.said == [f"reused from {store.folder}: reward"]
    assert store.seconds == {"reward": 0.0}


@pytest.mark.parametrize(
    ("changed", "touched"),
    [
        ({"sft": {"steps": 4}}, {"sft", "pairs", "reward", "judge"}),
        ({"pairs": {"policy": "artifact:sft", "size": 6}}, {"pairs", "reward"}),
        ({"judge": {"policy": "artifact:sft", "template": "factuality"}}, {"judge"}),
        ({"alone": {"seed": 2}}, {"alone"}),
        ({"more": {"policy": "artifact:sft"}}, set()),
        ({"sft": {"steps": 3}}, set()),
        ({"alone": {"seed": "1"}}, {"alone"}),
    ],
)
def test_a_key_changes_with_what_it_depends_on_and_nothing_else(
    bench: Bench, changed: dict[str, Any], touched: set[str]
) -> None:
    before = bench.store()
    after = Bench(bench.folder, {**RECIPES, **changed}).store()
    assert {name for name in RECIPES if before.key(name) != after.key(name)} == touched


def test_a_key_does_not_depend_on_the_order_of_settings_or_on_the_folder(tmp_path: Path) -> None:
    one = Bench(tmp_path / "a", {"x": {"a": 1, "b": 2}}).store()
    other = Bench(tmp_path / "b", {"x": {"b": 2, "a": 1}}).store()
    assert one.key("x") == other.key("x")


def test_a_key_changes_with_the_files_that_the_recipe_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for home in ("a", "b"):
        (tmp_path / home / "model").mkdir(parents=True)
        (tmp_path / home / "model" / "weights").write_text("as long")
    keys: list[str] = []

    def note_key(home: str) -> None:
        monkeypatch.chdir(tmp_path / home)
        keys.append(Bench(tmp_path, {"x": {"policy": "model"}, "y": {"of": "artifact:x"}}).store().key("y"))

    note_key("a")
    note_key("a")
    note_key("b")
    (tmp_path / "a" / "model" / "weights").write_text("longer than before")
    note_key("a")
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3


def test_equal_recipes_of_two_names_are_two_artifacts(bench: Bench) -> None:
    store = Bench(bench.folder, {"a": {"s": 1}, "b": {"s": 1}}).store()
    assert store.path("a") != store.path("b")


def test_a_stage_that_fails_leaves_nothing_and_can_be_tried_again(bench: Bench) -> None:
    with pytest.raises(RuntimeError, match="no more memory"):
        Bench(bench.folder, {"x": {"fails": True}}).store().path("x")
    assert [p for p in bench.folder.rglob("*") if p.is_dir()] == [bench.folder / "x"]
    assert not list(bench.folder.rglob("*.txt"))
    again = Bench(bench.folder, {"x": {"fails": False}})
    assert (again.store().path("x") / "made.json").is_file()


def test_what_a_killed_run_left_is_cleared_away(bench: Bench) -> None:
    store = bench.store()
    left = bench.folder / "alone" / f"{store.key('alone')}.unfinished"
    left.mkdir(parents=True)
    (left / "model.bin").touch()
    assert sorted(p.name for p in store.path("alone").iterdir()) == ["half.txt", "made.json", "recipe.json"]
    assert not left.exists()


def test_references_are_replaced_wherever_they_stand(bench: Bench) -> None:
    config = {"a": ["artifact:alone", {"b": "artifact:alone"}], "c": 1, "d": None, "e": "no artifact:alone"}
    store = bench.store()
    folder = str(store.path("alone"))
    assert store.resolve(config) == {"a": [folder, {"b": folder}], "c": 1, "d": None, "e": "no artifact:alone"}


def test_an_unknown_reference_names_those_there_are(bench: Bench) -> None:
    with pytest.raises(UserError, match=r"artifact:sfd: .*alone, judge, pairs, reward, sft"):
        bench.store().resolve({"x": "artifact:sfd"})


PATIENT = """
import sys
from pathlib import Path
from cgpo.stages.artifacts import ArtifactStore

class Patient:
    def __init__(self, recipe): pass
    def build(self, folder):
        print("building", flush=True)
        input()
        (folder / "done").touch()

store = ArtifactStore(Path(sys.argv[1]), {"x": {"a": 1}}, Patient, lambda line: print(line, flush=True))
assert (store.path("x") / "done").is_file()
"""


def started(folder: Path) -> subprocess.Popen[str]:
    """A process that makes an artifact as soon as it is written to, unless another one makes it."""
    command = [sys.executable, "-c", PATIENT, str(folder)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


def test_a_second_process_waits_for_the_first(tmp_path: Path) -> None:
    with started(tmp_path) as first:
        assert [said(first), said(first)] == ["x: not there yet, made now", "building"]
        with started(tmp_path) as second:
            assert said(second) == "x: another run is making it, waiting"
            first.communicate("go on\n", timeout=60)
            assert said(second).startswith("reused from ")
    assert (first.returncode, second.returncode) == (0, 0)
