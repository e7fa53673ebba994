"""The built-in suite: five tasks with their prompts, demonstrations, annotators, oracles, tokenizer and tiny model."""

from cgpo.suite.oracles import SuiteOracle, SuiteSafety
from cgpo.suite.source import SuiteSource

__all__ = ["SuiteOracle", "SuiteSafety", "SuiteSource"]
