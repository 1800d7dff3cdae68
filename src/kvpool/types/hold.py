"""Who holds blocks."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["Hold"]


class Hold(NamedTuple):
    """Blocks that are held.

    Attributes
    ----------
    owner : object
        The ``owner=`` that the call was given; None when it was given none.
    kind : str
        ``"mutable"``, ``"immutable"``, ``"sequence"``, ``"pin"`` or ``"view"``; a view, and the tensors made from it,
        have no owner.
    blocks : int
        How many blocks; one that is held twice counts twice.
    age : float
        Seconds since the hold began, by the pool's clock.
    """

    owner: Any
    kind: str
    blocks: int
    age: float
