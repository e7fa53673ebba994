"""Standard benchmarks by EleutherAI's lm-evaluation-harness: its prompts, its scoring, local files or the hub's."""

from cgpo.standard_benchmarks.benchmark import Benchmark

__all__ = ["Benchmark"]
