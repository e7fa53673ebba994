"""Which checkpoints there are, which are whole, and which stay."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cgpo.distributed.process_group import ALONE
from cgpo.training.checkpoints.catalogue import MANIFEST, VERSION, checkpoints, newest_whole, prune
from cgpo.training.checkpoints.writing import write_checkpoint


def write(root: Path, *steps: int, **scores: float) -> None:
    """Checkpoints after some updates; `s4=0.5` is the score of the fourth."""
    for step in steps:
        tensors = {"weight.w": torch.arange(6.0) + step}
        assert write_checkpoint(root, step, tensors, {"step": step}, ALONE, scores.get(f"s{step}"), {"a": step}) is None


def steps(root: Path) -> list[int]:
    return [found.step for found in checkpoints(root)]


def manifest_only(root: Path, step: int, score: float | None) -> None:
    folder = root / f"step-{step:08d}"
    folder.mkdir(parents=True)
    known = {"version": VERSION, "step": step, "processes": 1, "threads": 1, "score": score, "logs": {}, "files": {}}
    (folder / MANIFEST).write_text(json.dumps(known))


def test_what_was_written_is_found(tmp_path: Path) -> None:
    write(tmp_path, 4, 20, s4=0.25)
    newest, oldest = checkpoints(tmp_path)
    assert (newest.step, oldest.step) == (20, 4)
    assert (oldest.score, newest.score) == (0.25, None)
    assert (newest.processes, newest.threads, newest.logs) == (1, torch.get_num_threads(), {"a": 20})
    assert set(newest.files) == {"weights/.metadata", "weights/__0_0.distcp", "process-0.pt"}
    assert newest.damage() is None
    assert newest_whole(tmp_path) == (newest, [])


def test_no_checkpoints(tmp_path: Path) -> None:
    assert newest_whole(tmp_path) == newest_whole(tmp_path / "nowhere") == (None, [])


def flip(folder: Path) -> None:
    file = folder / "weights" / "__0_0.distcp"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def truncate(folder: Path) -> None:
    file = folder / "process-0.pt"
    file.write_bytes(file.read_bytes()[:100])


def mislay(folder: Path) -> None:
    (folder / "weights" / ".metadata").unlink()


def mislay_manifest(folder: Path) -> None:
    (folder / MANIFEST).unlink()


def manifest_of(content: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        (folder / MANIFEST).write_text(content)

    return damage


def manifest_of_another(folder: Path) -> None:
    shutil.copy(folder.with_name("step-00000002") / MANIFEST, folder / MANIFEST)


def empty(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (flip, "weights/__0_0.distcp has changed"),
        (truncate, r"process-0.pt has 100 bytes instead of \d+"),
        (mislay, "weights/.metadata is missing"),
        (mislay_manifest, "manifest.json is missing"),
        (empty, "manifest.json is missing"),
        (manifest_of("{"), "manifest.json has 1 bytes instead of -1"),
        (manifest_of("[]"), "manifest.json has 2 bytes instead of -1"),
        (manifest_of('{"version": 1, "step": 4}'), r"manifest.json has \d+ bytes instead of -1"),
        (manifest_of_another, r"manifest.json has \d+ bytes instead of -1"),
    ],
)
def test_a_damaged_one_is_passed_over_and_named(damage: Callable[[Path], None], said: str, tmp_path: Path) -> None:
    write(tmp_path, 2, 4)
    damage(tmp_path / "step-00000004")
    found, problems = newest_whole(tmp_path)
    assert found is not None
    assert found.step == 2
    (problem,) = problems
    where, _, why = problem.partition(" is damaged ")
    assert where == f"checkpoint {tmp_path}/step-00000004"
    assert re.fullmatch(said, why[1:-1]), why


def test_one_of_an_earlier_format_is_passed_over_in_one_line(tmp_path: Path) -> None:
    write(tmp_path, 2)
    file = tmp_path / "step-00000002" / MANIFEST
    file.write_text(json.dumps({**json.loads(file.read_text()), "version": 1}))
    assert newest_whole(tmp_path) == (None, [f"checkpoint {file.parent} is of format 1, and cgpo reads {VERSION} now"])


def test_files_that_are_no_list_of_files(tmp_path: Path) -> None:
    write(tmp_path, 2)
    file = tmp_path / "step-00000002" / MANIFEST
    file.write_text(json.dumps({**json.loads(file.read_text()), "files": []}))
    assert newest_whole(tmp_path)[0] is None


def test_copies_and_what_is_unfinished_are_no_checkpoints(tmp_path: Path) -> None:
    write(tmp_path, 2)
    for name in ("step-00000002-copy1", "step-00000004.unfinished", "best-1"):
        shutil.copytree(tmp_path / "step-00000002", tmp_path / name)
    assert steps(tmp_path) == [2]


def test_the_newest_and_the_best_stay(tmp_path: Path) -> None:
    for step, score in ((1, None), (2, 0.5), (3, 0.9), (4, 0.9), (5, 0.1), (6, None), (7, None)):
        manifest_only(tmp_path, step, score)
    (tmp_path / "step-00000008.unfinished").mkdir()
    (tmp_path / "notes").mkdir()
    prune(tmp_path, keep_last=2, keep_best=2, newest=7)
    assert steps(tmp_path) == [7, 6, 4, 3]
    prune(tmp_path, keep_last=2, keep_best=1, newest=7)
    assert steps(tmp_path) == [7, 6, 4], "of two that are as good, the later one"
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith("step-0000000")) == ["notes"]
    assert not list(tmp_path.glob("*.unfinished"))


def test_damaged_ones_beyond_the_newest_do_not_push_it_out(tmp_path: Path) -> None:
    write(tmp_path, 2, 4, 6)
    flip(tmp_path / "step-00000006")
    write(tmp_path, 5)
    prune(tmp_path, keep_last=1, keep_best=0, newest=5)
    assert steps(tmp_path) == [5]


@given(
    scores=st.lists(st.none() | st.sampled_from([0.0, 0.5, 1.0]), min_size=1, max_size=8),
    keep_last=st.integers(1, 4),
    keep_best=st.integers(0, 4),
)
def test_the_newest_is_never_deleted(
    scores: list[float | None], keep_last: int, keep_best: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("checkpoints")
    for step, score in enumerate(scores, start=1):
        manifest_only(root, step, score)
        prune(root, keep_last, keep_best, newest=step)
        left = checkpoints(root)
        assert left[0].step == step
        assert [c.step for c in left[:keep_last]] == list(range(step, max(0, step - keep_last), -1))
        assert len(left) <= keep_last + keep_best
        best = sorted((s for s in scores[:step] if s is not None), reverse=True)[:keep_best]
        assert sorted((c.score for c in left if c.score is not None), reverse=True)[: len(best)] == best
    shutil.rmtree(root)
