"""What the stages made: built once, kept under the configuration that made it, reused by every run."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from cgpo.config import ARTIFACT, Component, Value, mapped, plain
from cgpo.errors import UserError
from cgpo.files import file_fingerprints
from cgpo.progress import bar

VERSION = 1
"""Raised when the same configuration would give something else than before."""


class Stage(Protocol):
    """Something that can be built into a folder."""

    def build(self, folder: Path) -> None:
        """Writes the result into an empty folder."""
        ...


class ArtifactStore:
    """A folder of built artifacts.

    A configuration names an artifact by a string such as `artifact:sft`. Its recipe may name others. An artifact's key
    is a hash of its recipe, of the keys of those it depends on and of the state of the files that it names: a changed
    setting or model builds anew what it touches, and nothing else.

    Args:
        folder: where artifacts lie.
        recipes: name → its stage.
        make: makes a stage that names no artifacts any more.
        announce: told in lines what is built and what is reused.
    """

    def __init__(
        self,
        folder: Path,
        recipes: Mapping[str, Component],
        make: Callable[[Value], Stage],
        announce: Callable[[str], None],
    ) -> None:
        self.folder = folder
        self.seconds: dict[str, float] = {}
        self._recipes = recipes
        self._make = make
        self._announce = announce
        self._reused: list[str] = []
        self._asked = 0

    def resolve(self, value: Value) -> Value:
        """A value with every reference replaced by the folder of its artifact, built if it is missing.

        Raises:
            UserError: a reference names no recipe.
        """
        return _replaced(value, lambda name: str(self.path(name)))

    def path(self, name: str) -> Path:
        """An artifact's folder, built if it is missing."""
        folder = self.folder / name / self.key(name)
        with self.reuse_told_at_once():
            if not folder.is_dir():
                recipe = self.resolve(self._recipe(name))
                with self._locked(name, folder):
                    if not folder.is_dir():
                        self._build(name, recipe, folder)
            if name not in self.seconds:
                self._reused.append(name)
            self.seconds.setdefault(name, 0.0)
        return folder

    @contextmanager
    def reuse_told_at_once(self) -> Iterator[None]:
        """What is reused meanwhile is told in one line: where something is made, or at the end."""
        self._asked += 1
        try:
            yield
        finally:
            self._asked -= 1
            if not self._asked:
                self._tell_reuse()

    def _tell_reuse(self) -> None:
        if self._reused:
            self._announce(f"reused from {self.folder}: {', '.join(self._reused)}")
        self._reused.clear()

    def key(self, name: str) -> str:
        """Hash of the recipe, of the files that it names, and of all it depends on."""
        recipe = _replaced(self._recipe(name), lambda other: f"{other}@{self.key(other)}")
        files = file_fingerprints(plain(self._recipe(name)))
        text = json.dumps([VERSION, name, plain(recipe), *([files] if files else [])], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _recipe(self, name: str) -> Component:
        if name not in self._recipes:
            known = ", ".join(sorted(self._recipes)) or "none"
            raise UserError(f"{ARTIFACT}{name}: there is no recipe of that name under `pipeline` (there are: {known})")
        return self._recipes[name]

    def _build(self, name: str, recipe: Value, folder: Path) -> None:
        self._tell_reuse()
        self._announce(f"{name}: not there yet, made now")
        unfinished = folder.with_name(f"{folder.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        try:
            start = time.perf_counter()
            with bar(name, None):
                self._make(recipe).build(unfinished)
            self.seconds[name] = time.perf_counter() - start
            (unfinished / "recipe.json").write_text(json.dumps(plain(recipe), indent=2, sort_keys=True))
            unfinished.rename(folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)

    @contextmanager
    def _locked(self, name: str, folder: Path) -> Iterator[None]:
        """Keeps two runs from building the same artifact: the second waits, and says so."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        with folder.with_name(f"{folder.name}.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._announce(f"{name}: another run is making it, waiting")
                fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _replaced(value: Value, replace: Callable[[str], str]) -> Value:
    """A value in which every `artifact:NAME` is something else."""

    def change(_: str, leaf: Value) -> Value:
        if isinstance(leaf, str) and leaf.startswith(ARTIFACT):
            return replace(leaf.removeprefix(ARTIFACT))
        return leaf

    return mapped(value, change)
