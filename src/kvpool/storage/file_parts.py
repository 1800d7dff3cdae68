"""The parts of a layout in one file, or in one piece of shared memory."""

from __future__ import annotations

import os

from kvpool._core.arena import Arena
from kvpool.storage.layout import Layout
from kvpool.storage.storage import BASE_ALIGNMENT

__all__ = ["file_bytes", "map_parts", "set_size"]


def _stride(layout: Layout) -> int:
    """Bytes from one part to the next: each begins at a multiple of its alignment."""
    alignment = max(BASE_ALIGNMENT, layout.config.alignment)
    return -(-layout.part_bytes // alignment) * alignment


def file_bytes(layout: Layout) -> int:
    """Return the bytes that the parts take, one behind the other."""
    return layout.num_parts * _stride(layout)


def set_size(fd: int, nbytes: int, *, reserve: bool) -> None:
    """Make a new file so long; with `reserve`, have room for all of it, so that no later write can fail."""
    os.ftruncate(fd, nbytes)
    if reserve:
        os.posix_fallocate(fd, 0, nbytes)


def map_parts(
    layout: Layout, fd: int, what: str, *, is_writable: bool, huge_pages: bool, populate: bool
) -> tuple[Arena, list[int]]:
    """Map a file that has the parts of a layout; return the mapping and the address of each part."""
    wanted, found = file_bytes(layout), os.fstat(fd).st_size
    if found != wanted:
        raise ValueError(f"{what} has {found} bytes, not the {wanted} of {layout!r}")
    arena = Arena(
        wanted,
        max(BASE_ALIGNMENT, layout.config.alignment),
        fd=fd,
        is_writable=is_writable,
        huge_pages=huge_pages,
        populate=populate,
    )
    return arena, [arena.address + part * _stride(layout) for part in range(layout.num_parts)]
