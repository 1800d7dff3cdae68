"""What was left when a pool was closed."""

from __future__ import annotations

from typing import NamedTuple

from kvpool.types.hold import Hold

__all__ = ["CloseReport"]


class CloseReport(NamedTuple):
    """What was left when a pool was closed.

    Attributes
    ----------
    holds : tuple of Hold
        Who holds blocks still, oldest first.
    undelivered_events : int
        Events that subscribers did not get, because the time to wait for them was over; once for each of them.
    """

    holds: tuple[Hold, ...]
    undelivered_events: int
