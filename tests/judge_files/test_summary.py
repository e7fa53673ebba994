"""The numbers at the end, from verdicts and labels written out."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tests.judge_files.fakes import Says, row, write

from cgpo.judge_files import judge_file, summary_view
from cgpo.judges.panel.panel import Panel

S, V, U, N = "satisfied", "violated", "undecided", "not_applicable"
ROWS = [
    # label (True: satisfied), what judge a says, what judge b says
    (False, V, V),
    (False, V, S),
    (False, S, V),
    (True, V, S),
    (True, S, S),
    (True, S, S),
    (True, S, U),
    (True, U, S),
    (False, N, N),
    (None, V, V),
]


@pytest.fixture
def summary(tmp_path: Path) -> Any:
    rows = [row(i, label, a=a, b=b) for i, (label, a, b) in enumerate(ROWS)]
    source = write(tmp_path / "rows.jsonl", rows)
    output = tmp_path / "verdicts.jsonl"
    found = judge_file(source, output, {"a": Says("a"), "b": Says("b")}, chunk=3)
    assert json.loads((tmp_path / "verdicts.jsonl.summary.json").read_text()) == found
    return found


def test_the_outcomes_are_counted(summary: Any) -> None:
    counts = {name: {o: c["rows"] for o, c in r["outcomes"].items()} for name, r in summary["judges"].items()}
    assert summary["rows"] == 10
    assert {name: {o: n for o, n in c.items() if n} for name, c in counts.items()} == {
        "a": {S: 4, V: 4, N: 1, U: 1},
        "b": {S: 5, V: 3, N: 1, U: 1},
    }
    assert summary["judges"]["a"]["outcomes"][V]["rate"] == pytest.approx(0.4)
    # Together: rows 0 to 3 and 9 are violated, 4 and 5 satisfied, 6 and 7 undecided, 8 is nobody's.
    together = {o: c["rows"] for o, c in summary["panel"]["outcomes"].items()}
    assert together == {S: 2, V: 5, N: 1, U: 2, "not_asked": 0}


def test_undecided_and_not_applicable_rows_are_neither_right_nor_wrong(summary: Any) -> None:
    a = summary["judges"]["a"]["against_labels"]
    counts = ("rows", "undecided", "not_applicable", "true_positives", "false_positives", "false_negatives")
    # of a: rows 0 and 1 are hits, 3 a false alarm, 2 a miss, 4, 5 and 6 passes; 7 undecided, 8 not applicable
    assert [a[name] for name in (*counts, "true_negatives")] == [7, 1, 1, 2, 1, 1, 3]
    assert a["positive"] == "violated"
    assert a["accuracy"]["value"] == pytest.approx(5 / 7)
    assert a["precision"]["value"] == pytest.approx(2 / 3)
    assert a["recall"]["value"] == pytest.approx(2 / 3)
    assert a["f1"]["value"] == pytest.approx(2 / 3)
    # p_o = 5/7, p_e = (3·3 + 4·4)/49 = 25/49: kappa = (35 - 25)/(49 - 25)
    assert a["kappa"]["value"] == pytest.approx(10 / 24)
    for measure in ("accuracy", "precision", "recall", "f1", "kappa"):
        assert a[measure]["low"] < a[measure]["value"] < a[measure]["high"]
    together = summary["panel"]["against_labels"]
    assert [together[name] for name in (*counts, "true_negatives")] == [6, 2, 1, 3, 1, 0, 2]


def test_judges_agree_over_the_rows_that_both_decided(summary: Any) -> None:
    [pair] = summary["agreement"]
    # rows 0 and 9 both violated, 1 and 3 a alone, 2 b alone, 4 and 5 neither; 6 and 7 undecided, 8 not applicable
    assert (pair["judges"], pair["rows"]) == (["a", "b"], 7)
    assert pair["agreement"]["value"] == pytest.approx(4 / 7)
    assert pair["kappa"]["value"] == pytest.approx((28 - 24) / (49 - 24))  # p_e = (4·3 + 3·4)/49


def shown(summary: Any) -> str:
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(summary_view(summary), highlight=False)
    return console.export_text()


def test_the_table_has_the_numbers(summary: Any) -> None:
    text = shown(summary)
    lines: dict[str, str] = {}  # of the two judges, and of both together below them
    for line in text.splitlines():
        name, _, rest = line.strip().partition("  ")
        lines[name] = f"{lines.get(name, '')} {rest}"
    assert "verdicts on 10 rows" in text
    assert lines["violated"].split() == ["4", "(40.0", "%)", "3", "(30.0", "%)", "5", "(50.0", "%)"]
    assert lines["left out, undecided"].split() == ["1", "1", "2"]
    # Wilson of 5 of 7: centre 6.92073/10.84146, half 1.96/10.84146 · √(10/7 + 0.96036)
    assert "0.7143 (0.3589 – 0.9178)" in lines["accuracy"]
    assert "0.4167 (" in lines["Cohen's kappa"]
    assert "a violation is positive" in text
    assert "0.5714 (" in lines["a and b"]


def test_without_labels_there_is_nothing_to_be_right_about(tmp_path: Path) -> None:
    source = write(tmp_path / "rows.jsonl", [row(1, a=S), row(2, a=V)])
    found = judge_file(source, tmp_path / "out.jsonl", {"a": Says("a"), "absent": Says("absent")})
    assert "against_labels" not in found["judges"]["a"]
    [pair] = found["agreement"]
    assert (pair["rows"], pair["agreement"], pair["kappa"]) == (0, None, None)
    text = shown(found)
    assert "accuracy" not in text
    assert "absent applied to no row: the rows' metadata do not hold what it reads" in text
    assert "a applied to no row" not in text


def test_a_single_judge_needs_no_panel(tmp_path: Path) -> None:
    found = judge_file(write(tmp_path / "rows.jsonl", [row(1, True, a=S)]), tmp_path / "o.jsonl", {"a": Says("a")})
    assert "panel" not in found
    assert "agreement" not in found
    assert found["judges"]["a"]["against_labels"]["precision"] is None
    assert found["judges"]["a"]["against_labels"]["kappa"] is None


class Dear(Says):
    """Asked only about what no cheaper judge found violated, where the panel spares it."""

    cost = 2


def test_what_a_dear_judge_was_spared_counts_in_none_of_its_measures(tmp_path: Path) -> None:
    rows = [row(1, False, a=V, b=V), row(2, False, a=S, b=V), row(3, True, a=S, b=S), row(4, True, a=V, b=S)]
    judges = {"a": Says("a"), "b": Dear("b")}
    panel = Panel(judges, short_circuit=True)
    found = judge_file(write(tmp_path / "rows.jsonl", rows), tmp_path / "o.jsonl", judges, panel=panel)
    panel.close()
    counts = {o: c["rows"] for o, c in found["judges"]["b"]["outcomes"].items()}
    assert counts == {S: 1, V: 1, N: 0, U: 0, "not_asked": 2}
    assert found["judges"]["b"]["against_labels"]["rows"] == 2
    assert found["judges"]["b"]["against_labels"]["not_asked"] == 2
    assert {o: c["rows"] for o, c in found["panel"]["outcomes"].items() if c["rows"]} == {S: 1, V: 3}
    assert found["agreement"][0]["rows"] == 2
    assert "left out, not asked" in shown(found)


def test_shares_are_not_rounded_to_all_or_nothing(tmp_path: Path) -> None:
    rows = [row(i, a=V if i == 0 else S) for i in range(3000)]
    found = judge_file(write(tmp_path / "rows.jsonl", rows), tmp_path / "o.jsonl", {"a": Says("a")})
    assert "2,999 (99.9667 %)" in shown(found)
    assert "1 (0.0333333 %)" in shown(found)
