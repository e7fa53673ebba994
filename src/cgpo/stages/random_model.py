"""A model of a given architecture at toy size with random weights, to try a recipe without its real models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification

from cgpo.errors import UserError, first_line
from cgpo.stages.suite import suite_tokenizer
from cgpo.tensors import seeded

CLASSES = {"causal": AutoModelForCausalLM, "reward": AutoModelForSequenceClassification}
TOY: Mapping[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    # The suite's tokenizer has this many tokens, and judges' templates are long in them.
    "vocab_size": 768,
    "max_position_embeddings": 4096,
    "initializer_range": 0.06,
    # There is no long context to scale to.
    "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
}


def toy_architecture(architecture: Mapping[str, Any]) -> dict[str, Any]:
    """Returns an architecture at toy size."""
    return {**architecture, **TOY}


@dataclass(frozen=True)
class RandomModel:
    """A tiny model of the same `transformers` class as a real one, with the suite's tokenizer.

    Attributes:
        architecture: the content of the real model's `config.json`, whose `model_type` names the class.
        kind: `causal`, or `reward` for a sequence classifier with one output.
        seed: the seed of the weights.

    Raises:
        UserError: there is no such kind, or the `model_type` is missing.
    """

    architecture: Mapping[str, Any]
    kind: str = "causal"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in CLASSES:
            raise UserError(f"kind is {self.kind!r}: choose {' or '.join(CLASSES)}")
        if "model_type" not in self.architecture:
            raise UserError("architecture: model_type is missing")

    def build(self, folder: Path) -> None:
        """Writes the model and the tokenizer as a `transformers` folder.

        Raises:
            UserError: transformers has no model of this type.
        """
        tokenizer: Any = suite_tokenizer(context_length=TOY["max_position_embeddings"])
        settings = {**toy_architecture(self.architecture), "vocab_size": len(tokenizer)}
        settings |= {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
        settings |= {"bos_token_id": None} | ({"num_labels": 1} if self.kind == "reward" else {})
        auto_config: Any = AutoConfig
        model_type = settings.pop("model_type")
        try:
            config = auto_config.for_model(model_type, **settings)
        except ValueError as error:
            raise UserError(f"architecture: {first_line(error)}") from error
        auto_class: Any = CLASSES[self.kind]
        with seeded(self.seed):
            model = auto_class.from_config(config)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
