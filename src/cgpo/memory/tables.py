"""An estimate for people, as tables, and for programs, as plain containers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rich import box
from rich.console import Group
from rich.table import Table

from cgpo.memory.estimate import PHASES, MemoryEstimate, estimate
from cgpo.memory.job import Job, Layout

GB = 1e9


def suggest_changes(found: MemoryEstimate) -> list[tuple[str, float]]:
    """Finds changes to the configuration each of which alone takes at least a twentieth off the peak, best first.

    Returns:
        Overrides for the command line, and the peak bytes of a GPU with each.
    """
    changes = [(overrides, estimate(job).peak) for overrides, job in _changes(found.job)]
    helpful = [(overrides, peak) for overrides, peak in changes if peak < 0.95 * found.peak]
    return sorted(helpful, key=lambda change: change[1])


def _changes(job: Job) -> Iterator[tuple[str, Job]]:
    layout, reference = job.layout, job.reference
    if not job.checkpointing:
        yield "model.gradient_checkpointing=true", replace(job, checkpointing=True)
    if layout.precision == "32-true":
        yield "trainer.precision=bf16-mixed", replace(job, layout=replace(layout, precision="bf16-mixed"))
    if layout.strategy == "fsdp":
        twice = replace(layout, nodes=2 * layout.nodes)
        yield f"trainer.nodes={twice.nodes}", replace(job, layout=twice)
    else:
        spread = replace(layout, strategy="fsdp", devices=max(8, layout.devices))
        yield f"trainer=fsdp trainer.devices={spread.devices}", replace(job, layout=spread)
    if job.rank is None:
        # Adapters leave the base weights as they are, so that the reference needs none of its own.
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
    rows = job.max_rows or -(-job.responses // layout.replicas)
    if rows > 1:
        yield f"rollout.max_batch={rows // 2}", replace(job, max_rows=rows // 2)


def as_plain(found: MemoryEstimate, gpu_gb: float, host_gb: float | None, usable: float) -> dict[str, Any]:
    """Turns an estimate into plain containers, ready for JSON.

    Args:
        found: the estimate.
        gpu_gb: the memory of a GPU, in 10⁹ bytes.
        host_gb: the memory of a host; `None` if it does not matter.
        usable: the share of a GPU's memory that may be filled.
    """
    job = found.job
    models = [job.policy, *([job.reference] if job.reference else []), *job.helpers]
    fits = found.peak <= usable * gpu_gb * GB and (host_gb is None or found.host <= host_gb * GB)
    return {
        "parameters": {model.name: model.shape.parameters for model in models},
        "trained": job.trained,
        "strategy": describe_layout(job.layout),
        "parts": [
            {"name": p.name, "gb": p.bytes / GB, "where": "host" if p.host else "gpu", "phases": list(p.phases)}
            for p in found.parts
        ],
        "phases": {phase: found.gpu(phase) / GB for phase in PHASES},
        "peak": found.peak_phase,
        "gpu_gb": found.peak / GB,
        "host_gb": found.host / GB,
        "fits": fits,
        "advice": [
            {"change": overrides, "gpu_gb": peak / GB} for overrides, peak in ([] if fits else suggest_changes(found))
        ],
    }


def describe_layout(layout: Layout) -> str:
    """Names a layout in a few words: `fsdp, 4 × 8, tensor parallel 8, bf16-mixed`."""
    size = f"{layout.nodes} × {layout.devices}" if layout.nodes > 1 else str(layout.devices)
    split = f", tensor parallel {layout.tensor_parallel}" if layout.tensor_parallel > 1 else ""
    return f"{layout.strategy}, {size}{split}, {layout.precision}"


def estimate_view(plain: Mapping[str, Any], gpu_gb: float, host_gb: float | None, usable: float) -> Group:
    """Shows an estimate as a table of parts and phases, with what it comes to below.

    Args:
        plain: what `as_plain` returned.
        gpu_gb: the memory of a GPU, in 10⁹ bytes.
        host_gb: the memory of a host; `None` if it does not matter.
        usable: the share of a GPU's memory that may be filled.
    """
    counts = ", ".join(f"{name} {_billions(n)}" for name, n in plain["parameters"].items())
    table = Table(title=f"GB on each GPU: {plain['strategy']}", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("part", *PHASES):
        table.add_column(column, justify="left" if column == "part" else "right")
    for part in (part for part in plain["parts"] if part["where"] == "gpu"):
        table.add_row(part["name"], *(f"{part['gb']:.2f}" if p in part["phases"] else "" for p in PHASES))
    table.add_section()
    table.add_row("together", *(f"{plain['phases'][phase]:.1f}" for phase in PHASES))
    host = [f"{part['name']} {part['gb']:.1f} GB" for part in plain["parts"] if part["where"] == "host"]
    room = f"{usable:.0%} of {gpu_gb:g} GB" + (f", or on a host's {host_gb:g} GB" if host_gb is not None else "")
    lines = [
        f"parameters: {counts}; trained: {_billions(plain['trained'])}",
        f"on the host, by process: {'; '.join(host)}; together {plain['host_gb']:.1f} GB",
        f"the peak is {plain['gpu_gb']:.1f} GB in the phase {plain['peak']}: "
        f"it {'fits' if plain['fits'] else 'does not fit'} in {room}",
        *(f"  {change['change']}: {change['gpu_gb']:.1f} GB" for change in plain["advice"]),
    ]
    return Group(table, *lines)


def _billions(number: float) -> str:
    """Formats a count: `8.03 B`, or `0.7 M` below ten million."""
    return f"{number / 1e9:.2f} B" if number >= 1e7 else f"{number / 1e6:.1f} M"


Peaks = Sequence[tuple[str, Sequence[float]]]
"""For each layout its description and the peak bytes of a GPU in each column."""


def comparison_table(rows: Peaks, columns: Sequence[str]) -> Table:
    """Shows the peaks of several layouts in GB, one layout a row."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("strategy")
    for column in columns:
        table.add_column(column, justify="right")
    for name, values in rows:
        table.add_row(name, *(f"{value / GB:.0f}" for value in values))
    return table


def comparison_markdown(rows: Peaks, columns: Sequence[str]) -> str:
    """Writes the table of `comparison_table` in Markdown."""
    lines = [["strategy", *columns], ["---", *("---:" for _ in columns)]]
    lines += [[name, *(f"{value / GB:.0f}" for value in values)] for name, values in rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
