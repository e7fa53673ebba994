"""What watches a run: metrics, samples, evaluations, the hacking alarm. None of it is known to the module."""

from cgpo.trainer.callbacks.alarm import HackingAlarm
from cgpo.trainer.callbacks.baselines import BaselinesAhead
from cgpo.trainer.callbacks.evaluator import Evaluator
from cgpo.trainer.callbacks.metrics import TaskMetrics
from cgpo.trainer.callbacks.samples import SampleLog

__all__ = ["BaselinesAhead", "Evaluator", "HackingAlarm", "SampleLog", "TaskMetrics"]
