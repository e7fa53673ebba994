"""The commands: composition, and what is said to a person."""
