"""What watches a run: metrics, samples, evaluations. None of it is known to the module."""

from cgpo.trainer.callbacks.baselines import BaselinesAhead
from cgpo.trainer.callbacks.evaluator import Evaluator
from cgpo.trainer.callbacks.metrics import TaskMetrics
from cgpo.trainer.callbacks.samples import SampleLog

__all__ = ["BaselinesAhead", "Evaluator", "SampleLog", "TaskMetrics"]
