"""The examples in the docstrings of the public names; those that train are run with the documentation."""

import inspect
import re

import pytest

import cgpo

EXAMPLE = re.compile(r"```python\n(.*?)```", re.DOTALL)
CHEAP = ("Task", "RewardModel", "judge", "read_prompts")


@pytest.mark.parametrize("name", CHEAP)
def test_an_example_runs(name: str) -> None:
    (example,) = EXAMPLE.findall(inspect.getdoc(getattr(cgpo, name)) or "")
    exec(inspect.cleandoc(example), {})


@pytest.mark.parametrize("name", ["fit", "evaluate", "report", "load_policy", "load_run", "Run", "CGPOModule"])
def test_there_is_an_example(name: str) -> None:
    documentation = inspect.getdoc(getattr(cgpo, name)) or ""
    assert EXAMPLE.search(documentation) or "Example:\n    See" in documentation
