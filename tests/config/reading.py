"""A configuration as a command reads it, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cgpo.config import compose, read_config, reading
from cgpo.errors import UserError

FOLDER = Path("the_run")


def read(*overrides: str, command: str = "train") -> Any:
    """What a command reads where these overrides are typed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "typed_overrides", lambda: overrides)
        return read_config(compose(command, overrides), command, FOLDER)


def complaint(*overrides: str, command: str = "train") -> str:
    """The one line that wrong overrides are answered with."""
    with pytest.raises(UserError) as caught:
        read(*overrides, command=command)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)
