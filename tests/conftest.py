"""What every test shares: one thread, and the optional folder of models and data beside the repository."""

from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture
def shared() -> Path:
    """The folder `../shared` beside the repository, with small pretrained models and data sets."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip(f"needs the optional folder {folder}")
    return folder
