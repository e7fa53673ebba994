"""What watches a run: metrics, samples, evaluations, alarms, checkpoints; the module knows none of it."""

from cgpo.trainer.callbacks.alarm import HackingAlarm
from cgpo.trainer.callbacks.baselines import BaselinesAhead
from cgpo.trainer.callbacks.checkpoints import Checkpoints
from cgpo.trainer.callbacks.evaluator import Evaluator
from cgpo.trainer.callbacks.metrics import TaskMetrics
from cgpo.trainer.callbacks.samples import SampleLog
from cgpo.trainer.callbacks.skipped import SkippedUpdates
from cgpo.trainer.callbacks.watchdog import Watchdog

__all__ = [
    "BaselinesAhead",
    "Checkpoints",
    "Evaluator",
    "HackingAlarm",
    "SampleLog",
    "SkippedUpdates",
    "TaskMetrics",
    "Watchdog",
]
