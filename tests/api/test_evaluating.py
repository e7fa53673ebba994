"""Comparing policies from Python, and reports of runs."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.api.parts import Even, fitted, task, tiny_folder
from tests.policy.tiny import save_tiny, tiny_tokenizer

import cgpo

SMALL = {"prompts": 6, "samples": 2, "threads": 1, "progress": False}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> cgpo.Run:
    return fitted(tmp_path_factory.mktemp("evaluate"), evaluated=0)


@pytest.fixture(scope="module")
def start(run: cgpo.Run) -> str:
    return str(run.config["model"]["path"])


def test_policies_side_by_side(run: cgpo.Run, start: str, tmp_path: Path) -> None:
    found = cgpo.evaluate({"before": start, "after": run}, task(), reference=start, folder=tmp_path / "e", **SMALL)
    assert list(found["policies"]) == ["before", "after"]
    sampled = found["policies"]["before"]["tasks"]["chat"]["sampled"]
    assert sampled["kl"]["value"] == pytest.approx(0.0, abs=1e-5)
    assert sampled["responses"] == 12
    assert found["differences"]["from"] == "before"
    assert found["win_by"] == ["reward"]
    assert dict(found) == json.loads((tmp_path / "e" / "evaluation.json").read_text())
    assert len(list(found.samples())) == 3 * (12 + 6), "those of the opponent, too"
    assert "chat, 6 held-out prompts" in str(found)
    assert found._repr_html_().count("<table>") == 1  # pyright: ignore[reportPrivateUsage]


def test_a_policy_in_memory_gives_the_same_numbers(run: cgpo.Run, tmp_path: Path) -> None:
    by_path = cgpo.evaluate(run, [task()], folder=tmp_path / "path", **SMALL)
    loaded = cgpo.evaluate([run.policy], task(), folder=tmp_path / "loaded", **SMALL)
    first, second = (next(iter(found["policies"].values()))["tasks"] for found in (by_path, loaded))
    assert first == second
    assert (by_path["reference"], by_path["opponent"], by_path["win_by"]) == (None, None, [])


def test_win_rates_by_a_judge_against_an_opponent(run: cgpo.Run, start: str, tmp_path: Path) -> None:
    found = cgpo.evaluate(
        run, task(), opponent=start, win_by=["even", "gold"], pass_at=[2], greedy=False, folder=tmp_path / "e", **SMALL
    )
    (policy,) = found["policies"].values()
    assert list(policy["tasks"]["chat"]) == ["prompts", "sampled"]
    assert set(policy["tasks"]["chat"]["sampled"]["win_rate"]) == {"even", "gold"}
    assert set(policy["tasks"]["chat"]["sampled"]["pass_at"]) == {"2"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"policies": []}, r"evaluate\.policies: give at least one"),
        ({"policies": [3]}, "evaluate: 3 is no policy"),
        ({"policies": {"opponent": "START"}}, "the name 'opponent' is taken"),
        ({"policies": ["START", "START"]}, "is there twice"),
        ({"samples": 0, "greedy": False}, "nothing would be drawn"),
        ({"pass_at": [3]}, "pass@3 needs 3 responses to a prompt, and samples is 2"),
        ({"opponent": "START", "win_by": ["math"]}, "the task chat has no judge 'math'"),
        ({"prompts": 1}, r"evaluate\.prompts is 1: it must be a whole number of at least 2"),
        ({"tasks": task(held_out=0)}, "none has two held-out prompts"),
    ],
)
def test_a_wrong_argument_is_named(start: str, tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    def filled(value: Any) -> Any:
        if isinstance(value, list):
            return [filled(item) for item in value]
        if isinstance(value, dict):
            return {key: filled(item) for key, item in value.items()}
        return start if value == "START" else value

    given = {"policies": start, "tasks": task(), "folder": tmp_path / "e", **SMALL, **filled(settings)}
    with pytest.raises(cgpo.UserError, match=message):
        cgpo.evaluate(**given)
    assert not (tmp_path / "e").exists()


def test_a_policy_that_reads_other_tokens_is_refused(start: str, tmp_path: Path) -> None:
    other = save_tiny(tmp_path / "other")
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(["w99"])
    tokenizer.save_pretrained(other)
    with pytest.raises(cgpo.UserError, match="reads other tokens"):
        cgpo.evaluate([start, str(other)], task(), reference=start, folder=tmp_path / "e", **SMALL)


def test_a_report(run: cgpo.Run, tmp_path: Path) -> None:
    pytest.importorskip("plotly")
    found = cgpo.report([run], tmp_path / "report.html")
    assert found.path.stat().st_size > 1e6
    (shown,) = found.runs.values()
    assert (shown["state"], shown["optimizer"], shown["judges"]) == ("finished", "CRPG", ["even"])
    assert "finished" in str(found)
    html = found._repr_html_()  # pyright: ignore[reportPrivateUsage]
    assert f'href="{tmp_path}/report.html"' in html
    with pytest.raises(cgpo.UserError, match="is there already"):
        cgpo.report(run.folder, tmp_path / "report.html")
    cgpo.report(run.folder, tmp_path / "report.html", overwrite=True, samples=0)
    with pytest.raises(cgpo.UserError, match=r"report\.runs: name at least one run"):
        cgpo.report([])
    with pytest.raises(cgpo.UserError, match=r"report\.samples is -1"):
        cgpo.report(run, samples=-1)


def test_reward_models(tmp_path: Path) -> None:
    sample = cgpo.Sample(cgpo.Prompt("k", "w4"), "w5 w6")
    assert cgpo.RewardModel.constant(2.5).score([sample, sample]).tolist() == [2.5, 2.5]
    assert cgpo.RewardModel(lambda s: len(s.response)).score([sample]).tolist() == [5.0]
    assert cgpo.RewardModel.constant().models == []
    with pytest.raises(cgpo.UserError, match="there is no such model folder"):
        cgpo.RewardModel(str(tmp_path / "nowhere"))
    with pytest.raises(cgpo.UserError, match=r"a reward model has one output|lacks weights"):
        cgpo.RewardModel(tiny_folder(tmp_path))
    with pytest.raises(cgpo.UserError, match=r"RewardModel\.source is 3"):
        cgpo.RewardModel(3)  # pyright: ignore[reportArgumentType]


def test_the_judge_of_a_task_is_still_usable_afterwards(tmp_path: Path) -> None:
    class Closes(Even):
        closed = False

        def close(self) -> None:
            self.closed = True

    judge = Closes()
    fitted(tmp_path, tasks=task(judges=[judge]), updates=1, evaluated=0)
    assert not judge.closed, "it is the caller's"
