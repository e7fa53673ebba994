"""A process's seat, as torchrun, SLURM or our own supervisor say it."""

import pytest
from torch import distributed

from cgpo.distributed.rendezvous import RENDEZVOUS, Rendezvous, find_rendezvous, join, joined_processes, supervised
from cgpo.training.strategies import Joined

RANKED = {"RANK": "3", "LOCAL_RANK": "1", "WORLD_SIZE": "4"}
SLURM = {
    "SLURM_NTASKS": "4",
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_NTASKS_PER_NODE": "2",
    "SLURM_PROCID": "2",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "1",
    "SLURM_JOB_ID": "801234",
    "SLURM_NODELIST": "node[07-08]",
    "SLURM_JOB_NAME": "cgpo",
}


def test_torchrun_says_it_in_the_environment() -> None:
    assert find_rendezvous(RANKED) == Rendezvous(rank=3, local_rank=1, size=4, address="env://")


def test_the_supervisor_names_a_file_besides() -> None:
    assert find_rendezvous({**RANKED, RENDEZVOUS: "file:///there"}) == Rendezvous(3, 1, 4, "file:///there")


def test_a_person_says_nothing() -> None:
    assert find_rendezvous({}) is None
    assert find_rendezvous({"RANK": "0", "WORLD_SIZE": "2"}) is None, "not all of it"


@pytest.fixture
def slurm(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A task of SLURM's; what Lightning writes into the environment is taken back."""
    for name in ("MASTER_ADDR", "MASTER_PORT", *RANKED):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_slurm_has_names_of_its_own(slurm: pytest.MonkeyPatch) -> None:
    assert find_rendezvous() == Rendezvous(rank=2, local_rank=0, size=4, address="tcp://node07:16234")


@pytest.mark.parametrize(("name", "value"), [("SLURM_STEP_NUM_TASKS", "1"), ("SLURM_JOB_NAME", "interactive")])
def test_one_task_or_a_shell_of_slurm_is_a_person(slurm: pytest.MonkeyPatch, name: str, value: str) -> None:
    slurm.setenv(name, value)
    assert find_rendezvous() is None


def test_a_batch_script_s_own_command_is_one_process(slurm: pytest.MonkeyPatch) -> None:
    slurm.delenv("SLURM_STEP_NUM_TASKS")
    assert find_rendezvous() is None


def test_who_is_supervised_has_a_meeting_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RENDEZVOUS, "file:///there")
    assert supervised()
    monkeypatch.delenv(RENDEZVOUS)
    assert not supervised()


def test_one_process_meets_nobody_and_leaves_nothing() -> None:
    with joined_processes(Rendezvous()):
        assert distributed.get_world_size() == 1
        join(Rendezvous())
    assert not distributed.is_initialized()
    with pytest.raises(RuntimeError, match="inside"), joined_processes(Rendezvous()):
        raise RuntimeError("inside")
    assert not distributed.is_initialized(), "so that the next run of a sweep can meet anew"


def test_lightning_is_told_of_seats() -> None:
    environment = Joined(Rendezvous(rank=5, local_rank=1, size=8), devices=4)
    said = (environment.global_rank(), environment.local_rank(), environment.node_rank(), environment.world_size())
    assert said == (5, 1, 1, 8)
    environment.set_global_rank(0)
    environment.set_world_size(1)
    assert (environment.global_rank(), environment.world_size()) == (5, 8)
    assert environment.creates_processes_externally
