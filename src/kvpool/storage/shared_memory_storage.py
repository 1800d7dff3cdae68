"""Blocks in memory that several processes see."""

from __future__ import annotations

import importlib
import os
from typing import Any

from kvpool.storage.file_parts import file_bytes, map_parts, set_size
from kvpool.storage.layout import Layout
from kvpool.storage.storage import Storage

__all__ = ["SharedMemoryStorage"]

# The calls of the system, as the standard library's shared_memory module has them; that module itself would remove
# memory when a process ends that has only attached to it.
_posix: Any = importlib.import_module("_posixshmem")


class SharedMemoryStorage(Storage):
    """Shared memory: another process attaches to it by name, or by the descriptor it was given.

    Parameters
    ----------
    layout : Layout
        All parts are in one piece, one behind the other.
    name : str, optional
        New name, beginning with ``/``, which must not exist; :meth:`unlink` removes it. Without a name the memory is
        known by its descriptor only, which a child inherits or a socket carries, and goes with the last process.
    huge_pages : bool, default True
        Huge pages, where the system gives them to shared memory.
    populate : bool, default True
        Have every page there before the first use, so that no later write can fail. False takes memory only for what
        is touched; a write ends the process if there is none left then.

    Raises
    ------
    FileExistsError
        The name exists.
    OSError, MemoryError
        The system has not so much memory.

    Attributes
    ----------
    name : str or None
    """

    def __init__(
        self, layout: Layout, name: str | None = None, *, huge_pages: bool = True, populate: bool = True
    ) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
        fd = os.memfd_create("kvpool") if name is None else _posix.shm_open(name, flags, mode=0o600)
        try:
            set_size(fd, file_bytes(layout), reserve=populate)
            self._map(layout, fd, name, is_writable=True, huge_pages=huge_pages, populate=populate, is_zeroed=True)
        except BaseException:
            os.close(fd)
            if name is not None:
                _posix.shm_unlink(name)
            raise

    @classmethod
    def attach(cls, layout: Layout, source: str | int, *, is_writable: bool = True) -> SharedMemoryStorage:
        """Return the storage that another process, or another part of this one, has made.

        Parameters
        ----------
        layout : Layout
            The same sizes as there.
        source : str or int
            Name, or a descriptor, which stays the caller's.
        is_writable : bool, default True

        Raises
        ------
        FileNotFoundError
            There is no such name.
        ValueError
            The memory has not the size of the layout.
        """
        self = cls.__new__(cls)
        if isinstance(source, str):
            fd, name = _posix.shm_open(source, os.O_RDWR if is_writable else os.O_RDONLY, mode=0o600), source
        else:
            fd, name = os.dup(source), None
        try:
            self._map(layout, fd, name, is_writable=is_writable, huge_pages=False, populate=False, is_zeroed=False)
        except BaseException:
            os.close(fd)
            raise
        return self

    def _map(
        self,
        layout: Layout,
        fd: int,
        name: str | None,
        *,
        is_writable: bool,
        huge_pages: bool,
        populate: bool,
        is_zeroed: bool,
    ) -> None:
        what = "the shared memory" if name is None else f"shared memory {name!r}"
        arena, bases = map_parts(layout, fd, what, is_writable=is_writable, huge_pages=huge_pages, populate=populate)
        super().__init__(layout, bases, arena, is_writable=is_writable, is_zeroed=is_zeroed)
        self.name = name
        self._fd: int | None = fd

    def fileno(self) -> int:
        """Return the descriptor, for :meth:`attach` in a process that gets it; it is closed with the storage.

        Raises
        ------
        ValueError
            The storage is closed.
        """
        if self._fd is None:
            raise ValueError(f"{type(self).__name__} is closed")
        return self._fd

    def unlink(self) -> None:
        """Remove the name. Who is attached stays so; the memory goes with the last one.

        Raises
        ------
        FileNotFoundError
            The name was removed already.
        ValueError
            It has no name.
        """
        if self.name is None:
            raise ValueError("the shared memory has no name")
        _posix.shm_unlink(self.name)

    def close(self) -> None:
        """Let go of the memory, and close the descriptor. The name stays."""
        super().close()
        fd, self._fd = getattr(self, "_fd", None), None
        if fd is not None:
            os.close(fd)

    def __del__(self) -> None:
        self.close()
