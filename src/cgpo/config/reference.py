"""The reference page: every key of every command, and every class that a group offers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from cgpo.config.components import Component
from cgpo.config.composing import ROOTS, choices, config_folder
from cgpo.config.describing import Group, KeyDescription, describe, groups, of_component
from cgpo.config.docstrings import summary_of
from cgpo.config.reading import SCHEMAS

TARGET = re.compile(r"_target_:\s*([\w.]+)")


def reference_page() -> str:
    """Markdown: the groups and keys of each command, then the classes that groups offer, with their arguments."""
    return "\n".join([*_commands(), *_classes()]) + "\n"


def _commands() -> Iterator[str]:
    yield "# Configuration\n"
    yield (
        "Every command takes `group=choice` and `key=value`. Where a key shows no default, a value has to be given. "
        "Arguments of classes stand under [Classes](#classes); a class of one's own is named by `_target_`.\n"
    )
    shown: dict[str, KeyDescription] = {}
    known: list[Group] = []
    for command, root in ROOTS.items():
        if command != root.replace("_", "-"):
            continue
        yield f"## cgpo {command}\n"
        yield f"{summary_of(SCHEMAS[command].__doc__ or '')}\n"
        offered = [group for group in groups(command) if group not in known]
        known += offered
        for group in offered:
            default = f" (default: {', '.join(f'`{choice}`' for choice in group.chosen)})" if group.chosen else ""
            yield f"- `{group.name}=` {', '.join(f'`{choice}`' for choice in group.choices)}{default}. {group.sentence}"
        keys = _without_classes(describe(command))
        fresh = [key for key in keys if shown.get(key.key) != key]
        if len(fresh) < len(keys):
            yield "\nBesides the keys of `cgpo train`:" if command != "train" else ""
        yield from ["", *_table(fresh), ""]
        shown |= {key.key: key for key in fresh}


def _without_classes(keys: list[KeyDescription]) -> list[KeyDescription]:
    """The keys that are no arguments of a class: those are told with the class."""
    suffix = "._target_"
    classes = tuple(f"{key.key.removesuffix(suffix)}." for key in keys if key.key.endswith(suffix))
    return [key for key in keys if not key.key.startswith(classes)]


def _classes() -> Iterator[str]:
    yield "## Classes\n"
    for group, targets in _targets().items():
        yield f"### {group}\n"
        for target, files in targets.items():
            component = Component(target, where=target)
            yield f"#### `{target}`\n"
            named = f" Chosen by {', '.join(f'`{group}={name}`' for name in files)}." if files else ""
            yield f"{component.signature.summary}{named}\n"
            arguments = [key for key in of_component(component, "") if key.key != "._target_"]
            yield from _table([_renamed(key) for key in arguments])
            yield ""


def _renamed(key: KeyDescription) -> KeyDescription:
    return KeyDescription(key.key.lstrip("."), key.type, key.unit, key.default, key.sentence)


def _targets() -> Mapping[str, Mapping[str, list[str]]]:
    """Group → class → choices that name it; classes of the root files stand under the key that names them."""
    found: dict[str, dict[str, list[str]]] = {}
    names = sorted(folder.name for folder in config_folder().iterdir() if folder.is_dir() and folder.name != "hydra")
    for group in names:
        for choice in choices(group):
            text = (config_folder() / group / f"{choice}.yaml").read_text()
            for target in dict.fromkeys(TARGET.findall(text)):
                found.setdefault(group, {}).setdefault(target, []).append(choice)
    for root in dict.fromkeys(ROOTS.values()):
        text = (config_folder() / f"{root}.yaml").read_text()
        for target in dict.fromkeys(TARGET.findall(text.partition("\nhydra:")[0])):
            if not any(target in targets for targets in found.values()):
                found.setdefault("callbacks and others", {}).setdefault(target, [])
    return found


def _table(keys: Iterable[KeyDescription]) -> Iterator[str]:
    rows = list(keys)
    if not rows:
        return
    yield "| key | value | default | meaning |"
    yield "| --- | --- | --- | --- |"
    for key in rows:
        unit = f" ({key.unit})" if key.unit else ""
        default = "" if key.default is None else f"`{key.default}`"
        cells = (f"`{key.key}`", f"{key.type.replace('_target_', '`_target_`')}{unit}", default, key.sentence)
        yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
