"""What would make a run fit that does not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from cgpo.planning.estimate import Estimate, estimate
from cgpo.planning.job import Job


def advice(found: Estimate) -> list[tuple[str, float]]:
    """Changes to the configuration, each alone, that take at least a twentieth off the peak; best first.

    Returns:
        Overrides of the command line, and the bytes of a GPU at the peak with each.
    """
    changes = [(words, estimate(job).most) for words, job in _changes(found.job)]
    helpful = [(words, most) for words, most in changes if most < 0.95 * found.most]
    return sorted(helpful, key=lambda change: change[1])


def _changes(job: Job) -> Iterator[tuple[str, Job]]:
    strategy, reference = job.strategy, job.reference
    if not job.checkpointing:
        yield "model.gradient_checkpointing=true", replace(job, checkpointing=True)
    if strategy.precision == "32-true":
        yield "trainer.precision=bf16-mixed", replace(job, strategy=replace(strategy, precision="bf16-mixed"))
    if strategy.name == "fsdp":
        twice = replace(strategy, nodes=2 * strategy.nodes)
        yield f"trainer.nodes={twice.nodes}", replace(job, strategy=twice)
    else:
        spread = replace(strategy, name="fsdp", devices=max(8, strategy.devices))
        yield f"trainer=fsdp trainer.devices={spread.devices}", replace(job, strategy=spread)
    if job.rank is None:
        # Adapters leave the weights as they are, so that the reference needs none of its own.
        yield "model.lora={r:16,alpha:32}", replace(job, rank=16, reference=None)
    if reference is not None and reference.device != "cpu":
        yield "reference_device=cpu", replace(job, reference=replace(reference, device="cpu"))
        if reference.quantization is None:
            yield "reference_quantization=int8", replace(job, reference=replace(reference, quantization="int8"))
    if any(model.device != "cpu" for model in job.helpers):
        on_host = tuple(replace(model, device="cpu") for model in job.helpers)
        yield "models_device=cpu", replace(job, helpers=on_host)
        small = tuple(replace(model, quantization=model.quantization or "int8") for model in job.helpers)
        yield "models_quantization=int8", replace(job, helpers=small)
    yield f"update.max_tokens={job.max_tokens // 2}", replace(job, max_tokens=job.max_tokens // 2)
    rows = job.most_rows or -(-job.responses // strategy.replicas)
    if rows > 1:
        yield f"rollout.max_batch={rows // 2}", replace(job, most_rows=rows // 2)
