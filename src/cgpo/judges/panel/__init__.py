"""The mixture of judges: a task's judges as one, each with its own thread, cache and caps."""

from cgpo.judges.panel.cache import VerdictCache
from cgpo.judges.panel.panel import Panel, PeerPanel, conjunction
from cgpo.judges.panel.process_judge import ProcessJudge

__all__ = ["Panel", "PeerPanel", "ProcessJudge", "VerdictCache", "conjunction"]
