"""Whether a model can be had, before it is loaded."""

from pathlib import Path

import pytest

from cgpo.errors import UserError
from cgpo.models.pretrained import require_on_hub


def test_a_folder_needs_no_hub(tmp_path: Path) -> None:
    require_on_hub(str(tmp_path))


def test_what_is_in_the_cache_needs_no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = tmp_path / "models--someone--model/snapshots/0123"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (tmp_path / "models--someone--model/refs").mkdir()
    (tmp_path / "models--someone--model/refs/main").write_text("0123")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("cgpo.models.pretrained.get_hf_file_metadata", _no_network)
    require_on_hub("someone/model")
    with pytest.raises(
        UserError, match=r"someone/other: no such folder here, .* neither in the cache nor .*: no network"
    ):
        require_on_hub("someone/other")


def _no_network(url: str) -> None:
    raise ConnectionError("no network")
