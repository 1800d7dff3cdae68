"""One who follows the events of a pool."""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

from kvpool._core.unraisable import report_unraisable, without_frames
from kvpool.events.event_manager import EventManager
from kvpool.progress.once import Once
from kvpool.types.event_batch import EventBatch

if TYPE_CHECKING:
    from kvpool._core.pool import BlockPool
    from kvpool.progress.progress_engine import ProgressEngine

__all__ = ["Subscription"]

MAX_BATCH = 8192  # events of a batch: 0.3 MB, and a subscriber that is far behind still gets a turn now and then
MAX_TOKENS = 1 << 20  # of a batch, where a block has more than 128


class Subscription:
    """One who follows the events of a pool. Made by :meth:`BlockPool.subscribe`.

    Attributes
    ----------
    manager : EventManager
    next : int
        Sequence number of the event that is delivered next.
    delivered : int
        Events delivered so far, those of snapshots included.
    missed : int
        Events that had left the ring before they could be delivered.
    errors : int
        Batches with which the subscriber raised.
    last_error : BaseException or None
        Without its traceback, whose frames would keep the pool.
    closed : bool
    """

    def __init__(self, engine: ProgressEngine, manager: EventManager, since: int, snapshot: bool) -> None:
        self.manager = manager
        self.next = since
        self.delivered = 0
        self.missed = 0
        self.errors = 0
        self.last_error: BaseException | None = None
        self._engine = engine
        self._begins_with_snapshot = snapshot
        self._is_open = False
        self._is_ending = False
        self._is_watched = True  # its descriptor, if it has one
        self._ended = Once()

    def __repr__(self) -> str:
        """Say what it got."""
        state = "closed, " if self.closed else ""
        return f"<Subscription of {self.manager!r}: {state}{self.delivered} events delivered, {self.missed} missed>"

    @property
    def closed(self) -> bool:
        """Whether nothing is delivered any more."""
        return self._ended.is_set()

    def close(self, timeout: float = 5.0) -> bool:
        """Deliver nothing any more, and close the manager. No effect when that was done before.

        Parameters
        ----------
        timeout : float, default 5
            Seconds to wait at most for a subscriber that is busy.

        Returns
        -------
        bool
            Whether it is closed.
        """
        self._is_ending = True
        self._engine.ring()
        if self._engine.is_current_thread():
            return self.closed
        return self._ended.wait(timeout)

    def __enter__(self) -> Subscription:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def take_turn(self, pool: BlockPool) -> bool:
        """Deliver a batch, if there is one. Called by the engine's thread, as all that follows.

        Parameters
        ----------
        pool : BlockPool

        Returns
        -------
        bool
            Whether there was one.
        """
        if self._is_ending:
            return False
        if not self._is_open:
            self._is_open = True
            self._attempt(lambda: self.manager.open(pool))
        batch = pool.read_events(self.next, self._max_batch(pool))
        if self._begins_with_snapshot or (batch.missed and self.manager.wants_snapshots):
            missed = batch.missed
            batch = pool.snapshot()
            self.missed += 0 if self._begins_with_snapshot else missed
            self._begins_with_snapshot = False
        elif len(batch) == 0 and batch.missed == 0:
            return False
        else:
            self.missed += batch.missed
        self._deliver(batch)
        return True

    @staticmethod
    def _max_batch(pool: BlockPool) -> int:
        return max(1, min(MAX_BATCH, MAX_TOKENS // pool.block_size)) if pool.event_tokens else MAX_BATCH

    def _deliver(self, batch: EventBatch) -> None:
        self.next = batch.next
        if len(batch) == 0 and not batch.is_snapshot:
            return
        if self._attempt(lambda: self.manager.publish(batch)):
            self.delivered += len(batch)
        self.serve()

    def fileno(self) -> int:
        """Return the manager's descriptor, or -1."""
        descriptors: list[int] = []
        if self._is_watched and not self._attempt(lambda: descriptors.append(_parse_descriptor(self.manager.fileno()))):
            self._is_watched = False
        return descriptors[0] if descriptors else -1

    def serve(self, events: int = 0) -> None:
        """Let the manager do what its descriptor asks for.

        Parameters
        ----------
        events : int
            What ``poll`` says of the descriptor; one that is not open is not watched any more.
        """
        if events & select.POLLNVAL:
            self._is_watched = False
            self._attempt(lambda: os.fstat(self.manager.fileno()))  # says what is wrong with it
        self._attempt(self.manager.service)

    def end(self) -> None:
        """Close the manager, which may hold something even if nothing was ever delivered to it."""
        self._attempt(self.manager.close)
        self._is_ending = True
        self._ended.set()

    def forget_after_fork(self) -> None:
        """Be over in a forked child, without a word to the manager, which is the parent's as well."""
        self._is_ending = True
        self._ended = Once()
        self._ended.set()

    @property
    def is_ending(self) -> bool:
        """Whether it was closed, and the manager is not yet."""
        return self._is_ending

    def _attempt(self, action: Callable[[], object]) -> bool:
        try:
            action()
        except BaseException as error:  # whatever it is: it is theirs, and the stream goes on
            self.errors += 1
            if self.errors == 1:
                report_unraisable(error, self.manager)
            self.last_error = without_frames(error)
            return False
        return True


def _parse_descriptor(descriptor: object) -> int:
    """Return what a manager says is its descriptor."""
    if isinstance(descriptor, bool) or not isinstance(descriptor, int):
        raise TypeError(f"fileno() returned {type(descriptor).__name__}, not an int")
    if descriptor >= 2**31:
        raise ValueError(f"fileno() returned {descriptor}, which is not below 2**31")
    return descriptor
