import json
import math
from pathlib import Path

import pytest
import torch
from tests.policy.tiny import EOS, PAD, STOP, prompt, save_tiny, tiny_model, tiny_policy, tiny_tokenizer, words
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from cgpo.errors import UserError
from cgpo.models.pretrained import load_pretrained, load_tokenizer, torch_dtype, without_dropout
from cgpo.policy.causal import load_policy, policy_from_model
from cgpo.policy.logprobs import response_logprobs
from cgpo.types import Prompt

TEMPLATE = (
    "{% for m in messages %}{{ '<stop> ' if m['role'] == 'user' else 'w31 ' }}{{ m['content'] }} {% endfor %}"
    "{% if add_generation_prompt %}w30{% endif %}"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_tiny(tmp_path / "model")


def loading(folder: Path | str) -> str:
    """What a person reads who loads a folder that cannot be loaded."""
    with pytest.raises(UserError) as caught:
        load_policy(str(folder))
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_loads_what_was_saved(folder: Path) -> None:
    policy = load_policy(str(folder))
    saved, loaded = tiny_model(dtype=torch.float32).state_dict(), policy.model.state_dict()
    assert saved.keys() == loaded.keys()
    assert all(torch.equal(saved[name], loaded[name]) for name in saved)
    assert (policy.pad_id, policy.context_length) == (PAD, 64)


def test_every_end_token_is_known(folder: Path) -> None:
    assert load_policy(str(folder)).eos_ids == {EOS, STOP}
    generation = json.loads((folder / "generation_config.json").read_text())
    for configured, wanted in ((9, {EOS, 9}), ([8, 9], {EOS, 8, 9}), (None, {EOS})):
        (folder / "generation_config.json").write_text(json.dumps({**generation, "eos_token_id": configured}))
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "eos_token_id": None}))
        assert load_policy(str(folder)).eos_ids == wanted


def test_prompts_without_a_chat_template() -> None:
    policy = tiny_policy()
    assert policy.encode_prompt(prompt(5, 6, 7)) == [5, 6, 7]
    history = ({"role": "user", "content": "w8"}, {"role": "assistant", "content": "w9 w10"})
    assert policy.encode_prompt(prompt(5, history=history)) == [8, 9, 10, 5]


def test_prompts_through_the_chat_template(folder: Path) -> None:
    tiny_tokenizer(chat_template=TEMPLATE).save_pretrained(folder)
    policy = load_policy(str(folder))
    assert policy.encode_prompt(prompt(5, 6)) == [STOP, 5, 6, 30]
    history = ({"role": "user", "content": "w8"}, {"role": "assistant", "content": "w9 w10"})
    assert policy.encode_prompt(prompt(5, history=history)) == [STOP, 8, 31, 9, 10, STOP, 5, 30]


def test_a_given_response_ends() -> None:
    policy = tiny_policy()
    assert policy.encode_response("w5 w6") == [5, 6, EOS]
    assert policy.encode_response("") == [EOS]
    assert policy.decode(policy.encode_response("w5 w6")) == "w5 w6"
    other_end = policy_from_model(tiny_model(eos_token_id=[STOP]), tiny_tokenizer(eos_token=None))
    assert other_end.eos_ids == {STOP}
    assert other_end.encode_response("w5") == [5, STOP]


def test_the_text_has_no_special_tokens() -> None:
    assert tiny_policy().decode((5, STOP, 6, PAD, EOS)) == words(5, 6)


def test_padding_falls_back_to_an_end_token() -> None:
    assert policy_from_model(tiny_model(), tiny_tokenizer(pad_token=None)).pad_id == EOS


def test_a_model_that_nothing_ends_is_refused() -> None:
    model = tiny_model(eos_token_id=None)
    with pytest.raises(UserError, match="end"):
        policy_from_model(model, tiny_tokenizer(eos_token=None))


@pytest.mark.parametrize(("name", "dtype"), [("bfloat16", torch.bfloat16), ("float16", torch.float16)])
def test_low_precision(folder: Path, name: str, dtype: torch.dtype) -> None:
    policy = load_policy(str(folder), dtype=name)
    assert {p.dtype for p in policy.model.parameters()} == {dtype}


def test_an_unknown_dtype() -> None:
    for name in ("int8", "bf16", "nn", ""):
        with pytest.raises(UserError, match=r"^model\.dtype is .*bfloat16"):
            torch_dtype(name)


def test_dropout_is_off_even_in_training_mode(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "model", attention_dropout=0.5)
    policy = load_policy(str(folder))
    model = policy.model.train()
    ids, mask = torch.tensor([[7, 8, 9]]), torch.ones(1, 3, dtype=torch.bool)
    once, twice = (response_logprobs(model, [[5, 6]], ids, mask, 1.0, PAD) for _ in range(2))
    assert torch.equal(once, twice)
    noisy = tiny_model(dtype=torch.float32, attention_dropout=0.5).train()
    once, twice = (response_logprobs(noisy, [[5, 6]], ids, mask, 1.0, PAD) for _ in range(2))
    assert not torch.equal(once, twice), "the model of this test must have a dropout to set to 0"


