"""Decoding alone on a GPU: our engines, `generate` in three ways, and continuous batching."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from gpu_bounds import PEAKS, cost_of
from gpu_policies import PAD, Sizes, build_policy, prompt_texts
from gpu_step import wait_for
from transformers import ContinuousBatchingConfig, GenerationConfig

from cgpo.policy.causal import CausalPolicy
from cgpo.rollout import DecodingSampler
from cgpo.types import Prompt

Engine = Callable[[CausalPolicy, list[str], int], object]
"""Draws so many tokens for each text; texts that are equal may be read once."""


def ours(policy: CausalPolicy, texts: list[str], tokens: int, engine: str) -> object:
    """The project's sampler, texts included, `K` responses to each distinct prompt."""
    prompts = [Prompt(str(i), text) for i, text in enumerate(dict.fromkeys(texts))]
    sampler = DecodingSampler(tokens, engine=engine)
    return sampler.sample(policy, prompts, len(texts) // len(prompts), seed=0)


def generate(policy: CausalPolicy, texts: list[str], tokens: int, **settings: Any) -> object:
    """`transformers`' own loop."""
    model: Any = policy.model
    ids = torch.tensor(_encoded(policy, texts), device=model.device)
    config = _generation(tokens, **settings)
    return model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=config)


def generate_batch(policy: CausalPolicy, texts: list[str], tokens: int) -> object:
    """`transformers`' continuous batching, with what it chooses itself on a GPU, kept from call to call."""
    model: Any = policy.model
    on_cpu = model.device.type == "cpu"
    batching = ContinuousBatchingConfig(num_blocks=64, max_batch_tokens=64) if on_cpu else ContinuousBatchingConfig()
    found = model.generate_batch(
        _encoded(policy, texts),
        generation_config=_generation(tokens),
        continuous_batching_config=batching,
        persistent_manager=True,
    )
    lengths = [len(output.generated_tokens) for output in found.values()]
    if lengths != [tokens] * len(texts):
        raise RuntimeError(f"generate_batch drew {sum(lengths)} of {tokens * len(texts)} tokens")
    return found


ENGINES: dict[str, Engine] = {
    "dynamic": partial(ours, engine="dynamic"),
    "static": partial(ours, engine="static"),
    "generate": generate,
    "generate-static": partial(generate, cache_implementation="static", disable_compile=True),
    "generate-compiled": partial(generate, cache_implementation="static"),
    "generate-batch": generate_batch,
}


def measure_decoding(model: str, variant: str, sizes: Sizes, device: str) -> Iterator[dict[str, Any]]:
    """A row for each number of responses at once.

    The engine draws one token, and `sizes.decoded` tokens: the difference is what decoding takes, without reading the
    prompts and without what the engine sets up for each call.

    Args:
        model: name of a shape; weights are in bfloat16.
        variant: one of `ENGINES`.
        sizes: how much is run.
        device: `cuda` or `cpu`.
    """
    # Nothing ends a response: no token has the end's number.
    policy = build_policy(model, device, torch.bfloat16)
    assert policy.model.generation_config is not None
    policy.model.generation_config.eos_token_id = None
    policy = replace(policy, eos_ids=frozenset({policy.model.config.vocab_size}))
    distinct = prompt_texts(sizes.prompts, sizes.prompt, sizes.prompt, policy.model.config.vocab_size)
    model_itself: Any = policy.model
    for rows in sizes.rows:
        copies = max(1, rows // sizes.prompts)
        texts = [text for text in distinct[: rows // copies] for _ in range(copies)]
        yield _measure(ENGINES[variant], policy, texts, sizes, device)
        model_itself.destroy_cached_continuous_batching_manager()  # it is made for so many rows


def _measure(engine: Engine, policy: CausalPolicy, texts: list[str], sizes: Sizes, device: str) -> dict[str, Any]:
    run = partial(_seconds, engine, policy, texts, device)
    run(sizes.decoded)  # warms up, compiles, captures
    first = run(1)
    whole = min(run(sizes.decoded), run(sizes.decoded))
    steps = sizes.decoded - 1
    # Where a call takes as long for one token there is nothing to say of the others.
    decoding = whole - first if whole > first else None
    must = cost_of(policy.model).decoded_bytes(len(texts), sizes.prompt, steps)
    peak = PEAKS.get(torch.cuda.get_device_name()) if device == "cuda" else None
    return {
        "rows": len(texts),
        "tokens_a_second": len(texts) * sizes.decoded / whole,
        "decoding_tokens_a_second": None if decoding is None else len(texts) * steps / decoding,
        "bytes_a_second": None if decoding is None else must / decoding,
        "bandwidth_share": None if decoding is None or peak is None else must / decoding / peak.bandwidth,
    }


@torch.no_grad()
def _seconds(engine: Engine, policy: CausalPolicy, texts: list[str], device: str, tokens: int) -> float:
    start = wait_for(device)
    engine(policy, texts, tokens)
    return wait_for(device) - start


def _encoded(policy: CausalPolicy, texts: list[str]) -> list[list[int]]:
    return [policy.encode_prompt(Prompt(text, text)) for text in texts]


def _generation(tokens: int, **settings: Any) -> GenerationConfig:
    return GenerationConfig(do_sample=True, top_k=0, max_new_tokens=tokens, pad_token_id=PAD, **settings)
