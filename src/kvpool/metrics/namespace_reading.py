"""What a namespace has, as it was read."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["NamespaceReading"]


class NamespaceReading(NamedTuple):
    """What a namespace has, and may have, as it was read.

    Attributes
    ----------
    name : str
    held, cached, floor, cap : int
        Blocks; see :class:`Namespace`.
    """

    name: str
    held: int
    cached: int
    floor: int
    cap: int
