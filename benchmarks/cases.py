"""What is measured: models, prompts, and responses of a length that chance alone decides."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

PROMPTS, COPIES = 8, 8
SHAPES: dict[str, dict[str, int]] = {
    "stories260K": {
        "vocab_size": 512,
        "hidden_size": 64,
        "intermediate_size": 172,
        "num_hidden_layers": 5,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
    },
    "stories3M": {
        "vocab_size": 4096,
        "hidden_size": 192,
        "intermediate_size": 512,
        "num_hidden_layers": 6,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
    },
}
NOUNS = "cat dog boy girl bird fish frog bear duck pig cow hen fox bug bee ant car toy tree man king sun".split()  # noqa: SIM905


@dataclass(frozen=True)
class Case:
    """One row of the table.

    Attributes:
        name: of the row.
        shortest: fewest tokens of a response.
        longest: most tokens of a response.
        mean: of the lengths before the cut at `longest`; equal to `longest` where all are equally long.
    """

    name: str
    shortest: int
    longest: int
    mean: int

    @property
    def hazard(self) -> float:
        """Probability that a response ends at a token from the shortest length on; 0 where all are equally long."""
        return 0.0 if self.mean == self.longest else 1.0 / (self.mean - self.shortest + 1)

    def lengths(self, count: int) -> list[int]:
        """Lengths drawn from the case's distribution, longest first."""
        if self.hazard == 0.0:
            return [self.longest] * count
        noise = torch.rand(count, generator=torch.Generator().manual_seed(0)).tolist()
        drawn = [self.shortest + int(math.log(u) / math.log(1 - self.hazard)) for u in noise]
        return sorted((min(length, self.longest) for length in drawn), reverse=True)


CASES = (Case("64 tokens each", 64, 64, 64), Case("8 to 256 tokens", 8, 256, 64))


def model_folder(name: str, models_folder: Path, scratch: Path) -> tuple[Path, str]:
    """A folder with the model, and what it holds; random weights of the same shape where it is not at hand."""
    if (models_folder / name / "config.json").is_file():
        return models_folder / name, "pretrained"
    words = ["<pad>", "<s>", "</s>", "once", "a", *NOUNS]
    words += [f"w{i}" for i in range(len(words), SHAPES[name]["vocab_size"])]
    base = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<pad>"))
    base.pre_tokenizer = pre_tokenizers.WhitespaceSplit()  # pyright: ignore[reportAttributeAccessIssue]
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=base, eos_token="</s>", pad_token="<pad>", unk_token="<pad>")
    shape: dict[str, Any] = {**SHAPES[name], "max_position_embeddings": 512, "tie_word_embeddings": True}
    config = LlamaConfig(**shape, pad_token_id=0, eos_token_id=2)
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(scratch / name)
    tokenizer.save_pretrained(scratch / name)
    return scratch / name, "random weights"


def prompt_texts(tokenizer: Any) -> list[str]:
    """Prompts of equally many tokens, so that their length says nothing."""
    by_length: dict[int, list[str]] = defaultdict(list)
    for noun in NOUNS:
        text = f"once a {noun}"
        by_length[len(tokenizer(text)["input_ids"])].append(text)
    texts = max(by_length.values(), key=len)
    return texts[:PROMPTS]


def force_lengths(model: Any, case: Case, prompt_width: int, eos_id: int) -> None:
    """Makes decoding end responses by chance alone: from the shortest length on, with the same probability anywhere.

    Only a forward pass that reads one token a row is touched: training sees the model's own logits.
    """

    def hook(module: Any, args: Any, kwargs: dict[str, Any], output: Any) -> None:
        cache = kwargs.get("past_key_values")
        if cache is None or output.logits.shape[1] != 1:
            return
        logits = output.logits[:, -1]
        logits[:, eos_id] = -math.inf
        if case.hazard and cache.get_seq_length() - prompt_width + 1 >= case.shortest:
            logits[:, eos_id] = logits.logsumexp(-1) + math.log(case.hazard / (1 - case.hazard))

    model.register_forward_hook(hook, with_kwargs=True)


def reward(text: str) -> float:
    """Costs nothing, and differs from response to response, so that none is left out of the objective."""
    return 0.05 * text.count("e") + 0.001 * len(text)
