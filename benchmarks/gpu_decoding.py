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
    ids = torch.tensor(_encoded(policy, texts), device=policy.model.device)
    config = _generation(tokens, **settings)
    return policy.model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=config)  # pyright: ignore[reportCallIssue]


def generate_batch(policy: CausalPolicy, texts: list[str], tokens: int) -> object:
    """`transformers`' continuous batching, with what it chooses itself on a GPU."""
    on_cpu = policy.model.device.type == "cpu"
    batching = ContinuousBatchingConfig(num_blocks=64, max_batch_tokens=64) if on_cpu else ContinuousBatchingConfig()
    found = policy.model.generate_batch(
        _encoded(policy, texts), generation_config=_generation(tokens), continuous_batching_config=batching
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

    Each engine draws one token, and `sizes.decoded` tokens: the difference is what decoding takes, without reading the
    prompts and without what an engine sets up for each call.

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
    cost = cost_of(policy.model)
    peak = PEAKS.get(torch.cuda.get_device_name()) if device == "cuda" else None
    distinct = prompt_texts(sizes.prompts, sizes.prompt, sizes.prompt, policy.model.config.vocab_size)
    for rows in sizes.rows:
        each = max(1, rows // sizes.prompts)
        texts = [text for text in distinct[: max(1, rows // each)] for _ in range(each)]
        run = partial(_seconds, ENGINES[variant], policy, texts, device)
        run(sizes.decoded)  # warms up, compiles, captures
        first = run(1)
        whole = min(run(sizes.decoded), run(sizes.decoded))
        steps, decoding = sizes.decoded - 1, max(whole - first, 1e-9)
        bytes_a_second = cost.decoded_bytes(len(texts), sizes.prompt, steps) / decoding
        yield {
            "rows": len(texts),
            "tokens_a_second": len(texts) * sizes.decoded / whole,
            "decoding_tokens_a_second": len(texts) * steps / decoding,
            "bytes_a_second": bytes_a_second,
            "bandwidth_share": None if peak is None else bytes_a_second / peak.bandwidth,
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
