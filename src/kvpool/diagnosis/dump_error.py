"""The error for what cannot be read."""

from kvpool.errors import BlockPoolError

__all__ = ["DumpError"]


class DumpError(BlockPoolError):
    """A dump, or what a pool server answered, cannot be used: one line that says why."""
