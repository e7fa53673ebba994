"""Standard benchmarks by EleutherAI's lm-evaluation-harness: its prompts and scoring, on local files or the hub."""

from cgpo.standard_benchmarks.benchmark import Benchmark

__all__ = ["Benchmark"]
