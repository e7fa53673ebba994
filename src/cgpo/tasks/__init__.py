"""The expert of a task: its prompts, reward model, judges and constrained optimizer, bound together."""
