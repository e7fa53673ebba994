"""The rule-based judge of false refusals, which knows the phrases that models refuse with."""

from cgpo.judges.refusal.judge import RefusalRulesJudge

__all__ = ["RefusalRulesJudge"]
