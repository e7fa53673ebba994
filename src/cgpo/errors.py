"""The one exception that a person who runs a command is shown as a single line."""


class UserError(ValueError):
    """Bad input: a config value, a data row, a checkpoint. The message names where, what, and what to do."""
