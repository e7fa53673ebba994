"""Processes that have pieces of a model get them from the first, which alone reads the weights."""

from pathlib import Path

import pytest
from tests.policy.tiny import save_tiny
from tests.processes import together


@pytest.mark.parametrize(("processes", "peers"), [(2, 1), (2, 2), (4, 2)])
def test_the_first_reads_for_all(processes: int, peers: int, tmp_path: Path) -> None:
    for name in ("tied", "untied"):
        save_tiny(tmp_path / name, tie_word_embeddings=name == "tied")
    together(processes, "tests.training.placed", str(tmp_path), str(peers), folder=tmp_path)
