"""The built-in suite: the paper's five tasks in miniature, with their language, annotators and exact oracles."""
