"""The tables as they are printed on eighty columns."""

from typing import Any

import pytest
from rich.console import Console

from cgpo.evaluation.tables import tables


def number(value: float, half: float = 0.05) -> dict[str, float]:
    return {"value": value, "low": value - half, "high": value + half}


def mode(success: float, undecided: float = 0.0) -> dict[str, Any]:
    return {
        "responses": 40,
        "success": number(success),
        "pass_at": {"1": number(success), "4": number(0.9)},
        "reward": number(-0.001),
        "kl": None,
        "length": number(12.25),
        "finished": number(1.0),
        "satisfied": number(0.75),
        "violation_rate": {"[instruct]_following": number(0.25), "refusal": None},
        "undecided": {"[instruct]_following": number(undecided, 0.0), "gold": number(0.0, 0.0)},
        "not_applicable": {},
        "not_asked": {},
        "measures": {},
        "win_rate": {"reward": number(0.6)},
        "ties": {"reward": number(0.1)},
        "uncompared": {"reward": number(0.0, 0.0)},
    }


def evaluation(*successes: float, **fields: float) -> dict[str, Any]:
    names = [f"policy-{i}" for i in range(len(successes))]
    return {
        "policies": {
            name: {"path": name, "tasks": {"math": {"prompts": 10, "sampled": mode(s, **fields), "greedy": mode(s)}}}
            for name, s in zip(names, successes, strict=True)
        },
        "differences": {
            "from": names[0],
            "policies": {
                name: {"tasks": {"math": {m: {"success": number(s - successes[0])} for m in ("sampled", "greedy")}}}
                for name, s in zip(names[1:], successes[1:], strict=True)
            },
        },
    }


def printed(found: dict[str, Any]) -> list[str]:
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    for table in tables(found):
        console.print(table)
    return [line.rstrip() for line in console.export_text().splitlines()]


def cells(lines: list[str], label: str) -> list[list[str]]:
    return [line.split(label)[1].split() for line in lines if label in line]


def test_a_star_marks_what_differs_from_the_first() -> None:
    lines = printed(evaluation(0.8, 0.82, 0.9))
    assert cells(lines, "success") == [["0.80", "±0.05", "0.82", "±0.05", "0.90", "±0.05*"]] * 2
    assert "± half of the 95 % interval; * differs from policy-0" in "\n".join(lines)


def test_what_is_shown_and_what_is_not() -> None:
    lines = printed(evaluation(0.8))
    text = "\n".join(lines)
    assert cells(lines, "reward ")[0] == ["0.00", "±0.05"], "no minus before nothing"
    assert cells(lines, "[instruct]_following violated") == [["0.25", "±0.05"]]
    assert cells(lines, "pass@4") == [["0.90", "±0.05"]]
    assert "differs" not in text
    for hidden in ("pass@1", "KL", "refusal", "undecided", "not compared"):
        assert hidden not in text
    shown = printed(evaluation(0.8, undecided=0.125))
    assert cells(shown, "[instruct]_following undecided") == [["0.12", "±0.00"]], "told where it occurs"


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_any_number_of_policies_fits_on_eighty_columns(count: int) -> None:
    lines = printed(evaluation(*(0.1 * i for i in range(count))))
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)
    shown = " ".join(lines)
    assert all(f"policy-{i}" in shown for i in range(count))
    assert len(cells(lines, "success")) == 2 * -(-count // 3)
