"""The rule-based judge of false refusals: what models say when they refuse, and where they say it."""

from cgpo.judges.refusal.judge import RefusalRulesJudge

__all__ = ["RefusalRulesJudge"]
