"""Supervised fine-tuning as a command of its own: `python -m cgpo.cli.sft`."""

from __future__ import annotations

from cgpo.cli.stage import stage_command

if __name__ == "__main__":
    stage_command("sft")
