"""Folders that are there whole, or not at all."""

from pathlib import Path

import pytest

from cgpo.errors import UserError
from cgpo.files import new_folder


def test_a_folder_gets_its_name_when_it_is_whole(tmp_path: Path) -> None:
    for name in ("new", "deep/er/new"):
        with new_folder(tmp_path / name) as unfinished:
            (unfinished / "a.txt").write_text("a")
            assert not (tmp_path / name).exists()
        assert (tmp_path / name / "a.txt").read_text() == "a"
        assert not unfinished.exists()


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with new_folder(tmp_path / "empty") as unfinished:
        (unfinished / "a.txt").write_text("a")
    assert (tmp_path / "empty/a.txt").read_text() == "a"


def test_what_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/a.txt").write_text("kept")
    for name in ("file", "full"):
        with pytest.raises(UserError, match=f"{name}: there is something already"), new_folder(tmp_path / name):
            pass
    assert (tmp_path / "file").read_text() == (tmp_path / "full/a.txt").read_text() == "kept"


def test_remains_of_a_crash_do_not_end_up_in_the_folder(tmp_path: Path) -> None:
    (tmp_path / "new.unfinished").mkdir()
    (tmp_path / "new.unfinished/old.txt").write_text("old")
    with new_folder(tmp_path / "new") as unfinished:
        (unfinished / "a.txt").write_text("a")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.txt"]


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(NotADirectoryError), new_folder(tmp_path / "new") as unfinished:
        ((unfinished / "a.txt").write_text("a"), (unfinished / "a.txt" / "b.txt").write_text("b"))
    assert list(tmp_path.iterdir()) == []
