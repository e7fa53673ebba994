"""Tasks as experts: prompts, reward model, judges and constrained optimizer together."""
