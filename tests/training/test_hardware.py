"""What the configuration's group `trainer` may ask for, and what it may not."""

from typing import Any

import pytest
import torch

from cgpo.config import TrainerConfig
from cgpo.distributed.rendezvous import Rendezvous
from cgpo.errors import UserError
from cgpo.training.hardware import Hardware, check_rendezvous, hardware_of

ONE: dict[str, Any] = {
    "strategy": "single",
    "devices": 1,
    "nodes": 1,
    "tensor_parallel": 1,
    "precision": "32-true",
    "threads": "auto",
    "resume": None,
    "options": {"accelerator": "cpu"},
}


def asked(**settings: Any) -> Hardware:
    return hardware_of(TrainerConfig(**{**ONE, **settings}))


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"strategy": "fsdp", "devices": "auto", "tensor_parallel": 3}, "it must divide the"),
    ({"options": {"accelerator": "tpux"}}, "trainer.options: .*tpux"),
    ({"options": {"gpus": 1}}, "trainer.options: .*gpus"),
]


@pytest.mark.parametrize(("settings", "message"), WRONG)
def test_what_cannot_be_is_said_in_one_line(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        asked(**settings)
    assert "\n" not in str(caught.value)


def test_more_gpus_than_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    have = torch.cuda.device_count()
    accelerator = "gpu" if have else "cuda"
    with pytest.raises(UserError, match=r"^trainer\.(options: .*(GPU|CUDA|accelerator)|devices is)"):
        asked(strategy="ddp", devices=have + 1, options={"accelerator": accelerator})


def test_processes_are_devices_times_nodes() -> None:
    assert asked().processes == 1
    assert asked(strategy="fsdp", devices=4, nodes=2, tensor_parallel=2).processes == 8


def test_auto_is_one_process_alone_and_two_together_on_a_cpu() -> None:
    assert asked(devices="auto").devices == 1
    assert [asked(devices="auto", strategy=name).devices for name in ("ddp", "fsdp")] == [2, 2]


@pytest.mark.parametrize(
    ("strategy", "precision", "pieces"),
    [
        ("fsdp", "bf16-mixed", True),
        ("fsdp", "32-true", False),
        ("fsdp", "bf16-true", False),
        ("ddp", "bf16-mixed", False),
        ("single", "bf16-mixed", False),
    ],
)
def test_fsdp_itself_mixes_precisions(strategy: str, precision: str, pieces: bool) -> None:
    assert asked(strategy=strategy, precision=precision).mixed_shards is pieces


def test_a_trainer_is_as_was_asked() -> None:
    trainer = asked(options={"accelerator": "cpu", "max_steps": 7}).trainer(None, logger=False)
    assert (trainer.max_steps, trainer.world_size, trainer.precision) == (7, 1, "32-true")


def test_a_launcher_must_start_as_many_processes_as_are_asked_for() -> None:
    four = asked(strategy="ddp", devices=2, nodes=2)
    check_rendezvous(four, Rendezvous(3, 1, 4))
    check_rendezvous(asked(), None)
    check_rendezvous(asked(strategy="ddp", devices=2), None)
    with pytest.raises(
        UserError, match=r"^trainer.devices times trainer.nodes is 4, but 3 processes were started; make"
    ):
        check_rendezvous(four, Rendezvous(0, 0, 3))
    with pytest.raises(
        UserError, match=r"^trainer.nodes is 2: start the command on each machine with torchrun or SLURM"
    ):
        check_rendezvous(four, None)
