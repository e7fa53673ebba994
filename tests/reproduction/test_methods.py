"""What is compared, as configurations say it, and the jobs it takes."""

from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from cgpo.config import ReproduceConfig, read_config
from cgpo.errors import UserError
from cgpo.reproduction.jobs import Job, check_unchanged, plan_jobs, prepare, read_comparison

METHODS: dict[str, Any] = {
    "sft": {"title": "SFT", "path": "artifact:sft"},
    "crpg_from_dpo": {"title": "CRPG from DPO", "overrides": ["optimizer=crpg"], "from": "dpo"},
    "dpo": {"title": "DPO", "overrides": ["optimizer=dpo"]},
    "left_out": None,
}


def config(**changes: Any) -> ReproduceConfig:
    where = {"folder": "runs", "workers": 1, "results": "results", "document": None, "runs": True}
    compared = {"seeds": [0, 1], "overrides": ["updates=3"], "training": ["logger=none"], "evaluation": []}
    return read_config(OmegaConf.create({**where, **compared, "methods": METHODS, **changes}), "reproduce")


def test_a_method_with_null_is_left_out() -> None:
    assert list(read_comparison(config()).methods) == ["sft", "crpg_from_dpo", "dpo"]


def test_jobs_are_in_an_order_in_which_they_can_be_run(tmp_path: Path) -> None:
    jobs = plan_jobs(read_comparison(config()), tmp_path)
    names = [f"{job.folder.parent.name}/{job.folder.name}" for job in jobs]
    assert names == [
        *("dpo/seed_0", "crpg_from_dpo/seed_0"),
        *("dpo/seed_1", "crpg_from_dpo/seed_1"),
        *("evaluation/seed_0", "evaluation/seed_1"),
    ]
    begun: set[Path] = set()
    for job in jobs:
        assert begun.issuperset(job.after)
        begun.add(job.folder)


def test_a_job_is_a_command_that_can_be_typed(tmp_path: Path) -> None:
    jobs = {job.folder: job for job in plan_jobs(read_comparison(config()), tmp_path)}
    folder = tmp_path / "crpg_from_dpo" / "seed_1"
    assert jobs[folder].arguments == [
        "train",
        "logger=none",
        "updates=3",
        "optimizer=crpg",
        f"model.path='{tmp_path}/dpo/seed_1/policy'",
        "seed=1",
        f"hydra.run.dir={folder}",
    ]
    evaluation = jobs[tmp_path / "evaluation" / "seed_0"]
    assert evaluation.overrides[1] == (
        f"policies={{sft:'artifact:sft',crpg_from_dpo:'{tmp_path}/crpg_from_dpo/seed_0/policy',"
        f"dpo:'{tmp_path}/dpo/seed_0/policy'}}"
    )


def test_an_evaluation_takes_the_methods_that_have_its_seed(tmp_path: Path) -> None:
    methods = {"dpo": METHODS["dpo"], "crpg": {"overrides": ["optimizer=crpg"], "seeds": [1]}}
    jobs = plan_jobs(read_comparison(config(methods=methods)), tmp_path)
    assert len(jobs) == 5
    assert "crpg" not in jobs[3].overrides[1]
    assert "crpg" in jobs[4].overrides[1]


def test_without_evaluation_there_is_none(tmp_path: Path) -> None:
    jobs = plan_jobs(read_comparison(config(evaluation=None)), tmp_path)
    assert {job.verb for job in jobs} == {"train"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": []}, "seeds: name at least one"),
        ({"seeds": [0.5]}, "seeds.0 is 0.5: it must be a whole number of at least 0"),
        ({"methods": {}}, "nothing to compare"),
        ({"methods": {"a": {"title": "A"}}}, "methods.a: write overrides"),
        (
            {"methods": {"a": {"override": ["x=1"]}}},
            "methods.a.override: there is no such key under methods.a; ",
        ),
        ({"methods": {"a": {"path": "p", "overrides": ["x=1"]}}}, "methods.a: a path is evaluated as it is"),
        ({"methods": {"a": {"overrides": ["x=1"], "from": "b"}}}, "methods.a.from is 'b': it must be a method"),
        (
            {"methods": {"a": {"overrides": ["x"], "from": "b"}, "b": {"overrides": ["x"], "seeds": [0]}}},
            "b has no run with seed 1",
        ),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_comparison(config(**changes))


def a_job(folder: Path, *overrides: str) -> Job:
    return Job("train", overrides, folder / "crpg" / "seed_0", "summary.json")


def test_what_an_interrupted_run_left_is_put_aside(tmp_path: Path) -> None:
    job = a_job(tmp_path, "seed=0")
    for number in (1, 2):
        prepare(job)
        (job.folder / "config.yaml").write_text(str(number))
    prepare(job)
    assert not list(job.folder.iterdir())
    kept = sorted(tmp_path.glob("crpg/seed_0.interrupted-*/config.yaml"))
    assert [file.read_text() for file in kept] == ["1", "2"]


def test_a_run_by_another_command_is_not_taken_for_this_one(tmp_path: Path) -> None:
    job = a_job(tmp_path, "seed=0", "updates=3")
    prepare(job)
    (job.folder / job.result).write_text("{}")
    check_unchanged([job])
    with pytest.raises(UserError, match=r"seed_0 was made by another command \(updates=3 updates=4\)"):
        check_unchanged([a_job(tmp_path, "seed=0", "updates=4")])
