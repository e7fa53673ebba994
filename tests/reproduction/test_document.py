"""The document says what the results are, and nothing that was not compared."""

from pathlib import Path
from xml.etree import ElementTree

import pytest
from tests.reproduction.synthetic import results
from tests.reproduction.test_claims import AS_IN_THE_PAPER

from cgpo.errors import UserError
from cgpo.reproduction.document import read_remarks, write_document
from cgpo.reproduction.figures import draw_figures
from cgpo.reproduction.results import load, save

COMMITTED = Path(__file__).parents[2] / "results" / "reproduction"
DOCUMENT = Path(__file__).parents[2] / "docs" / "reproduction.md"


def written(folder: Path, ends: dict[str, tuple[float, float]], remarks: dict[str, str] | None = None) -> str:
    found = results(ends)
    write_document(found, None, remarks or {}, draw_figures(found, folder), folder / "document.md")
    return (folder / "document.md").read_text()


def test_the_table_has_a_row_a_method(tmp_path: Path) -> None:
    text = written(tmp_path, AS_IN_THE_PAPER)
    # 0.90, 0.91, 0.92 and a little noise of 0.001 a seed: the mean of the seeds and its interval.
    assert "| **CRPG** | 0.91 ± 0.03 | 0.91 ± 0.03 | 0.91 ± 0.03 |" in text
    assert "| DPO | 0.61 ± 0.02 | 0.61 ± 0.02 | 0.61 ± 0.02 |" in text
    assert "**held.**" in text


def test_every_figure_is_drawn_and_linked(tmp_path: Path) -> None:
    text = written(tmp_path, AS_IN_THE_PAPER)
    for name in ("curves", "judges", "starts", "pareto", "overoptimisation"):
        assert f"]({name}.svg)" in text
        ElementTree.parse(tmp_path / f"{name}.svg")
    assert not list(tmp_path.glob("*.unfinished"))


def test_figures_are_the_same_for_the_same_results(tmp_path: Path) -> None:
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        written(folder, AS_IN_THE_PAPER)
    assert (tmp_path / "a" / "curves.svg").read_bytes() == (tmp_path / "b" / "curves.svg").read_bytes()


def test_what_was_not_compared_is_left_out(tmp_path: Path) -> None:
    text = written(tmp_path, {"crpg": (0.9, 0.5), "raft": (0.8, 0.4)})
    assert "What each judge buys" not in text
    assert "starts.svg" not in text
    assert text.count("**not tested.**") == 9


def test_without_a_gold_judge_there_is_no_success_to_show(tmp_path: Path) -> None:
    found = results({"crpg": (0.9, 0.5), "crpg_without_judges": (0.1, 2.0)})
    for method in found.data["methods"].values():
        for run in method["runs"]:
            run["curves"] = {task: {"kl": of_task["kl"]} for task, of_task in run["curves"].items()}
    for evaluation in found.data["evaluations"]:
        evaluation["policies"] = {name: {"chat": {"sampled": {"kl": 1.0}}} for name in evaluation["policies"]}
    write_document(found, None, {}, draw_figures(found, tmp_path), tmp_path / "document.md")
    text = (tmp_path / "document.md").read_text()
    assert "The table" not in text
    assert text.count("**not tested.**") == 9


def test_an_ablation_is_a_difference_from_all_judges(tmp_path: Path) -> None:
    text = written(tmp_path, {"crpg": (0.9, 0.5), "without_math": (0.5, 0.5)})
    assert "| WITHOUT_MATH | -0.40 ± 0.00 | -0.40 ± 0.00 |" in text


def test_remarks_stand_where_they_belong(tmp_path: Path) -> None:
    text = written(tmp_path, AS_IN_THE_PAPER, {"judges_prevent": "As one would hope."})
    claim = text.index("### With judges CRPG keeps improving")
    assert claim < text.index("As one would hope.") < text.index("###", claim + 3)


def test_a_remark_on_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "remarks.md").write_text("## no_such_claim\n\ntext\n")
    with pytest.raises(UserError, match=r"remarks\.md: there is nothing called no_such_claim"):
        read_remarks(tmp_path)


def test_remarks_are_read_by_their_headings(tmp_path: Path) -> None:
    (tmp_path / "remarks.md").write_text("# Of my own\n\n## head\n\nOne.\n\nTwo.\n## table\nThree.\n")
    assert read_remarks(tmp_path) == {"head": "One.\n\nTwo.", "table": "Three."}


def test_results_are_read_as_they_were_saved(tmp_path: Path) -> None:
    found = results(AS_IN_THE_PAPER)
    save(found.data, tmp_path)
    assert load(tmp_path).data == found.data


def test_no_results_are_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"comparison\.jsonl is not there"):
        load(tmp_path)


def test_the_committed_document_is_that_of_the_committed_results(tmp_path: Path) -> None:
    found = load(COMMITTED)
    tuning = load(COMMITTED / "tuning")
    figures = [(figure, COMMITTED / path.name) for figure, path in draw_figures(found, tmp_path)]
    document = DOCUMENT.with_name("reproduction.test")
    try:
        write_document(found, tuning, read_remarks(COMMITTED), figures, document)
        assert document.read_text() == DOCUMENT.read_text()
    finally:
        document.unlink(missing_ok=True)
