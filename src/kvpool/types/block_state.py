"""Where a block is in its life."""

from __future__ import annotations

import enum

__all__ = ["BlockState"]


class BlockState(enum.Flag):
    """State of a block.

    ``AVAILABLE`` --allocate--> ``ALLOCATED`` --register--> ``ACTIVE`` --last drop--> ``RETURNED``; a match makes a
    returned block active again; a drop before registering, an eviction and a reset make a block available.
    """

    AVAILABLE = 1
    """In the inactive pool, without identity."""
    ALLOCATED = 2
    """Owned by one mutable handle."""
    ACTIVE = 4
    """Registered, and held by some handle, itself or through a block that continues it."""
    RETURNED = 8
    """Registered, held by nobody, can still be matched."""
    REGISTERED = ACTIVE | RETURNED
