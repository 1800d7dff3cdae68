"""What became of a pool's events."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["EventStatistics"]


class EventStatistics(NamedTuple):
    """What became of a pool's events.

    Attributes
    ----------
    recorded : int
        Events so far; the sequence number of the next one.
    delivered : int
        Events handed to subscribers, once for each of them.
    missed : int
        Events that left the ring before a subscriber had them, once for each of them.
    errors : int
        Batches whose subscriber raised.
    subscribers : int
        How many there are.
    published, dropped : int
        Batches that event managers sent on, as over ZeroMQ, and those of them that somebody there did not get.
    """

    recorded: int
    delivered: int
    missed: int
    errors: int
    subscribers: int
    published: int = 0
    dropped: int = 0
