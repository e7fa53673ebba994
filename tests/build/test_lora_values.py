"""`model.lora` on the command line, and what is wrong with it, said before anything is built."""

from typing import Any

import pytest
from tests.conf.test_conf import plan

from cgpo.build.values import check_values
from cgpo.errors import UserError


def test_it_composes_where_no_adapters_are_the_default() -> None:
    assert plan()["model"]["lora"] is None
    for given in ("model.lora={r:8,alpha:16}", "model.lora={r: 8, alpha: 16}"):
        found = plan(given)
        assert found["model"]["lora"] == {"r": 8, "alpha": 16}
        check_values(found)
    found = plan("model=stories", "model.path=somewhere", "model.lora={targets:[q_proj,v_proj]}")
    assert found["model"]["lora"] == {"targets": ["q_proj", "v_proj"]}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("{r:0}", r"^model\.lora\.r is 0: it must be a whole number of at least 1$"),
        ("{rank:4}", r"^model\.lora\.rank: there is no such setting; choose r, alpha, dropout, targets, seed$"),
        ("{dropout:0.05}", r"^model\.lora\.dropout is 0\.05: it must be 0"),
        ("true", r"^model\.lora is True: it must be null, or a mapping"),
    ],
)
def test_a_wrong_value_stops_at_start_up(given: str, message: str) -> None:
    found: Any = plan(f"model.lora={given}")
    with pytest.raises(UserError, match=message):
        check_values(found)
