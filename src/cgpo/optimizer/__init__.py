"""Constrained optimizers: one file each, a pure function of a task's whole batch with its hyper-parameters."""

from cgpo.optimizer.codpo import CODPO
from cgpo.optimizer.crpg import CRPG
from cgpo.optimizer.crraft import CRRAFT

__all__ = ["CODPO", "CRPG", "CRRAFT"]
