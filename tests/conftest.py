"""What every test shares: one thread, and the optional folder of models and data beside the repository."""

from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

torch.set_num_threads(1)
# The same examples in every run, however slow the machine; `--hypothesis-profile=search` looks for others.
settings.register_profile("same", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("search", max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("same")
SLOW = ("end_to_end", "training", "notebooks", "benchmarks", "stages")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The rooms with the longest files come first, so that no process is left with one when all else is done."""
    items.sort(key=lambda item: min((SLOW.index(part) for part in item.path.parts if part in SLOW), default=len(SLOW)))


@pytest.fixture
def shared() -> Path:
    """The folder `../shared` beside the repository, with small pretrained models and data sets."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip(f"needs the optional folder {folder}")
    return folder
