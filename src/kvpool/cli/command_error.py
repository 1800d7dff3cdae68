"""The error with which a sub-command gives up."""

__all__ = ["CommandError"]


class CommandError(Exception):
    """What the user asked for cannot be done: one line that says why, and exit code 2."""
