"""Callbacks that watch a run: metrics, samples, evaluations, alarms, checkpoints; the module knows none of them."""

from cgpo.training.callbacks.alarm import HackingAlarm
from cgpo.training.callbacks.baselines import BaselinesAhead
from cgpo.training.callbacks.checkpoints import Checkpoints
from cgpo.training.callbacks.evaluator import Evaluator
from cgpo.training.callbacks.metrics import TaskMetrics
from cgpo.training.callbacks.progress import ProgressBar
from cgpo.training.callbacks.samples import SampleLog
from cgpo.training.callbacks.skipped import SkippedUpdates
from cgpo.training.callbacks.watchdog import Watchdog

__all__ = [
    "BaselinesAhead",
    "Checkpoints",
    "Evaluator",
    "HackingAlarm",
    "ProgressBar",
    "SampleLog",
    "SkippedUpdates",
    "TaskMetrics",
    "Watchdog",
]
