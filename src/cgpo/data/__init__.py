"""Rows of a file become prompts with the metadata that judges need."""
