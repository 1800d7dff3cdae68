"""Blocks in a file."""

from __future__ import annotations

import os
from typing import Literal

from kvpool._core.arena import Arena
from kvpool.storage.file_parts import file_bytes, map_parts, set_size
from kvpool.storage.layout import Layout
from kvpool.storage.storage import Storage

__all__ = ["MappedFileStorage"]

_FLAGS = {"x": os.O_RDWR | os.O_CREAT | os.O_EXCL, "r+": os.O_RDWR, "r": os.O_RDONLY}


class MappedFileStorage(Storage):
    """A memory-mapped file, which outlives the process: nothing but the parts of the layout, one behind the other.

    Parameters
    ----------
    layout : Layout
    path : str or path
    mode : {"x", "r+", "r"}, default "x"
        A new file, which must not exist; an existing one; an existing one that is not written.
    reserve : bool, default True
        Have room on the disk for all of a new file, so that no later write can fail. False takes room only for what is
        written; a write ends the process if there is none left then.
    populate : bool, default False
        Read the file into memory beforehand.

    Raises
    ------
    FileExistsError, FileNotFoundError, OSError
        The file cannot be made, or opened.
    ValueError
        An existing file has not the size of the layout.

    Attributes
    ----------
    path : str
    """

    def __init__(
        self,
        layout: Layout,
        path: str | os.PathLike[str],
        mode: Literal["x", "r+", "r"] = "x",
        *,
        reserve: bool = True,
        populate: bool = False,
    ) -> None:
        if mode not in _FLAGS:
            raise ValueError(f"mode = {mode!r} is not one of {tuple(_FLAGS)}")
        self.path = os.fspath(path)
        fd = os.open(self.path, _FLAGS[mode] | getattr(os, "O_CLOEXEC", 0), 0o600)
        try:
            if mode == "x":
                set_size(fd, file_bytes(layout), reserve=reserve)
            arena, bases = map_parts(
                layout, fd, f"file {self.path!r}", is_writable=mode != "r", huge_pages=False, populate=populate
            )
        except BaseException:
            if mode == "x":
                os.unlink(self.path)
            raise
        finally:
            os.close(fd)
        super().__init__(layout, bases, arena, is_writable=mode != "r", is_zeroed=mode == "x")

    def sync(self) -> None:
        """Have the file on disk hold what the memory holds; returns when it does.

        Raises
        ------
        OSError
            The disk cannot take it.
        ValueError
            The storage is closed.
        """
        arena = self.memory.owner
        assert isinstance(arena, Arena)
        arena.sync()
