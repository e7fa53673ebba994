"""Constrained Generative Policy Optimization with a Mixture of Judges (arXiv 2409.20370)."""

import logging
import os

# Read by OpenMP when torch is loaded: a thread that waits lets go of its core. Spinning instead makes a tiny model's
# step up to forty times slower as soon as another process wants a core.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Where torchao is installed transformers loads it with every model; it then names each CUDA kernel that it cannot use.
for _name in ("torchao", "torch.utils._pytree"):
    logging.getLogger(_name).setLevel(logging.ERROR)
