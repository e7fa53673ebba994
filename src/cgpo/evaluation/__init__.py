"""Evaluation on held-out prompts: numbers with confidence intervals, comparisons of policies, the hacking alarm."""
