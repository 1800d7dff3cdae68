"""One block of the model."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DEFAULT_LEVEL", "MAX_PRIORITY", "NEVER", "PROTECTED_LEVEL", "TTL_LEVEL", "ModelBlock"]

DEFAULT_LEVEL = 35
TTL_LEVEL = MAX_PRIORITY = 100
PROTECTED_LEVEL = 101
NEVER = float("inf")


@dataclass(slots=True)
class ModelBlock:
    """What is known of one block.

    Attributes
    ----------
    generation : int
        How often the block was allocated.
    refs : int
        Handles that hold it and active children.
    sequence_hash : int or None
        None: not registered. The attributes below mean something for registered blocks only.
    parent : int or None
        Block id.
    children : int
        Registered blocks whose parent it is, active or not.
    level : int
        Priority.
    expiry : float
        Nanoseconds; infinite when it has none.
    is_parked : bool
        Cached, but in no list, because it has children.
    is_spared : bool
        Its turn to be evicted came while it was protected: it goes after all others.
    space : int
        Namespace that it was allocated for.
    """

    generation: int = 0
    refs: int = 0
    sequence_hash: int | None = None
    parent: int | None = None
    children: int = 0
    level: int = DEFAULT_LEVEL
    expiry: float = NEVER
    is_parked: bool = False
    is_spared: bool = False
    space: int = 0
