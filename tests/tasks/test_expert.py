import math
from typing import Any

import pytest
from tests.tasks.fakes import expert

from cgpo.errors import UserError
from cgpo.optimizer import CODPO, CRRAFT


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prompts": ()}, "tasks.chat.data: the task has no prompts to train on"),
        ({"batch_size": 0}, "tasks.chat.batch_size is 0: it must be at least 1"),
        ({"batch_size": -2}, "tasks.chat.batch_size is -2: it must be at least 1"),
        ({"responses_per_prompt": 0}, "tasks.chat.responses_per_prompt is 0: CRPG needs at least 1"),
        (
            {"responses_per_prompt": 1, "optimizer": CODPO()},
            "tasks.chat.responses_per_prompt is 1: CODPO needs at least 2",
        ),
        ({"weight": 0.0}, "tasks.chat.weight is 0.0: it must be a number above 0"),
        ({"weight": -1.0}, "tasks.chat.weight is -1.0: it must be a number above 0"),
        ({"weight": math.nan}, "tasks.chat.weight is nan: it must be a number above 0"),
        ({"weight": math.inf}, "tasks.chat.weight is inf: it must be a number above 0"),
    ],
)
def test_a_value_out_of_range_is_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        expert(**settings)
    assert str(caught.value) == message


def test_one_response_is_enough_for_crraft() -> None:
    assert expert(responses_per_prompt=1, optimizer=CRRAFT(1.0)).responses_per_prompt == 1
