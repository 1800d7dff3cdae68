"""Finding writes into blocks that must not change."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kvpool._core.block_checksum import memory_checksums
from kvpool._core.block_ids import as_ids
from kvpool.errors import CorruptionError
from kvpool.storage.storage import Storage

__all__ = ["BlockChecksums", "block_checksums"]


def block_checksums(storage: Storage, ids: object) -> npt.NDArray[np.uint64]:
    """Return the checksum of each block: XXH3-64 of its bytes as :func:`gather_blocks` gives them.

    Parameters
    ----------
    storage : Storage
        Of the host.
    ids : array of integers, shape (n,), or sequence of int, or handle

    Returns
    -------
    array of uint64, shape (n,)

    Raises
    ------
    IndexError
        An id is not one of the storage's blocks.
    ValueError
        The storage is not of the host.
    """
    return memory_checksums(storage.memory, ids)


class BlockChecksums:
    """Remembers what immutable blocks contain, and finds those that somebody wrote into.

    What reads a block through DLPack could write as well: torch, for one, takes no notice of the read-only mark. Takes
    9 bytes a block.

    Parameters
    ----------
    storage : Storage
        Of the host.

    Raises
    ------
    ValueError
        The storage is not of the host.

    Examples
    --------
    >>> from kvpool.storage import BlockChecksums, FullyContiguous, HostStorage, LayoutConfig, scatter_blocks
    >>> storage = HostStorage(FullyContiguous(LayoutConfig(4, 1, 1, page_size=2, inner_dim=4, dtype="uint8")))
    >>> checksums = BlockChecksums(storage)
    >>> checksums.record([1, 2])
    >>> scatter_blocks(storage, [2], b"12345678")
    >>> checksums.find_changed()
    array([2], dtype=int32)
    """

    def __init__(self, storage: Storage) -> None:
        if not storage.is_host:
            raise ValueError(f"the memory of device {storage.device} is not the host's")
        self._storage = storage
        self._sums = np.zeros(storage.num_blocks, np.uint64)
        self._is_known = np.zeros(storage.num_blocks, np.bool_)

    def record(self, ids: object) -> None:
        """Remember what the blocks contain now: call it when they are registered.

        Raises
        ------
        IndexError
            An id is not one of the storage's blocks.
        """
        places = as_ids(ids, "ids", self._storage.num_blocks)
        self._sums[places] = block_checksums(self._storage, places)
        self._is_known[places] = True

    def forget(self, ids: object) -> None:
        """Forget blocks that may be written again: call it when they lose their identity.

        Raises
        ------
        IndexError
            An id is not one of the storage's blocks.
        """
        self._is_known[as_ids(ids, "ids", self._storage.num_blocks)] = False

    def find_changed(self, ids: object = None) -> npt.NDArray[np.int32]:
        """Return the blocks, of these or of all, that do not contain what they did; those not recorded count as good.

        Raises
        ------
        IndexError
            An id is not one of the storage's blocks.
        """
        if ids is None:
            places = np.flatnonzero(self._is_known).astype(np.int32)
        else:
            places = as_ids(ids, "ids", self._storage.num_blocks)
            places = places[self._is_known[places]]
        changed: npt.NDArray[np.int32] = places[block_checksums(self._storage, places) != self._sums[places]]
        return changed

    def verify(self, ids: object = None) -> None:
        """Raise an error if one of these blocks, or of all, does not contain what it did.

        Raises
        ------
        CorruptionError
            Somebody wrote into blocks, which the message names.
        IndexError
            An id is not one of the storage's blocks.
        """
        changed = self.find_changed(ids)
        if len(changed):
            named = ", ".join(str(block) for block in changed[:10]) + (", ..." if len(changed) > 10 else "")
            raise CorruptionError(f"{len(changed)} immutable blocks were written into: {named}")
