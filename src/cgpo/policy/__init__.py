"""The policy: a causal language model, and the log-probabilities of its responses."""
