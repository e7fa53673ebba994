"""Memory by part and phase, worked out by hand and against tensors that are really there."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.memory.test_shape import LLAMA
from transformers import AutoConfig, AutoModelForCausalLM

from cgpo.config import Strategy
from cgpo.errors import UserError
from cgpo.memory.estimate import PHASES, estimate
from cgpo.memory.job import Job, Layout, Weights
from cgpo.memory.shape import (
    AUTOCAST,
    BFLOAT16,
    FLOAT32,
    cache_bytes,
    layer_activations,
    measure_shape,
    update_activations,
)
from cgpo.memory.tables import suggest_changes

SHAPE = measure_shape(LLAMA)
P = SHAPE.parameters
POLICY = Weights("policy", SHAPE)
JOB = Job(POLICY, Layout(), replace(POLICY, name="reference"), max_tokens=64, responses=8)


def parts(job: Job) -> dict[str, float]:
    return {part.name: part.bytes for part in estimate(job).parts}


def test_one_device_in_float32_is_sixteen_bytes_a_parameter_and_the_reference() -> None:
    found = parts(JOB)
    assert found["policy: master weights"] == 4 * P
    assert found["AdamW: moments"] == 8 * P
    assert found["gradients"] == 4 * P
    assert found["reference"] == 4 * P


@pytest.mark.parametrize(
    ("precision", "dtype", "bytes_each"), [("bf16-true", "bfloat16", 2), ("bf16-mixed", "float32", 4)]
)
def test_shards_divide_what_training_holds(precision: str, dtype: str, bytes_each: int) -> None:
    strategy = Layout("fsdp", devices=4, nodes=2, precision=precision)
    found = parts(replace(JOB, layout=strategy, policy=replace(POLICY, dtype=dtype)))
    assert found["policy: master weights"] == bytes_each * P / 8
    assert found["AdamW: moments"] == 2 * bytes_each * P / 8
    assert found["rollout: gathered weights"] == 2 * P
    assert found["reference"] == 4 * P / 8


def test_a_reward_model_has_a_copy_with_each_tensor_parallel_peer() -> None:
    strategy = Layout("fsdp", devices=4, tensor_parallel=2)
    found = parts(replace(JOB, layout=strategy, helpers=(Weights("reward", SHAPE),)))
    assert (found["reference"], found["reward"]) == (4 * P / 4, 4 * P / 2)


def test_copies_are_whole_on_every_device() -> None:
    alone, copied = parts(JOB), parts(replace(JOB, layout=Layout("ddp", devices=8)))
    assert copied["policy: master weights"] == alone["policy: master weights"]
    assert copied["rollout: keys and values"] == alone["rollout: keys and values"] / 8


def test_adapters_leave_gradients_of_their_own_size_and_no_reference() -> None:
    found = parts(replace(JOB, rank=4, targets=["q_proj"], reference=None))
    assert found["gradients"] == 4 * 384
    assert found["AdamW: moments"] == 8 * 384
    assert "reference" not in found


def test_keys_and_values_by_hand() -> None:
    # 8 rows of 1,536 tokens, 3 layers, keys and values of width 8, float32.
    assert parts(JOB)["rollout: keys and values"] == 8 * 1536 * 3 * 2 * 8 * 4
    assert parts(replace(JOB, max_rows=2))["rollout: keys and values"] == 2 * 1536 * 3 * 2 * 8 * 4
    assert cache_bytes(SHAPE, 8, 10, 2, tensor_parallel=2) == 8 * 10 * 3 * 2 * 8 * 2 / 2


def test_activations_by_hand() -> None:
    layer = 10 * (24 * 16 + 8 * 16 + 8 * 8 + 16 * 32)
    assert layer_activations(SHAPE, 10, FLOAT32) == layer
    assert update_activations(SHAPE, 10, FLOAT32, checkpointing=False) == 3 * layer
    assert update_activations(SHAPE, 10, FLOAT32, checkpointing=True) == 3 * 10 * 4 * 16 + layer


def test_logits_are_made_as_many_at_a_time_as_the_policy_makes_on_a_gpu() -> None:
    wide = replace(POLICY, shape=replace(SHAPE, vocabulary=2**17))
    assert parts(replace(JOB, policy=wide, max_tokens=8192))["update: a chunk of logits"] == 1024 * 2**17 * 14
    assert parts(JOB)["update: a chunk of logits"] == 1536 * SHAPE.vocabulary * 14  # all of the longest row's


def test_where_models_lie() -> None:
    helpers = (Weights("a", SHAPE, "float32", device="cpu"), Weights("b", SHAPE, "bfloat16", "int8"))
    helpers += (Weights("c", SHAPE), Weights("d", SHAPE, unsynchronized=True))
    found = estimate(replace(JOB, layout=Layout("fsdp", devices=2), helpers=helpers))
    by_name = {part.name: part for part in found.parts}
    assert (by_name["a"].host, by_name["a"].bytes) == (True, 4 * P)
    assert (by_name["b"].host, by_name["b"].bytes) == (False, SHAPE.linear + 2 * (P - SHAPE.linear)), "never cut"
    assert (by_name["c"].bytes, by_name["d"].bytes) == (4 * P / 2, 4 * P)
    # While models are read: the policy and its reference once, and the larger of two others in each process.
    assert found.host == 2 * 4 * P + 2 * 4 * P


def test_of_pieces_the_first_process_reads_the_weights_of_all() -> None:
    fsdp = Layout("fsdp", devices=4)
    assert estimate(replace(JOB, layout=fsdp)).host == 2 * 4 * P
    assert estimate(replace(JOB, layout=fsdp, reference=None, rank=4)).host == 4 * P
    elsewhere = replace(POLICY, name="reference", quantization="int8")
    assert estimate(replace(JOB, layout=fsdp, reference=elsewhere)).host == 4 * 2 * 4 * P
    assert estimate(replace(JOB, layout=Layout("ddp", devices=4))).host == 4 * 2 * 4 * P


@given(st.sampled_from(["single", "ddp", "fsdp"]), st.integers(1, 16), st.booleans(), st.integers(1, 4096))
def test_checkpointing_never_costs_memory_and_a_phase_is_the_sum_of_its_parts(
    strategy: Strategy, devices: int, checkpointing: bool, tokens: int
) -> None:
    job = replace(JOB, layout=Layout(strategy, devices), checkpointing=checkpointing, max_tokens=tokens)
    found = estimate(job)
    assert estimate(replace(job, checkpointing=True)).gpu("update") <= found.gpu("update")
    for phase in PHASES:
        assert found.gpu(phase) == sum(p.bytes for p in found.parts if phase in p.phases and not p.host)
    assert found.peak == max(found.gpu(phase) for phase in PHASES) == found.gpu(found.peak_phase)


def test_advice_is_sorted_and_each_piece_helps() -> None:
    big = replace(JOB, checkpointing=False, max_tokens=100_000)
    found = estimate(big)
    given_advice = suggest_changes(found)
    assert given_advice[0][1] == min(most for _, most in given_advice)
    assert "model.gradient_checkpointing=true" in dict(given_advice)
    assert all(most < found.peak for _, most in given_advice)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"strategy": "zero"}, r"Layout\.strategy is 'zero': it must be single, ddp or fsdp"),
        ({"precision": "16"}, r"Layout\.precision is '16': it must be 32-true, "),
        ({"devices": 0}, r"Layout\.devices is 0: it must be a whole number of at least 1"),
        ({"devices": 4, "tensor_parallel": 3}, r"trainer\.tensor_parallel is 3: it must divide the 4 processes"),
    ],
)
def test_strategies_that_there_are_not(values: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Layout(**values)  # pyright: ignore[reportArgumentType]


def test_state_is_what_the_tensors_take() -> None:
    settings = dict(LLAMA)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(settings.pop("model_type"), **settings))
    optimizer = torch.optim.AdamW(model.parameters())
    model(input_ids=torch.tensor([[1, 2, 3]])).logits.sum().backward()
    optimizer.step()
    found = parts(JOB)
    assert sum(p.nbytes for p in model.parameters()) == found["policy: master weights"]
    assert sum(p.grad.nbytes for p in model.parameters()) == found["gradients"]
    moments = (state[key] for state in optimizer.state.values() for key in ("exp_avg", "exp_avg_sq"))
    assert sum(moment.nbytes for moment in moments) == found["AdamW: moments"]


@pytest.mark.parametrize(("kept", "dtype"), [(FLOAT32, torch.float32), (BFLOAT16, torch.bfloat16), (AUTOCAST, None)])
@pytest.mark.parametrize(("hidden", "intermediate", "keys"), [(128, 512, 2), (256, 512, 2), (128, 1024, 4)])
def test_a_layer_keeps_what_autograd_says(
    kept: object, dtype: torch.dtype | None, hidden: int, intermediate: int, keys: int
) -> None:
    """Two depths, so that what does not belong to a layer falls out; weights that autocast copied are left out."""
    settings = {**LLAMA, "hidden_size": hidden, "intermediate_size": intermediate, "num_key_value_heads": keys}
    tokens = 120  # of no weight's width
    bytes_of = {layers: _saved({**settings, "num_hidden_layers": layers}, tokens, dtype) for layers in (2, 4)}
    found = (bytes_of[4] - bytes_of[2]) / 2
    assert layer_activations(measure_shape(settings), tokens, kept) == pytest.approx(found, rel=0.1)  # pyright: ignore[reportArgumentType]


def _saved(settings: dict[str, object], tokens: int, dtype: torch.dtype | None) -> int:
    """Bytes of the storages that autograd keeps of a forward pass, weights and their copies excepted."""
    made = dict(settings)
    config = AutoConfig.for_model(str(made.pop("model_type")), **made)
    model = AutoModelForCausalLM.from_config(config, dtype=dtype or torch.float32).base_model
    weights = {p.shape for p in model.parameters()} | {p.shape[::-1] for p in model.parameters()}
    sizes: dict[int, int] = {}
    held = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.shape not in weights:
            held.append(tensor)
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    autocast = torch.autocast("cpu", torch.bfloat16, enabled=dtype is None)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor), autocast:
        result = model(input_ids=torch.arange(tokens)[None] % 100, use_cache=False).last_hidden_state
    assert result.requires_grad
    return sum(sizes.values())