def test_dropout_modules_are_set_to_zero() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Sequential(torch.nn.Dropout(0.9)))
    x = torch.ones(2, 4)
    assert torch.equal(without_dropout(model.train())(x), model.eval()(x))


class Counter:
    """Counts how often a module is run."""

    def __init__(self, module: torch.nn.Module) -> None:
        self.calls = 0
        module.register_forward_pre_hook(self._count)

    def _count(self, *_: object) -> None:
        self.calls += 1


def test_gradient_checkpointing_recomputes_and_changes_no_gradient(folder: Path) -> None:
    ids, mask = torch.tensor([[7, 8, 9]]), torch.ones(1, 3, dtype=torch.bool)
    gradients, calls = [], []
    for checkpointing in (False, True):
        policy = load_policy(str(folder), gradient_checkpointing=checkpointing)
        counter = Counter(policy.model.get_submodule("model.layers.0.mlp"))
        response_logprobs(policy.model, [[5, 6]], ids, mask, 1.0, PAD).sum().backward()
        calls.append(counter.calls)
        gradients.append([p.grad for p in policy.model.parameters()])
    assert calls == [1, 2], "with checkpointing the backward pass runs each layer once more"
    for plain, recomputed in zip(*gradients, strict=True):
        assert plain is not None
        assert recomputed is not None
        torch.testing.assert_close(plain, recomputed)


def test_the_reference_is_a_copy_that_training_does_not_touch() -> None:
    policy = tiny_policy()
    reference = policy.frozen_copy()
    before = {name: value.clone() for name, value in reference.model.state_dict().items()}
    assert all(torch.equal(before[name], value) for name, value in policy.model.state_dict().items())
    with torch.no_grad():
        for parameter in policy.model.parameters():
            parameter.add_(1.0)
    assert all(torch.equal(before[name], value) for name, value in reference.model.state_dict().items())
    assert not any(p.requires_grad for p in reference.model.parameters())
    assert all(p.requires_grad for p in policy.model.parameters())
    assert not reference.model.training
    assert (reference.eos_ids, reference.pad_id) == (policy.eos_ids, policy.pad_id)


def test_a_saved_policy_loads_with_transformers(tmp_path: Path) -> None:
    policy = tiny_policy(seed=3, dtype=torch.float32)
    policy.save(tmp_path / "saved")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "saved")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "saved")
    tokens = torch.tensor([[5, 6, 7]])
    assert torch.equal(model(tokens).logits, policy.model(tokens).logits)
    assert tokenizer("w5 w6")["input_ids"] == [5, 6]
    assert load_policy(str(tmp_path / "saved")).eos_ids == {EOS, STOP}


def test_a_missing_folder(tmp_path: Path) -> None:
    assert loading(tmp_path / "nowhere") == f"{tmp_path}/nowhere: there is no such model folder"
    for path in ("./nowhere", "~/nowhere", "some/deep/folder"):
        assert "there is no such model folder" in loading(path)


def test_a_file_for_a_folder(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("")
    assert "there is no such model folder" in loading(tmp_path / "model")


def test_a_folder_without_a_configuration(tmp_path: Path) -> None:
    assert "holds no config.json" in loading(tmp_path)


def test_invalid_json(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "llama",')
    message = loading(folder)
    assert message.startswith(f"{folder}/config.json is not valid JSON")


def test_a_configuration_of_nothing(folder: Path) -> None:
    (folder / "config.json").write_text("{}")
    assert loading(folder).startswith(f"{folder}: AutoModelForCausalLM cannot load it: ")


def test_weights_are_missing(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    assert loading(folder).startswith(f"{folder}: AutoModelForCausalLM cannot load it: ")


def test_weights_are_damaged(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"no tensors at all")
    assert loading(folder).startswith(f"{folder}: AutoModelForCausalLM cannot load it: ")


def test_the_tokenizer_is_missing(tmp_path: Path) -> None:
    tiny_model(dtype=torch.float32).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="AutoTokenizer cannot load it") as caught:
        load_tokenizer(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_keywords_are_passed_on(folder: Path) -> None:
    model = load_pretrained(AutoModelForSequenceClassification, str(folder), num_labels=3)
    assert model.config.num_labels == 3


def test_a_pretrained_model(shared: Path) -> None:
    folder = shared / "models" / "stories260K"
    if not folder.is_dir():
        pytest.skip(f"needs {folder}")
    policy = load_policy(str(folder))
    assert policy.eos_ids == {1, 2}
    assert policy.context_length == 512
    story = "Once upon a time, there was a little girl named Lily."
    assert policy.decode(policy.encode_response(story)).strip() == story
    start = policy.encode_prompt(Prompt("story", "Once upon a time,"))
    assert start[0] == policy.tokenizer.bos_token_id
    nats = []
    for text in ("there was a little girl", "of zebra? quantum of of"):
        ids = torch.tensor([policy.encode_response(text)[:-1]])
        found = response_logprobs(policy.model, [start], ids, torch.ones_like(ids, dtype=torch.bool), 1.0, 0)
        nats.append(found.mean().item())
    assert nats[0] > -1.5, "a model of stories knows how they begin"
    assert nats[0] > nats[1] + 2
    assert nats[1] < -math.log(10)
