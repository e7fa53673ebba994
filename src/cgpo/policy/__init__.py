"""The causal language model: loading it, and the log-probabilities of what it said."""
