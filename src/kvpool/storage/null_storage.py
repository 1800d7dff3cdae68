"""Blocks without memory."""

from __future__ import annotations

from kvpool.storage.layout import Layout
from kvpool.storage.storage import BASE_ALIGNMENT, Storage

__all__ = ["NullStorage"]

# Nothing is ever mapped there: it is not an address of the processors that we know.
_NOWHERE = 1 << 62


class NullStorage(Storage):
    """Addresses without memory, for tests of what only computes with them, and of devices that are not there.

    Parameters
    ----------
    layout : Layout
    device : tuple of int, default (1, 0)
        DLPack's device type and id that it claims to be of.

    Raises
    ------
    ValueError
        The layout has more than ``2**62`` bytes.
    """

    def __init__(self, layout: Layout, device: tuple[int, int] = (1, 0)) -> None:
        alignment = max(BASE_ALIGNMENT, layout.config.alignment)
        stride = -(-layout.part_bytes // alignment) * alignment
        if stride * layout.num_parts > _NOWHERE:
            raise ValueError(f"{layout.num_parts} parts of {stride} bytes are more than 2**62 bytes")
        bases = [_NOWHERE + part * stride for part in range(layout.num_parts)]
        super().__init__(layout, bases, None, device=device, is_host=False)
