"""Training from Python: what a run leaves, what it returns, and what is refused."""

import json
import logging
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback
from tests.api.parts import Short, fitted, length, task, tiny_folder
from transformers import AutoModelForCausalLM

import cgpo
from cgpo.training.preemption import PreemptedError


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> cgpo.Run:
    return fitted(tmp_path_factory.mktemp("fit"))


def weights(policy: cgpo.CausalPolicy) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in policy.model.parameters()])


def test_what_a_run_leaves(run: cgpo.Run) -> None:
    left = {path.name for path in run.folder.iterdir()}
    assert {"config.yaml", "metrics.csv", "samples.jsonl", "alarms.jsonl", "summary.json", "policy"} <= left
    assert run.config["made_by"] == "cgpo.fit"
    assert run.config["tasks"]["chat"]["judges"] == ["even"]
    assert run.config["tasks"]["chat"]["optimizer"] == {
        "_target_": "cgpo.optimizer.crpg.CRPG",
        "kl_max": 16.0,
        "factor_cap": None,
    }
    assert run.config["optim"]["learning_rate"] == 0.01
    assert run.tasks == ["chat"]


def test_a_summary_is_a_mapping_a_text_and_a_table(run: cgpo.Run) -> None:
    assert run.summary is not None
    assert dict(run.summary) == json.loads((run.folder / "summary.json").read_text())
    assert run.summary["tasks"]["chat"]["after"]["prompts"] == 6
    assert run.summary["updates"] == 2
    shown = str(run.summary)
    assert "held-out prompts, before → after" in shown
    assert max(map(len, shown.splitlines())) <= 100
    html = run.summary._repr_html_()  # pyright: ignore[reportPrivateUsage]
    assert html.count("<tr>") == 3, "the head, the task and its judge"
    assert "chat: reward" in html
    assert f"run in {run.folder}" in str(run)


def test_metrics_and_samples(run: cgpo.Run) -> None:
    assert run.metrics["train/chat/reward"].steps == (1, 2)
    assert run.metrics["eval/chat/success"].steps == (0, 1, 2), "before, after half of the updates, and after"
    assert run.metrics["eval/chat/satisfied_rate"].values == run.metrics["eval/chat/success"].values
    rows = list(run.samples())
    assert {row["split"] for row in rows} == {"train", "held_out"}
    assert {row["verdicts"]["even"]["outcome"] for row in rows} <= {"satisfied", "violated"}


def test_the_policy_is_loaded_when_it_is_asked_for_and_saves_itself(run: cgpo.Run, tmp_path: Path) -> None:
    run.policy.save(str(tmp_path / "mine"))
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "mine")
    assert torch.equal(weights(run.policy), torch.cat([p.detach().flatten() for p in loaded.parameters()]))


def test_a_run_is_drawn_and_found_again(run: cgpo.Run, tmp_path: Path) -> None:
    figure = cgpo.load_run(str(run.folder)).plot()
    (panel,) = [axes for axes in figure.axes if axes.axison]
    assert (panel.get_title(), panel.get_xlabel(), panel.get_ylabel()) == ("chat", "reward", "success")
    figure.savefig(tmp_path / "run.png")
    with pytest.raises(cgpo.UserError, match="there is no such folder"):
        cgpo.load_run(tmp_path / "nowhere")


def test_without_a_gold_judge_what_the_judges_say_is_drawn(tmp_path: Path) -> None:
    run = fitted(tmp_path, tasks=task(gold=None), updates=1)
    (panel,) = [axes for axes in run.plot().axes if axes.axison]
    assert panel.get_ylabel() == "satisfied by the judges"


