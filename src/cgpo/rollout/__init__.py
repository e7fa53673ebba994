"""Rollouts: sampling responses from the policy, without gradients."""

from cgpo.rollout.decoding import DecodingSampler

__all__ = ["DecodingSampler"]
