"""Optimizers: one file each, a pure function of a task's whole batch with its hyper-parameters.

CRPG, CODPO and CRRAFT are constrained (the paper's own); the others are baselines, which no verdict touches, except
that `Lagrangian` prices violations.
"""

from cgpo.optimizer.base import Choice, ConstrainedOptimizer, OptimizerState, Pair, StatefulOptimizer
from cgpo.optimizer.codpo import CODPO
from cgpo.optimizer.crpg import CRPG
from cgpo.optimizer.crraft import CRRAFT
from cgpo.optimizer.grpo import GRPO
from cgpo.optimizer.lagrangian import Lagrangian
from cgpo.optimizer.ppo import PPO
from cgpo.optimizer.preference import DPO, OnlineDPO
from cgpo.optimizer.raft import RAFT
from cgpo.optimizer.reinforce import REINFORCE, RLOO

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
    "Choice",
    "ConstrainedOptimizer",
    "Lagrangian",
    "OnlineDPO",
    "OptimizerState",
    "Pair",
    "StatefulOptimizer",
]
