"""The memory of a pool's blocks."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from kvpool._core.block_memory import BlockMemory
from kvpool.storage.layout import Layout

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["BASE_ALIGNMENT", "Storage"]

# Of every part: what the consumers of DLPack expect.
BASE_ALIGNMENT = 256


class Storage:
    """Memory for the blocks of a pool: a layout, and where its parts are. Base of the storages.

    Parameters
    ----------
    layout : Layout
    bases : sequence of int
        Address of each part.
    owner : object
        What keeps the memory alive: whoever holds it may use the addresses.
    device : tuple of int, default (1, 0)
        DLPack's device type and id; (1, 0) is the memory of the host.
    is_writable : bool, default True
    is_host : bool, default True
        Whether the processor can read at the addresses, and write if `is_writable`.
    is_zeroed : bool, default False
        Whether all bytes are known to be 0: such blocks need no scrubbing before their first use.

    Attributes
    ----------
    layout : Layout
    copy_hook : callable, optional
        ``copy_hook(source, source_ids, destination, destination_ids)`` copies blocks for :func:`copy_blocks` where one
        of the storages is not of the host; ids are int32 arrays. The hook of `destination` is asked first.
    scrub_hook : callable, optional
        ``scrub_hook(storage, ids)`` fills blocks with zeros where the storage is not of the host. What it raises comes
        out of the call that handed the blocks out. They count as not filled; a call that would have returned a handle
        has given them back, and a sequence that grew or was truncated has them: its caller should release it.

    Notes
    -----
    For views: a region begins at ``memory.bases[part] + offset`` of ``layout.region(block, layer, outer)``, has the
    shape ``layout.config.region_shape`` and the strides (in bytes) ``layout.config.region_strides``; a whole part has
    ``layout.part_shape`` and ``layout.part_strides``. Whoever shows the memory to others keeps `memory` alive, which
    :meth:`close` does not take back.
    """

    def __init__(
        self,
        layout: Layout,
        bases: list[int] | tuple[int, ...],
        owner: object,
        *,
        device: tuple[int, int] = (1, 0),
        is_writable: bool = True,
        is_host: bool = True,
        is_zeroed: bool = False,
    ) -> None:
        self.layout = layout
        self.is_zeroed = is_zeroed
        self.copy_hook: Callable[[Storage, Any, Storage, Any], object] | None = None
        self.scrub_hook: Callable[[Storage, Any], object] | None = None
        self._memory: BlockMemory | None = BlockMemory(layout.geometry, bases, owner, device, is_writable, is_host)

    def __repr__(self) -> str:
        state = "closed" if self._memory is None else f"{self.nbytes} bytes on device {self.device}"
        return f"<{type(self).__name__}: {state}, {self.layout!r}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError(f"{type(self).__name__} cannot be copied or pickled: it is memory of this process")

    @property
    def memory(self) -> BlockMemory:
        """Where every region is; keeps the memory alive.

        Raises
        ------
        ValueError
            The storage is closed.
        """
        if self._memory is None:
            raise ValueError(f"{type(self).__name__} is closed")
        return self._memory

    @property
    def is_closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._memory is None

    @property
    def device(self) -> tuple[int, int]:
        """DLPack's device type and id; (1, 0) is the memory of the host."""
        return self.memory.device

    @property
    def is_writable(self) -> bool:
        """Whether the blocks can be written."""
        return self.memory.is_writable

    @property
    def is_host(self) -> bool:
        """Whether the processor can read at the addresses."""
        return self.memory.is_host

    @property
    def num_blocks(self) -> int:
        """Blocks that it has memory for."""
        return self.layout.config.num_blocks

    @property
    def nbytes(self) -> int:
        """Bytes of all parts, gaps included."""
        return self.layout.nbytes

    def address(self, block: int, layer: int, outer: int) -> int:
        """Return the address at which the region of (block, layer, outer) begins.

        Raises
        ------
        IndexError
            An index is out of its bounds; the message names both.
        ValueError
            The storage is closed.
        """
        return self.memory.address(block, layer, outer)

    def close(self) -> None:
        """Let go of the memory. It goes when nobody uses it any more: what was exported stays good."""
        self._memory = None
