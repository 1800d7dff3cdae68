"""Moving blocks between storages, and into and out of buffers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kvpool._core.block_copy import copy_memory, gather_memory, memory_copy_runs, memory_runs, scatter_memory
from kvpool._core.block_ids import as_ids
from kvpool.storage.storage import Storage

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["block_runs", "copy_blocks", "copy_runs", "gather_blocks", "scatter_blocks"]

_Runs = tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64], npt.NDArray[np.uint64]]


def _check_same_blocks(source: Storage, destination: Storage) -> None:
    one, two = source.layout.config, destination.layout.config
    if (one.region_shape, one.dtype.name) != (two.region_shape, two.dtype.name):
        raise ValueError(
            f"regions of {one.region_shape} {one.dtype.name} are not those of the destination, "
            f"{two.region_shape} {two.dtype.name}"
        )


def copy_blocks(
    source: Storage,
    source_ids: object,
    destination: Storage,
    destination_ids: object,
    *,
    threads: int | None = None,
) -> None:
    """Copy blocks from one storage to another, or within one, whatever their layouts.

    Neighbours on both sides are copied as one run, large batches past the caches and by several threads, without the
    GIL. Where a storage is not of the host, the `copy_hook` of the destination, or else of the source, copies.

    Parameters
    ----------
    source, destination : Storage
        Regions of the same shape and type, as many layers and the same ``outer_dim``.
    source_ids, destination_ids : array of integers, shape (n,), or sequence of int, or handle
        ``destination_ids[i]`` gets the content of ``source_ids[i]``. The caller holds these blocks.
    threads : int, optional
        In [1, 64]; by default one for each 32 MiB, at most as many as the process has processors.

    Raises
    ------
    IndexError
        An id is not one of the storage's blocks.
    ValueError
        The blocks of the two are not of the same sizes; an id is named twice in `destination_ids`, or is among
        `source_ids` of the same storage, too; the destination is read-only; there is no hook for a device.
    """
    _check_same_blocks(source, destination)
    if source.is_host and destination.is_host:
        copy_memory(source.memory, source_ids, destination.memory, destination_ids, threads)
        return
    hook = destination.copy_hook or source.copy_hook
    if hook is None:
        raise ValueError(f"devices {source.device} and {destination.device} need the copy_hook of one of the storages")
    if not destination.is_writable:
        raise ValueError("the storage is read-only")
    copy_runs(source, source_ids, destination, destination_ids)  # for its checks
    hook(
        source,
        as_ids(source_ids, "source_ids", source.num_blocks),
        destination,
        as_ids(destination_ids, "destination_ids", destination.num_blocks),
    )


def copy_runs(source: Storage, source_ids: object, destination: Storage, destination_ids: object) -> _Runs:
    """Return the runs that a copy consists of, for a device's own way to copy: nothing is copied.

    Returns
    -------
    sources, destinations, sizes : arrays of uint64
        Addresses and bytes of each run, neighbours coalesced.

    Raises
    ------
    IndexError, ValueError
        As in :func:`copy_blocks`.
    """
    _check_same_blocks(source, destination)
    return memory_copy_runs(source.memory, source_ids, destination.memory, destination_ids)


def block_runs(storage: Storage, ids: object) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """Return where blocks lie, for a send without a copy: ``gather_blocks`` is these runs one behind the other.

    Parameters
    ----------
    storage : Storage
    ids : array of integers, shape (n,), or sequence of int, or handle

    Returns
    -------
    addresses, sizes : arrays of uint64
        In the order of the send, neighbours coalesced.

    Raises
    ------
    IndexError
        An id is not one of the storage's blocks.
    """
    sources, offsets, sizes = memory_runs(storage.memory, ids)
    order = np.argsort(offsets)
    return sources[order], sizes[order]


def gather_blocks(
    storage: Storage, ids: object, out: Buffer | npt.NDArray[Any] | None = None, *, threads: int | None = None
) -> npt.NDArray[np.uint8]:
    """Copy blocks into one buffer, without gaps: ``[n][layer][outer]`` regions, whatever the layout.

    Parameters
    ----------
    storage : Storage
        Of the host.
    ids : array of integers, shape (n,), or sequence of int, or handle
        May name a block more than once.
    out : writable buffer, optional
        Of exactly ``n * layout.block_bytes`` bytes; a new array by default.
    threads : int, optional
        As in :func:`copy_blocks`.

    Returns
    -------
    array of uint8, shape (n, layout.block_bytes)

    Raises
    ------
    IndexError
        An id is not one of the storage's blocks.
    ValueError
        The buffer has another size, or is a part of the storage; the storage is not of the host.
    """
    ids = as_ids(ids, "ids", storage.num_blocks)
    buffer: Any = np.empty(len(ids) * storage.layout.block_bytes, np.uint8) if out is None else out
    gather_memory(storage.memory, ids, buffer, threads)
    return np.frombuffer(buffer, np.uint8).reshape(len(ids), storage.layout.block_bytes)


def scatter_blocks(
    storage: Storage, ids: object, buffer: Buffer | npt.NDArray[Any], *, threads: int | None = None
) -> None:
    """Copy the blocks of a buffer that :func:`gather_blocks` filled, here or elsewhere, into a storage.

    Parameters
    ----------
    storage : Storage
        Of the host, of any layout with the same regions.
    ids : array of integers, shape (n,), or sequence of int, or handle
        The caller holds these blocks.
    buffer : buffer
        Of exactly ``n * layout.block_bytes`` bytes.
    threads : int, optional
        As in :func:`copy_blocks`.

    Raises
    ------
    IndexError
        An id is not one of the storage's blocks.
    ValueError
        The buffer has another size, or is a part of the storage; an id is named twice; the storage is read-only, or
        not of the host.
    """
    scatter_memory(storage.memory, ids, buffer, threads)
