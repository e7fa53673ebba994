"""Drawing responses from a policy, without gradients."""

from cgpo.rollout.decoding import DecodingSampler

__all__ = ["DecodingSampler"]
