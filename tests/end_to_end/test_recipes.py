"""Recipes of real size at toy size, as a person types them; and at full size where there is no hub."""

import json
import os
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from tests.conf.test_conf import TASKS
from tests.end_to_end.tiny import cgpo

SHORT = ["trainer=cpu", "trainer.threads=1", "logger=none", "updates=1", "callbacks.evaluation.prompts=2"]
MODELS = {"qwen_0_5b": "Qwen2", "qwen_7b": "Qwen2", "llama_8b": "Llama", "llama_70b": "Llama"}


@pytest.mark.parametrize("name", MODELS)
def test_a_recipe_runs_at_toy_size(tmp_path: Path, name: str) -> None:
    line = [f"experiment={name}", "model.size=tiny", *SHORT, "hydra.run.dir=run"]
    done = cgpo("train", *line, folder=tmp_path, HF_HUB_OFFLINE="1")
    assert done.returncode == 0, done.stderr
    made = {entry.split(":")[0] for entry in done.stdout.splitlines() if entry.endswith("not there yet, made now")}
    assert made == {"tiny_policy", "tiny_reward", "tiny_guard", "tiny_referee"}
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert list(summary["tasks"]) == TASKS
    config = json.loads((tmp_path / "run/policy/config.json").read_text())
    assert config["architectures"] == [f"{MODELS[name]}ForCausalLM"]
    assert (config["num_hidden_layers"], config["hidden_size"]) == (2, 64)


def one_line(done: CompletedProcess[str]) -> str:
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    return line


def test_at_full_size_without_a_hub_a_run_ends_at_start_up_in_one_line(tmp_path: Path) -> None:
    done = cgpo("train", "experiment=qwen_0_5b", *SHORT, folder=tmp_path, HF_HUB_OFFLINE="1")
    line = one_line(done)
    assert line.startswith(
        "error: model.path: Qwen/Qwen2.5-0.5B-Instruct: no such folder here, and as a hub id neither "
    )
    assert not (tmp_path / "cache").exists()


def test_the_memory_of_a_recipe_is_planned_without_a_hub(tmp_path: Path) -> None:
    line = ["experiment=llama_70b", "plan.format=json", "plan.gpu_gb=40"]
    done = cgpo("plan", *line, folder=tmp_path, HF_HUB_OFFLINE="1")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["parameters"]["policy"] == 70_553_706_496
    assert found["strategy"] == "fsdp, 4 × 8, tensor parallel 8, bf16-mixed"
    assert found["fits"] is False
    assert found["gpu_gb"] == max(found["phases"].values())
    assert found["advice"][0]["gpu_gb"] < found["gpu_gb"]
    assert [name for name in os.listdir(tmp_path) if not name.startswith(".")] == []


def test_a_plan_as_a_table(tmp_path: Path) -> None:
    done = cgpo("plan", "experiment=qwen_0_5b", folder=tmp_path, HF_HUB_OFFLINE="1")
    assert done.returncode == 0, done.stderr
    assert "policy 0.49 B" in done.stdout
    assert "it fits in 90% of 80 GB" in done.stdout
    compared = cgpo("plan", "experiment=qwen_0_5b", "plan.compare=true", "plan.format=markdown", folder=tmp_path)
    rows = [line.split("|")[1].strip() for line in compared.stdout.splitlines() if line.startswith("| ")]
    assert rows[0] == "strategy"
    assert rows[-1] == "fsdp, 4 × 8, tensor parallel 8, bf16-mixed"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["plan.gpu_gb=0"], "error: plan.gpu_gb is 0: it must be a number above 0"),
        (["plan.format=html"], "error: plan.format is 'html': it must be table, markdown or json"),
        (
            ["experiment=llama_8b", "trainer.tensor_parallel=3"],
            "error: trainer.tensor_parallel is 3: it must divide the 8",
        ),
        ([], "error: artifact:warmup is not made yet, so that its size is not known: "),
        (["-m"], "error: -m: cgpo plan has no sweeps"),
    ],
)
def test_plans_that_cannot_be_made(tmp_path: Path, line: list[str], said: str) -> None:
    assert one_line(cgpo("plan", *line, folder=tmp_path)).startswith(said)
