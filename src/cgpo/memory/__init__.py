"""Estimates the memory of a run before it starts, from its models' shapes and how they are spread over devices."""
