"""The reward models as a command of its own: `python -m cgpo.cli.reward`."""

from __future__ import annotations

from cgpo.cli.stage import stage_command

if __name__ == "__main__":
    stage_command("reward")
