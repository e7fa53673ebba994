"""The order of calls: one iteration of Algorithm 2, what observes it, and evaluation."""
