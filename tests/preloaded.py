"""What a process that runs tests' modules has imported before it is forked: see `tests.processes`."""

import os

import lightning  # noqa: F401
import torch
import torch.distributed._functional_collectives
import torch.distributed.checkpoint
import torch.distributed.fsdp
import torch.distributed.tensor.parallel
import transformers.models.llama.modeling_llama  # noqa: F401

import cgpo.runs.train  # noqa: F401

torch.set_num_threads(1)
assert len(os.listdir("/proc/self/task")) == 1, "threads do not survive a fork"
