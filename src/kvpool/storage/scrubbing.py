"""Filling blocks with zeros."""

from __future__ import annotations

import functools

from kvpool._core.block_ids import as_ids
from kvpool._core.scrub_ledger import ScrubLedger, scrub_memory
from kvpool.storage.storage import Storage

__all__ = ["new_scrub_ledger", "scrub_blocks"]


def scrub_blocks(storage: Storage, ids: object) -> None:
    """Fill blocks with zeros: their regions, and no other byte.

    Parameters
    ----------
    storage : Storage
        Where it is not of the host, its `scrub_hook` fills.
    ids : array of integers, shape (n,), or sequence of int, or handle
        The caller holds these blocks.

    Raises
    ------
    IndexError
        An id is not one of the storage's blocks.
    ValueError
        The storage is read-only, or of a device and without a hook.
    """
    if storage.is_host:
        scrub_memory(storage.memory, ids)
        return
    if storage.scrub_hook is None:
        raise ValueError(f"device {storage.device} needs the scrub_hook of the storage")
    if not storage.is_writable:
        raise ValueError("the storage is read-only")
    storage.scrub_hook(storage, as_ids(ids, "ids", storage.num_blocks))


def new_scrub_ledger(storage: Storage, rule: str = "namespaces") -> ScrubLedger:
    """Return what a pool that has the storage tells of blocks that are handed out and given back.

    Parameters
    ----------
    storage : Storage
    rule : {"never", "namespaces", "free", "allocate"}, default "namespaces"
        See :class:`ScrubLedger`.

    Raises
    ------
    ValueError
        There is no such rule; the storage is read-only, or of a device and without a `scrub_hook`.
    """
    hook = storage.scrub_hook
    fill = None if hook is None else functools.partial(hook, storage)
    return ScrubLedger(storage.memory, rule, is_zeroed=storage.is_zeroed, hook=fill)
