"""Constrained Generative Policy Optimization with a Mixture of Judges (arXiv 2409.20370).

The public names are listed in `__all__`. Each is imported when it is first used, so that `import cgpo` loads no torch.
"""

from __future__ import annotations

import logging
import os
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cgpo.api.evaluating import Evaluation, evaluate
    from cgpo.api.judging import Judgements, judge
    from cgpo.api.models import RewardModel, load_policy
    from cgpo.api.prompts import read_prompts
    from cgpo.api.reports import Report, report
    from cgpo.api.runs import Run, Summary, load_run
    from cgpo.api.training import fit
    from cgpo.errors import UserError
    from cgpo.judges.base import Cost, Judge
    from cgpo.judges.code import CodeJudge
    from cgpo.judges.instruction_following import InstructionFollowingJudge
    from cgpo.judges.language_model import LanguageModelJudge
    from cgpo.judges.math import MathJudge
    from cgpo.judges.panel import Panel, ProcessJudge, VerdictCache
    from cgpo.judges.refusal import RefusalRulesJudge
    from cgpo.optimizer import (
        CODPO,
        CRPG,
        CRRAFT,
        DPO,
        GRPO,
        PPO,
        RAFT,
        REINFORCE,
        RLOO,
        ConstrainedOptimizer,
        Lagrangian,
        OnlineDPO,
    )
    from cgpo.policy.causal import CausalPolicy
    from cgpo.rollout import DecodingSampler
    from cgpo.tasks.task import Task
    from cgpo.training.data_module import PromptDataModule
    from cgpo.training.module import CGPOModule
    from cgpo.training.observer import Observer
    from cgpo.training.preemption import PreemptedError
    from cgpo.types import Outcome, Prompt, Sample, Verdict

__version__ = "0.2.0"

__all__ = [
    "CODPO",
    "CRPG",
    "CRRAFT",
    "DPO",
    "GRPO",
    "PPO",
    "RAFT",
    "REINFORCE",
    "RLOO",
    "CGPOModule",
    "CausalPolicy",
    "CodeJudge",
    "ConstrainedOptimizer",
    "Cost",
    "DecodingSampler",
    "Evaluation",
    "InstructionFollowingJudge",
    "Judge",
    "Judgements",
    "Lagrangian",
    "LanguageModelJudge",
    "MathJudge",
    "Observer",
    "OnlineDPO",
    "Outcome",
    "Panel",
    "PreemptedError",
    "ProcessJudge",
    "Prompt",
    "PromptDataModule",
    "RefusalRulesJudge",
    "Report",
    "RewardModel",
    "Run",
    "Sample",
    "Summary",
    "Task",
    "UserError",
    "Verdict",
    "VerdictCache",
    "__version__",
    "evaluate",
    "fit",
    "judge",
    "load_policy",
    "load_run",
    "read_prompts",
    "report",
]

_ROOMS = {
    "api.evaluating": ("Evaluation", "evaluate"),
    "api.judging": ("Judgements", "judge"),
    "api.models": ("RewardModel", "load_policy"),
    "api.prompts": ("read_prompts",),
    "api.reports": ("Report", "report"),
    "api.runs": ("Run", "Summary", "load_run"),
    "api.training": ("fit",),
    "errors": ("UserError",),
    "judges.base": ("Cost", "Judge"),
    "judges.code": ("CodeJudge",),
    "judges.instruction_following": ("InstructionFollowingJudge",),
    "judges.language_model": ("LanguageModelJudge",),
    "judges.math": ("MathJudge",),
    "judges.panel": ("Panel", "ProcessJudge", "VerdictCache"),
    "judges.refusal": ("RefusalRulesJudge",),
    "optimizer": (
        *("CODPO", "CRPG", "CRRAFT", "DPO", "GRPO", "PPO", "RAFT", "REINFORCE", "RLOO"),
        *("ConstrainedOptimizer", "Lagrangian", "OnlineDPO"),
    ),
    "policy.causal": ("CausalPolicy",),
    "rollout": ("DecodingSampler",),
    "tasks.task": ("Task",),
    "training.data_module": ("PromptDataModule",),
    "training.module": ("CGPOModule",),
    "training.observer": ("Observer",),
    "training.preemption": ("PreemptedError",),
    "types": ("Outcome", "Prompt", "Sample", "Verdict"),
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}

# Read by OpenMP when torch is loaded: a thread that waits lets go of its core. Spinning instead makes a tiny model's
# step up to forty times slower as soon as another process wants a core.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Where torchao is installed transformers loads it with every model; it then names each CUDA kernel that it cannot use.
for _name in ("torchao", "torch.utils._pytree"):
    logging.getLogger(_name).setLevel(logging.ERROR)


def __getattr__(name: str) -> object:
    if name not in _ROOM_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(f"{__name__}.{_ROOM_OF[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
