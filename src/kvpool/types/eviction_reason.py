"""Why a block lost its identity."""

from __future__ import annotations

import enum

__all__ = ["EvictionReason"]


class EvictionReason(enum.IntEnum):
    """Why a block lost its identity."""

    CAPACITY = 1
    """An allocation needed its room."""
    RESET = 2
    """``reset`` or ``reset_blocks`` was called."""
    TRUNCATED = 3
    """A sequence took back tokens of it, and nobody else had a use for it."""
    PRESSURE = 4
    """``trigger_eviction`` was called."""
    AHEAD = 5
    """``evict_ahead`` made room before it was needed."""
