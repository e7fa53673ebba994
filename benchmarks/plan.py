"""The plan of a run's memory against what a run takes: `python benchmarks/plan.py`, some three minutes on a CPU.

A model of 37 million parameters. Exactly: bytes of parameters, gradients and AdamW's moments, and what autograd keeps
of a micro-batch. Roughly: the peak of the resident memory of a training run, less that of a tiny model, which is what
the interpreter, the libraries and the data take. Written to results/plan.json. Linux only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from cgpo.memory.estimate import PHASES, MemoryEstimate, estimate
from cgpo.memory.job import Job, Layout, Weights
from cgpo.memory.shape import FLOAT32, measure_shape, update_activations
from cgpo.stages.suite import suite_tokenizer

RESULTS = Path(__file__).parents[1] / "results/plan.json"
SIZES = {
    "tiny": {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2},
    "large": {"hidden_size": 640, "intermediate_size": 1728, "num_hidden_layers": 8},
}
MEASURED = """
from pathlib import Path
import sys
from cgpo.cli.main import main
main(["train", *sys.argv[1:]])
print(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
"""
"""A run that says at its end the most kB that it had in memory."""
RESPONSES, ANSWER, PROMPT, MAX_TOKENS = 16, 64, 40, 2048
RUN = [
    *("trainer=cpu", "trainer.threads=1", "logger=none", "pipeline=none", "judges=none"),
    *("tasks=reasoning", "reward=constant", "tasks.math_code.reward=constant", "updates=2"),
    *(f"tasks.math_code.batch_size={RESPONSES // 4}", "tasks.math_code.responses_per_prompt=4"),
    *(f"rollout.max_new_tokens={ANSWER}", f"update.max_tokens={MAX_TOKENS}"),
    *("data.math_code.train_size=64", "data.math_code.held_out_size=8"),
    *("callbacks.evaluation.prompts=4", "callbacks.evaluation.every=0"),
]
"""Random weights seldom end a response, so that every one has all its tokens."""


def architecture(size: str) -> dict[str, Any]:
    """A Llama of that size that reads the suite's tokens."""
    heads = {"num_attention_heads": 8, "num_key_value_heads": 4, "vocab_size": 768, "max_position_embeddings": 256}
    return {"model_type": "llama", **heads, **SIZES[size], "tie_word_embeddings": True}


def model(size: str) -> Any:
    """The same with random weights."""
    settings = architecture(size)
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(settings.pop("model_type"), **settings))


def planned(size: str, checkpointing: bool) -> MemoryEstimate:
    """What is said of the run."""
    policy = Weights("policy", measure_shape(architecture(size)))
    return estimate(
        Job(
            policy,
            Layout(),
            replace(policy, name="reference"),
            checkpointing=checkpointing,
            max_tokens=min(MAX_TOKENS, RESPONSES * (PROMPT + ANSWER)),
            responses=RESPONSES,
            prompt_tokens=PROMPT,
            response_tokens=ANSWER,
        )
    )


def on_a_cpu(found: MemoryEstimate) -> float:
    """The peak without what only a GPU has: its context, and AdamW's temporaries."""
    gpu_only = {"AdamW: temporaries": ("step",), "context and workspaces": PHASES}
    extra = {p: sum(x.bytes for x in found.parts if x.name in gpu_only and p in x.phases) for p in PHASES}
    return max(found.gpu(phase) - extra[phase] for phase in PHASES)


def exact() -> dict[str, dict[str, float]]:
    """Tensors of a step by hand, against the plan: measured and planned bytes."""
    network, saved = model("large"), {}
    own = {p.untyped_storage().data_ptr() for p in network.parameters()}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    ids = torch.randint(4, 768, (RESPONSES, PROMPT + ANSWER))
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        states = network.base_model(input_ids=ids, use_cache=False).last_hidden_state
    states.sum().backward()
    optimizer = torch.optim.AdamW(network.parameters())
    optimizer.step()
    parts = {part.name: part.bytes for part in planned("large", False).parts}
    moments = sum(s[key].nbytes for s in optimizer.state.values() for key in ("exp_avg", "exp_avg_sq"))
    measured = {
        "parameters": (sum(p.nbytes for p in network.parameters()), parts["policy: master weights"]),
        "gradients": (sum(p.grad.nbytes for p in network.parameters() if p.grad is not None), parts["gradients"]),
        "moments": (moments, parts["AdamW: moments"]),
        "activations": (
            sum(saved.values()),
            update_activations(measure_shape(architecture("large")), ids.numel(), FLOAT32, checkpointing=False),
        ),
    }
    return {name: _pair(found, said) for name, (found, said) in measured.items()}


def resident(size: str, checkpointing: bool, folder: Path) -> int:
    """Bytes of the largest resident memory of a run."""
    path = folder / size
    if not path.is_dir():
        model(size).save_pretrained(path)
        suite_tokenizer().save_pretrained(path)
    line = [f"model.path={path}", f"model.gradient_checkpointing={checkpointing}", f"cache_dir={folder}/cache"]
    line += [f"hydra.run.dir={folder}/{size}-{checkpointing}"]
    # glibc's arenas keep what was freed; without them the resident memory is nearer to what is in use.
    quiet = {**os.environ, "MALLOC_ARENA_MAX": "1", "MALLOC_TRIM_THRESHOLD_": "100000"}
    command = [sys.executable, "-c", MEASURED, *RUN, *line]
    done = subprocess.run(command, cwd=folder, env=quiet, capture_output=True, text=True, timeout=600)
    if done.returncode:
        raise SystemExit(f"the run failed: {done.stderr}")
    return int(done.stdout.split()[-1]) * 1024


def _pair(measured: float, said: float) -> dict[str, float]:
    measured, said = measured / 1e6, said / 1e6
    return {"measured_mb": round(measured, 1), "planned_mb": round(said, 1), "ratio": round(said / measured, 3)}


def main() -> None:
    """Measures, prints and writes."""
    torch.set_num_threads(1)
    found: dict[str, Any] = {
        "parameters": measure_shape(architecture("large")).parameters,
        "torch": torch.__version__,
        "exact": exact(),
        "resident": {},
    }
    with tempfile.TemporaryDirectory() as name:
        for checkpointing in (False, True):
            grown = resident("large", checkpointing, Path(name)) - resident("tiny", checkpointing, Path(name))
            said = on_a_cpu(planned("large", checkpointing)) - on_a_cpu(planned("tiny", checkpointing))
            found["resident"]["checkpointing" if checkpointing else "all activations"] = _pair(grown, said)
    print(json.dumps(found, indent=2))
    RESULTS.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
