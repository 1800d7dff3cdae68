"""A namespace, as an index knows it."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["NamespaceRecord"]


class NamespaceRecord(NamedTuple):
    """A namespace of the pool that was saved.

    Attributes
    ----------
    name : str
        The default one's is ``""``.
    salt_hash : int
    floor, cap : int
        Blocks; see :meth:`BlockPool.namespace`.
    """

    name: str
    salt_hash: int
    floor: int
    cap: int