def test_without_matplotlib_that_is_said(run: cgpo.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(cgpo.UserError, match=r"matplotlib, which is missing: pip install 'cgpo\[plot\]'"):
        run.plot()


def test_a_run_is_never_overwritten(run: cgpo.Run) -> None:
    before = (run.folder / "summary.json").read_bytes()
    with pytest.raises(cgpo.UserError, match="holds a run already, and runs are never overwritten"):
        fitted(run.folder.parent / "other", folder=run.folder)
    assert (run.folder / "summary.json").read_bytes() == before


def test_the_default_folder_is_named_by_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policy").mkdir()
    first = fitted(tmp_path / "policy", folder=None, updates=1, evaluated=0)
    assert first.folder.match("runs/????-??-??/??-??-??*")


def test_several_tasks_loggers_and_callbacks(tmp_path: Path) -> None:
    steps: list[int] = []

    class Watch(Callback):
        def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
            steps.append(pl_module.global_step)

    tasks = [task(), task("brief", judges=[Short()], weight=0.5)]
    run = fitted(tmp_path, tasks=tasks, callbacks=[Watch()], measures={"words": length})
    assert steps == [1, 2]
    assert run.summary is not None
    assert run.summary["judges"] == ["even", "short"]
    assert {"train/chat/kl", "train/brief/kl"} <= run.metrics.keys()
    assert run.metrics["eval/chat/words"] == run.metrics["eval/chat/reward"]
    assert len([axes for axes in run.plot().axes if axes.axison]) == 2


def test_a_policy_in_memory_is_trained_in_place(tmp_path: Path) -> None:
    policy = cgpo.load_policy(tiny_folder(tmp_path))
    before = weights(policy).clone()
    run = fitted(tmp_path, policy=policy, folder=tmp_path / "run", evaluated=0)
    assert not torch.equal(weights(policy), before)
    assert torch.equal(weights(policy), weights(run.policy))
    assert run.config["model"]["path"] == str(tmp_path / "tiny")


class StopsAt(Callback):
    """Ends a run as a signal would, once."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        if pl_module.global_step == self.step:
            raise PreemptedError("SIGTERM: the run ends")


def test_a_run_goes_on_where_it_was_and_comes_to_the_same(tmp_path: Path) -> None:
    whole = fitted(tmp_path / "whole", updates=4)
    with pytest.raises(PreemptedError, match="the same call with resume=True goes on"):
        fitted(tmp_path, updates=4, checkpoint_every=1, callbacks=[StopsAt(3)])
    assert cgpo.load_run(tmp_path / "run").summary is None
    with pytest.raises(cgpo.UserError, match="there is no policy yet"):
        _ = cgpo.load_run(tmp_path / "run").policy
    with pytest.raises(cgpo.UserError, match=r"seed is 1, but the run in .* was begun with 0"):
        fitted(tmp_path, updates=4, seed=1, resume=True)
    run = fitted(tmp_path, updates=4, checkpoint_every=1, resume=True)
    assert torch.equal(weights(run.policy), weights(whole.policy))
    assert run.metrics["train/chat/reward"] == whole.metrics["train/chat/reward"]
    assert fitted(tmp_path, updates=4, resume=True).folder == run.folder, "it has come to its end already"


def test_it_trains_in_a_thread_and_leaves_the_process_as_it_was(tmp_path: Path) -> None:
    levels = logging.getLogger("lightning.pytorch").level
    filters = list(warnings.filters)
    found: list[cgpo.Run] = []
    thread = threading.Thread(target=lambda: found.append(fitted(tmp_path, updates=1)))
    thread.start()
    thread.join()
    assert found[0].summary is not None
    assert logging.getLogger("lightning.pytorch").level == levels
    assert warnings.filters == filters


def test_nothing_is_shown_where_nothing_is_asked_for(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    policy = tiny_folder(tmp_path)
    capfd.readouterr()
    fitted(tmp_path, policy=policy, folder=tmp_path / "quiet", updates=1, progress=False)
    assert capfd.readouterr() == ("", "")
    fitted(tmp_path, policy=policy, updates=1)
    said = capfd.readouterr()
    assert f"all of it lies in {tmp_path / 'run'}" in said.out
    assert "GPU" not in said.out + said.err


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    assert not (tmp_path / "run").exists(), "what was refused leaves nothing behind"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"updates": 0}, r"fit\.updates is 0: it must be a whole number of at least 1"),
        ({"learning_rate": "fast"}, r"fit\.learning_rate is 'fast': it must be a number above 0"),
        ({"final_factor": 1.5}, r"fit\.final_factor is 1\.5"),
        ({"baseline_responses": "gold"}, r"fit\.baseline_responses is 'gold': it must be golden or sampled"),
        ({"precision": "bf16"}, r"fit\.precision is 'bf16'"),
        ({"threads": 0}, r"fit\.threads is 0"),
        ({"tasks": []}, r"fit\.tasks: give at least one task"),
        ({"tasks": "chat"}, r"fit\.tasks: 'c' is no cgpo\.Task"),
        ({"tasks": [task(), task()]}, "2 tasks are called 'chat'"),
        ({"resume": True, "folder": None}, r"fit\.resume: name the run that is to go on"),
    ],
)
def test_a_wrong_argument_is_named(folder: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(cgpo.UserError, match=message):
        fitted(folder, **settings)


def test_several_processes_need_to_be_told_how_they_share(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(cgpo.UserError, match=r"fit\.strategy is 'single', but 2 processes were started"):
        fitted(folder)


def test_a_wrong_policy_is_named(tmp_path: Path) -> None:
    with pytest.raises(cgpo.UserError, match="there is no such model folder"):
        fitted(tmp_path, policy=str(tmp_path / "nowhere"))
    with pytest.raises(cgpo.UserError, match=r"fit\.lora: the policy is loaded already"):
        fitted(tmp_path, policy=cgpo.load_policy(tiny_folder(tmp_path)), lora={"r": 2})
