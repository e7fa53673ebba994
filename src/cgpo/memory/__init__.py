"""The memory plan of a run, from its models' shapes and its strategy."""
