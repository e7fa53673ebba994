"""From what a person types to what Hydra reads."""

import pytest

from cgpo.cli.compose import _translated
from cgpo.cli.main import find


@pytest.mark.parametrize(
    ("verb", "typed", "read"),
    [
        ("report", "runs/a runs/b output=x.html", ["output=x.html", "runs=['runs/a','runs/b']"]),
        ("report", "runs/ --output x.html --overwrite", ["output='x.html'", "overwrite=true", "runs=['runs/']"]),
        ("report", "runs/ --output=x.html --samples 3", ["output='x.html'", "samples=3", "runs=['runs/']"]),
        ("reproduce", "--quick workers=1", ["reproduction=quick", "workers=1"]),
        ("train", "seed=0,1 -m updates=3", ["-m", "seed=0,1", "updates=3"]),
        ("train", "updates=3 --config-dir mine seed=1", ["--config-dir", "mine", "updates=3", "seed=1"]),
        ("train", "updates=3 --config-dir=mine", ["--config-dir=mine", "updates=3"]),
        ("train", "updates", ["updates"]),
        ("dashboard", "runs/a --entity team --dry-run", ["entity='team'", "save=false", "runs=['runs/a']"]),
    ],
)
def test_what_is_typed_becomes_overrides(verb: str, typed: str, read: list[str]) -> None:
    assert _translated(find(verb), typed.split()) == read


def test_paths_of_any_kind_are_quoted() -> None:
    assert _translated(find("report"), ["it's a, run", "b\\c"]) == [r"runs=['it\'s a, run','b\\c']"]
