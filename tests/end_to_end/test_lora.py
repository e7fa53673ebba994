"""`python -m cgpo.train model.lora=…`, and what it leaves behind."""

import json
from pathlib import Path

import torch
from peft import PeftModel
from tests.end_to_end.tiny import PIPELINE, RUN, cgpo
from transformers import AutoModelForCausalLM, AutoTokenizer

LORA = "model.lora={r:4,alpha:8}"
ONE_TASK = ["tasks=[engagement]", "judges=[false_refusal]", "logger=none"]


def test_adapters_are_trained_and_written_alone_and_merged(tmp_path: Path) -> None:
    arguments = [*PIPELINE, *RUN, *ONE_TASK, "optim.learning_rate=0.01", "hydra.run.dir=run"]
    done = cgpo("train", *arguments, LORA, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    (warmup,) = (path for path in (tmp_path / "cache/warmup").iterdir() if path.is_dir())
    policy = tmp_path / "run/policy"
    tokens = torch.tensor([AutoTokenizer.from_pretrained(policy)("say something")["input_ids"]])
    base = AutoModelForCausalLM.from_pretrained(warmup)
    before = base(tokens).logits
    merged = AutoModelForCausalLM.from_pretrained(policy)(tokens).logits
    alone = PeftModel.from_pretrained(base, str(policy / "adapter"))(tokens).logits
    torch.testing.assert_close(alone, merged, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(merged, before, atol=1e-3), "something was learnt"
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert abs(summary["tasks"]["engagement"]["before"]["kl"]) < 1e-4

    wrong = cgpo("train", *arguments, "model.lora={targets:[qproj]}", "hydra.run.dir=wrong", folder=tmp_path)
    assert wrong.returncode == 1
    (line,) = [line for line in wrong.stderr.splitlines() if line.startswith("error: ")]
    assert "model.lora.targets: the model has no linear layer 'qproj'; choose all-linear, down_proj" in line
