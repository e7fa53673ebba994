"""An estimate as a person reads it, and as a program does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rich import box
from rich.console import Group
from rich.table import Table

from cgpo.memory.estimate import PHASES, Estimate, estimate
from cgpo.memory.job import Job, Strategy


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


GB = 1e9


def report(found: Estimate, gpu_gb: float, host_gb: float | None, usable: float) -> dict[str, Any]:
    """An estimate as plain containers.

    Args:
        found: what was estimated.
        gpu_gb: memory of a GPU, in 10⁹ bytes.
        host_gb: memory of a host; `None` where it does not matter.
        usable: the share of a GPU that may be filled.
    """
    job = found.job
    models = [job.policy, *([job.reference] if job.reference else []), *job.helpers]
    fits = found.most <= usable * gpu_gb * GB and (host_gb is None or found.host <= host_gb * GB)
    return {
        "parameters": {model.name: model.shape.parameters for model in models},
        "trained": job.trained,
        "strategy": name_of(job.strategy),
        "parts": [
            {"name": p.name, "gb": p.bytes / GB, "where": "host" if p.host else "gpu", "phases": list(p.phases)}
            for p in found.parts
        ],
        "phases": {phase: found.gpu(phase) / GB for phase in PHASES},
        "peak": found.peak,
        "gpu_gb": found.most / GB,
        "host_gb": found.host / GB,
        "fits": fits,
        "advice": [{"change": words, "gpu_gb": most / GB} for words, most in ([] if fits else advice(found))],
    }


def name_of(strategy: Strategy) -> str:
    """`fsdp, 4 × 8, tensor parallel 8, bf16-mixed`."""
    size = f"{strategy.nodes} × {strategy.devices}" if strategy.nodes > 1 else str(strategy.devices)
    split = f", tensor parallel {strategy.tensor_parallel}" if strategy.tensor_parallel > 1 else ""
    return f"{strategy.name}, {size}{split}, {strategy.precision}"


def shown(made: Mapping[str, Any], gpu_gb: float, host_gb: float | None, usable: float) -> Group:
    """A report's tables and what they come to."""
    counts = ", ".join(f"{name} {billions(n)}" for name, n in made["parameters"].items())
    table = Table(title=f"GB on each GPU: {made['strategy']}", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("part", *PHASES):
        table.add_column(column, justify="left" if column == "part" else "right")
    for part in (part for part in made["parts"] if part["where"] == "gpu"):
        table.add_row(part["name"], *(f"{part['gb']:.2f}" if p in part["phases"] else "" for p in PHASES))
    table.add_section()
    table.add_row("together", *(f"{made['phases'][phase]:.1f}" for phase in PHASES))
    host = [f"{part['name']} {part['gb']:.1f} GB" for part in made["parts"] if part["where"] == "host"]
    room = f"{usable:.0%} of {gpu_gb:g} GB" + (f", or on a host's {host_gb:g} GB" if host_gb is not None else "")
    lines = [
        f"parameters: {counts}; trained: {billions(made['trained'])}",
        f"on the host, by process: {'; '.join(host)}; together {made['host_gb']:.1f} GB",
        f"the peak is {made['gpu_gb']:.1f} GB in the phase {made['peak']}: "
        f"it {'fits' if made['fits'] else 'does not fit'} in {room}",
        *(f"  {change['change']}: {change['gpu_gb']:.1f} GB" for change in made["advice"]),
    ]
    return Group(table, *lines)


def billions(number: float) -> str:
    """`8.03 B`, or `0.7 M` below ten million."""
    return f"{number / 1e9:.2f} B" if number >= 1e7 else f"{number / 1e6:.1f} M"


def comparison(rows: Sequence[tuple[str, Sequence[float]]], columns: Sequence[str]) -> Table:
    """Peaks of a GPU, in GB, with a row a strategy."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("strategy")
    for column in columns:
        table.add_column(column, justify="right")
    for name, values in rows:
        table.add_row(name, *(f"{value / GB:.0f}" for value in values))
    return table


def markdown(rows: Sequence[tuple[str, Sequence[float]]], columns: Sequence[str]) -> str:
    """The same as a Markdown table."""
    lines = [["strategy", *columns], ["---", *("---:" for _ in columns)]]
    lines += [[name, *(f"{value / GB:.0f}" for value in values)] for name, values in rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
