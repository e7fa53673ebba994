"""Where metrics go: which mode W&B runs in, and what is said of it."""

from pathlib import Path

import pytest

from cgpo.progress import SilentScreen, shown_on
from cgpo.training.loggers import close, csv_logger, wandb_logger


class Lines(SilentScreen):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, line: str, important: bool = False) -> None:
        self.said.append(line)


def made(monkeypatch: pytest.MonkeyPatch, folder: Path, **environment: str) -> tuple[bool, list[str]]:
    """Whether the run is offline, and what was said."""
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.delenv("NETRC", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    screen = Lines()
    with shown_on(screen):
        logger = wandb_logger("cgpo", str(folder / "run"))
    return logger._offline, screen.said


SYNC = "later: wandb sync {}/run/wandb/offline-run-*"


def test_without_a_key_offline_with_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    offline, said = made(monkeypatch, tmp_path)
    assert offline
    assert said == [f"W&B: the run stays offline, for want of a key; {SYNC.format(tmp_path)}"]


@pytest.mark.parametrize("mode", ["offline", "dryrun"])
def test_offline_when_told_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mode: str) -> None:
    offline, said = made(monkeypatch, tmp_path, WANDB_MODE=mode, WANDB_API_KEY="0" * 40)
    assert offline
    assert said == [f"W&B: the run stays offline, as WANDB_MODE says; {SYNC.format(tmp_path)}"]


def test_online_with_a_key_in_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert made(monkeypatch, tmp_path, WANDB_API_KEY="0" * 40) == (False, [])


def test_online_with_a_key_in_netrc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text(f"machine api.wandb.ai login user password {'0' * 40}\n")
    netrc.chmod(0o600)
    assert made(monkeypatch, tmp_path) == (False, [])


def test_a_netrc_of_others_is_no_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine example.org login user password secret\n")
    netrc.chmod(0o600)
    assert made(monkeypatch, tmp_path)[0]


def test_csv_lies_in_the_run_folder_itself(tmp_path: Path) -> None:
    logger = csv_logger(tmp_path)
    logger.log_metrics({"train/chat/kl": 0.5}, 3)
    logger.save()
    assert (tmp_path / "metrics.csv").read_text().splitlines() == ["step,train/chat/kl", "3,0.5"]


def test_closing_without_wandb_does_nothing(tmp_path: Path) -> None:
    close([csv_logger(tmp_path)])
