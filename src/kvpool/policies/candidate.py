"""What a policy is told of a block that can go."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Candidate"]


class Candidate(NamedTuple):
    """A cached block.

    Attributes
    ----------
    id : int
        Block id.
    sequence_hash : int
    last_access_time : float
        Seconds of the pool's clock: when it was last registered, matched or touched.
    priority : int
        In [0, 100].
    position : int
        Blocks before it in its sequence.
    reuse_count : int
        Times it was matched or touched since it was registered.
    """

    id: int
    sequence_hash: int
    last_access_time: float
    priority: int
    position: int
    reuse_count: int
