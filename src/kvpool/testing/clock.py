"""The time of a simulation."""

from __future__ import annotations

__all__ = ["Clock"]


class Clock:
    """A clock that stands still until it is moved.

    Attributes
    ----------
    seconds : float
    """

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self.seconds

    @property
    def nanoseconds(self) -> int:
        """The same, rounded."""
        return round(self.seconds * 1e9)
