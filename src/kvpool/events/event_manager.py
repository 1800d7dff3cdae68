"""The seam between a pool and those who want its events."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING

from kvpool.types.event_batch import EventBatch

if TYPE_CHECKING:
    from kvpool._core.pool import BlockPool

__all__ = ["EventManager"]


class EventManager(abc.ABC):
    """Takes the events of a pool: ``BlockPool(event_manager=...)``. Derive from it to send them anywhere.

    The pool's background thread calls :meth:`open` once, then :meth:`publish` for each batch, never two at a time, and
    :meth:`close` when the subscription or the pool is closed, or the pool is gone: what it had not read by then is
    lost, so close pools. What these raise is counted, and the stream goes on. A manager serves one pool.

    Attributes
    ----------
    wants_tokens : bool
        Whether the pool should keep the token ids of its blocks for the events, unless ``event_tokens=`` says.
    wants_snapshots : bool
        Whether events that were lost are made good by a batch with ``is_snapshot``: all that is registered by then,
        in place of the lost events and of those up to the snapshot.
    published, dropped : int
        Batches that were sent on, and those of them that somebody did not get, for who sends them on; 0 otherwise.
    """

    wants_tokens: bool = False
    wants_snapshots: bool = False
    published: int = 0
    dropped: int = 0

    def open(self, pool: BlockPool) -> None:  # noqa: B027 - most have nothing to do
        """Begin. Keep no reference to the pool but a weak one.

        Parameters
        ----------
        pool : BlockPool
        """

    @abc.abstractmethod
    def publish(self, batch: EventBatch) -> None:
        """Take consecutive events, at least one unless it is a snapshot.

        Parameters
        ----------
        batch : EventBatch
        """

    def fileno(self) -> int:
        """Return a descriptor that gets readable when :meth:`service` has something to do, or -1: there is none."""
        return -1

    def service(self) -> None:  # noqa: B027
        """Do what the descriptor asks for. Called after each :meth:`publish`, too."""

    def close(self) -> None:  # noqa: B027
        """End: no batch comes any more."""
