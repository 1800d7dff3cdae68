"""Blocks in the memory of this process."""

from __future__ import annotations

import os

from kvpool._core.arena import Arena
from kvpool.storage.layout import Layout
from kvpool.storage.storage import BASE_ALIGNMENT, Storage

__all__ = ["HostStorage"]


_PHYSICAL_BYTES = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


class HostStorage(Storage):
    """Memory of this process: zeroed, aligned to at least 256 bytes, each part a mapping with a guard page behind it.

    Parameters
    ----------
    layout : Layout
    huge_pages : bool, default True
        Huge pages, where the system gives them.
    populate : bool, default True
        Have every page there before the first use, which makes first writes ten times faster. False takes memory only
        for what is touched.

    Raises
    ------
    MemoryError
        The system has not so much memory.

    Notes
    -----
    A write behind the last byte of a part ends the process instead of changing what is there; with an alignment below
    256, a part's bytes are first rounded up to 256.

    Examples
    --------
    >>> from kvpool.storage import FullyContiguous, HostStorage, LayoutConfig
    >>> layout = FullyContiguous(LayoutConfig(8, num_layers=2, outer_dim=2, page_size=16, inner_dim=512))
    >>> with HostStorage(layout) as storage:
    ...     storage.address(3, 1, 0) - storage.address(0, 0, 0)
    229376
    """

    def __init__(self, layout: Layout, *, huge_pages: bool = True, populate: bool = True) -> None:
        if populate and layout.nbytes > _PHYSICAL_BYTES:
            raise MemoryError(f"{layout.nbytes} bytes are more than the machine has, {_PHYSICAL_BYTES}")
        alignment = max(BASE_ALIGNMENT, layout.config.alignment)
        arenas = [
            Arena(layout.part_bytes, alignment, huge_pages=huge_pages, populate=populate)
            for _ in range(layout.num_parts)
        ]
        super().__init__(layout, [arena.address for arena in arenas], arenas, is_zeroed=True)
