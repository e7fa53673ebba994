"""Keys that had another name, or are no longer read: whoever types an old one is told the new one."""

from __future__ import annotations

from collections.abc import Mapping

RENAMED: Mapping[str, str] = {"weights": "optim", "baseline": "baseline_responses"}
"""Old key at the top → new key."""
EXPLAINED: Mapping[str, str] = {
    "weights": "the learning rate of an optimizer comes with optimizer=…, and optim.learning_rate=… changes it",
    "baseline": "its values are golden and sampled (formerly reference)",
}
"""Old key at the top → what has changed besides its name."""
GONE: Mapping[str, str] = {
    "reference": (
        "reference: training measures the KL divergence from the policy that it starts from, model.path; "
        "evaluations alone are given another reference"
    ),
    "update._target_": "update._target_: the update is no class of one's own any more; its settings stand under update",
}
"""Key → what is said of one that is no longer read."""


def renamed(key: str) -> str | None:
    """What is said of an old key, in one line; `None` of a key that never had another name."""
    top, _, rest = key.partition(".")
    if key in GONE:
        return GONE[key]
    if top not in RENAMED:
        return None
    now = f"{RENAMED[top]}.{rest}" if rest else RENAMED[top]
    return f"{key}: this key is now {now}{f'; {EXPLAINED[top]}' if top in EXPLAINED else ''}"
