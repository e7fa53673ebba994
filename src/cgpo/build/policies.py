"""The policies that an evaluation puts side by side: their names and folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cgpo.build.plan import Config
from cgpo.errors import UserError
from cgpo.models.chat import ModelPromptEncoder
from cgpo.stages.artifacts import PREFIX

POLICY = "policy"
"""The folder of a run in which its policy lies."""


def named_policies(plan: Config, reserved: str) -> dict[str, str]:
    """Name → path of what is evaluated: `policies`, or `model.path` alone.

    A run's folder stands for the policy in it. Names that are not given are taken from the paths.

    Args:
        plan: the configuration.
        reserved: a name that no policy may have.

    Raises:
        UserError: the policies are neither a mapping nor a list of paths, or one of them is named twice.
    """
    given: Any = plan["policies"]
    if given is None:
        given = [plan["model"]["path"]]
    if not isinstance(given, Mapping | list) or not given:
        raise UserError(
            f"policies is {given!r}: write a list of paths, policies=[runs/a/policy,runs/b/policy], or name them, "
            "policies={a: runs/a/policy, b: runs/b/policy}"
        )
    paths = list(given.values()) if isinstance(given, Mapping) else list(given)
    for path in paths:
        if not isinstance(path, str) or not path:
            raise UserError(f"policies: {path!r} is no path of a policy")
    if not isinstance(given, Mapping):
        given = dict(zip(derived_names(paths), paths, strict=True))
    if reserved in given:
        raise UserError(f"policies.{reserved}: this name is taken by what win rates are against; choose another")
    return {str(name): policy_path(path) for name, path in given.items()}


def derived_names(paths: Sequence[str]) -> list[str]:
    """A short name for each path: its last parts, as many as it takes to tell them all apart.

    Raises:
        UserError: a path occurs twice.
    """
    parts = [_parts(path) for path in paths]
    for place, path in enumerate(paths):
        if parts[place] in parts[:place]:
            raise UserError(f"policies: {path} is there twice; name each policy once, or give names, {{a: …, b: …}}")
    lengths = range(1, max(map(len, parts)) + 1)
    shortened = (["/".join(of_path[-length:]) for of_path in parts] for length in lengths)
    return next(names for names in shortened if len(set(names)) == len(names))


def _parts(path: str) -> tuple[str, ...]:
    parts = Path(path.removeprefix(PREFIX)).parts or (path,)
    return parts[:-1] if parts[-1] == POLICY and len(parts) > 1 else parts


def policy_path(path: str) -> str:
    """The path itself, or the policy's in it where it is the folder of a run."""
    inside = Path(path) / POLICY
    return str(inside) if inside.is_dir() and not (Path(path) / "config.json").is_file() else path


def check_same_tokens(readers: Mapping[str, ModelPromptEncoder], reference: str) -> None:
    """Asserts that all models read the same tokens, without which there is no KL divergence between them.

    Args:
        readers: key of the configuration → the model it names.
        reference: the key that the others are compared with.

    Raises:
        UserError: naming the key of one that differs.
    """
    vocabulary = readers[reference].tokenizer.get_vocab()
    for key, reader in readers.items():
        if reader.tokenizer.get_vocab() != vocabulary:
            raise UserError(
                f"{key}: {reader.tokenizer.name_or_path} reads other tokens than {reference}, "
                f"{readers[reference].tokenizer.name_or_path}; name the model that the policies were trained from, "
                "reference=FOLDER, and evaluate apart what was trained from another"
            )
