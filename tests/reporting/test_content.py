"""What a report takes from runs' folders."""

import json
from pathlib import Path

import pytest
from tests.reporting.folders import sample, write_run

from cgpo.errors import UserError
from cgpo.reporting.content import alarms_of, content, named_runs, short_names
from cgpo.run_files import load_run


def test_names_are_as_much_of_a_path_as_tells_runs_apart() -> None:
    assert short_names([Path("/runs/a"), Path("/runs/b")]) == ["a", "b"]
    assert short_names([Path("/x/0"), Path("/y/0"), Path("/y/1")]) == ["x/0", "y/0", "y/1"]
    assert short_names([Path("/runs/a")]) == ["a"]


def test_a_sweeps_folder_stands_for_its_runs_in_their_order(tmp_path: Path) -> None:
    for number in (10, 0, 2):
        write_run(tmp_path / "sweep" / str(number))
    (tmp_path / "sweep" / "sweep.json").write_text("[]")
    write_run(tmp_path / "alone")
    runs = named_runs([tmp_path / "alone", tmp_path / "sweep"])
    assert list(runs) == ["alone", "0", "2", "10"]
    assert runs["2"].folder == tmp_path / "sweep" / "2"


def test_what_is_no_run_and_what_is_named_twice(tmp_path: Path) -> None:
    write_run(tmp_path / "sweep" / "0")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no run's folder, and there is none below it"):
        named_runs([tmp_path / "empty"])
    with pytest.raises(UserError, match="there is no such folder"):
        named_runs([tmp_path / "nowhere"])
    with pytest.raises(UserError, match="named twice"):
        named_runs([tmp_path / "sweep", tmp_path / "sweep" / "0"])


def test_facts_of_a_finished_run(tmp_path: Path) -> None:
    found = content("one", load_run(write_run(tmp_path / "run")), 10)
    facts = ("optimizer", "judges", "seed", "updates", "planned", "state", "error", "overrides", "findings", "tasks")
    assert [found[name] for name in facts] == [
        "CRPG",
        ["facts", "tone"],
        3,
        20,
        20,
        "finished",
        None,
        ("seed=3",),
        ["chat: all well."],
        ["chat", "math"],
    ]
    assert found["metrics"]["eval/chat/success"] == {"steps": (0, 10, 20), "values": [0.5, 0.6, 0.7]}
    assert found["metrics"]["judges/chat/facts/violation_rate"]["values"][:3] == [0.5, 0.333333, 0.25]
    assert "train/chat/objective/loss" not in found["metrics"]


def test_a_run_under_way_a_failed_one_and_one_that_has_only_begun(tmp_path: Path) -> None:
    under_way = content("one", load_run(write_run(tmp_path / "run", (0.0,), (0.5,), finished=False)), 10)
    assert (under_way["state"], under_way["optimizer"], under_way["updates"]) == ("under way", "CRPG", 0)
    (tmp_path / "run" / "error.txt").write_text("no such model\n")
    failed = content("one", load_run(tmp_path / "run"), 10)
    assert (failed["state"], failed["error"]) == ("failed", "no such model")
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "config.yaml").write_text("tasks: {chat: {judges: facts}}\n")
    begun = content("two", load_run(tmp_path / "begun"), 10)
    assert (begun["metrics"], begun["samples"], begun["judges"], begun["planned"]) == ({}, [], [], None)


def test_of_many_samples_the_last_are_shown_and_the_rest_counted(tmp_path: Path) -> None:
    run = load_run(write_run(tmp_path / "run", samples=[sample(step) for step in range(7)]))
    found = content("one", run, 3)
    assert ([row["step"] for row in found["samples"]], found["left_out"]) == ([4, 5, 6], 4)


def test_a_run_without_alarms_of_its_own_is_looked_at_afterwards(tmp_path: Path) -> None:
    kept = [sample(20, key=f"{i}", reward=i, gold="violated" if i % 2 else "satisfied") for i in range(20)]
    run = load_run(write_run(tmp_path / "run", (0.0, 1.0, 9.0), (0.8, 0.7, 0.5), kept))
    rows, own = alarms_of(run)
    assert not own
    # At 10 a hundred prompts stand for the share: √(.767 · .233 · .015) = .0517 and .1 is 1.9 of it. At 20 it is two
    # hundred each: √(.65 · .35 · .01) = .0477, and .3 is 6.3 of it.
    assert [(row["task"], row["began"], row["step"]) for row in rows] == [("chat", 0, 20), ("math", 0, 20)]
    assert rows[0]["message"].endswith("gold success fell from 0.80 to 0.50, 6.3 standard errors")
    assert [row["key"] for row in rows[0]["samples"]] == ["19", "17", "15", "13", "11"]
    assert rows[1]["samples"] == []


def test_the_rewards_noise_is_that_of_the_samples(tmp_path: Path) -> None:
    spread = [sample(step, key=f"{i}", reward=100.0 * (-1) ** i) for step in (0, 20) for i in range(20)]
    run = load_run(write_run(tmp_path / "run", (0.0, 0.5, 1.0), (0.8, 0.7, 0.5), spread))
    assert [row["task"] for row in alarms_of(run)[0]] == ["math"], "rewards of ±100 say nothing of a rise by 1"


def test_a_run_with_alarms_of_its_own_is_believed(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", (0.0, 1.0, 9.0), (0.8, 0.7, 0.5))
    file = folder / "alarms.jsonl"
    file.write_text("")
    assert alarms_of(load_run(folder)) == ([], True)
    file.write_text(json.dumps({"step": 5}) + '\n{"step":')
    assert alarms_of(load_run(folder)) == ([{"step": 5}], True)
    file.write_text("no json\n")
    with pytest.raises(UserError, match=r"alarms\.jsonl: line 1 is no JSON"):
        alarms_of(load_run(folder))
