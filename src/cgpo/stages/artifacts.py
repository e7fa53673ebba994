"""The artifact store: results of stages, built once, kept under a hash of their recipe, and reused by every run."""

from __future__ import annotations

import fcntl
import hashlib
import json
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from cgpo.config import ARTIFACT, Component, Value, mapped, plain
from cgpo.errors import UserError
from cgpo.files import file_fingerprints, new_folder
from cgpo.progress import bar

VERSION = 1
"""Increased when the same configuration would give a different result than before."""


class Stage(Protocol):
    """Something that can be built into a folder."""

    def build(self, folder: Path) -> None:
        """Writes the result into an empty folder."""
        ...


class ArtifactStore:
    """A folder of built artifacts.

    A configuration names an artifact by a string such as `artifact:sft`, and its recipe may name others. An artifact's
    key is a hash of its recipe, of the keys of the artifacts that it depends on, and of the fingerprints of the files
    that it names: a changed setting or model rebuilds what depends on it, and nothing else.

    Args:
        folder: the folder of the artifacts.
        recipes: the stage that makes each artifact, by name.
        make: makes a stage from a recipe in which artifacts are replaced by their folders.
        announce: gets lines about what is built and what is reused.
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
        """Replaces every artifact that a value names by its folder, building it if it is missing.

        Raises:
            UserError: there is no recipe of that name.
        """
        return _replace_artifacts(value, lambda name: str(self.path(name)))

    def path(self, name: str) -> Path:
        """Returns an artifact's folder, building it if it is missing."""
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
    def reuse_told_at_once(self) -> Generator[None]:
        """Collects what is reused during a block into one line, announced before something is built or at the end."""
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
        """Hashes an artifact's recipe, the files that it names, and everything that it depends on."""
        recipe = _replace_artifacts(self._recipe(name), lambda other: f"{other}@{self.key(other)}")
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
        with new_folder(folder) as unfinished:
            start = time.perf_counter()
            with bar(name, None):
                self._make(recipe).build(unfinished)
            self.seconds[name] = time.perf_counter() - start
            (unfinished / "recipe.json").write_text(json.dumps(plain(recipe), indent=2, sort_keys=True))

    @contextmanager
    def _locked(self, name: str, folder: Path) -> Generator[None]:
        """Keeps two runs from building the same artifact; the second one announces that it waits."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        with folder.with_name(f"{folder.name}.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._announce(f"{name}: another run is making it, waiting")
                fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _replace_artifacts(value: Value, replace: Callable[[str], str]) -> Value:
    """Replaces every `artifact:NAME` in a value."""

    def change(_: str, leaf: Value) -> Value:
        if isinstance(leaf, str) and leaf.startswith(ARTIFACT):
            return replace(leaf.removeprefix(ARTIFACT))
        return leaf

    return mapped(value, change)
