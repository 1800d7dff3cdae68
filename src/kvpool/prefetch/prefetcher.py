"""Holding and loading blocks before somebody asks for them."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kvpool._core.arguments import as_seconds
from kvpool._core.immutable_blocks import ImmutableBlocks
from kvpool._core.mutable_blocks import MutableBlocks
from kvpool._core.namespace import Namespace
from kvpool._core.unraisable import report_unraisable, without_frames
from kvpool.callbacks import call_or_report
from kvpool.errors import BlockPoolError, NotEnoughBlocksAvailable
from kvpool.prefetch.prefetch import Prefetch
from kvpool.types.prefetch_statistics import PrefetchStatistics

if TYPE_CHECKING:
    from kvpool._core.pool import BlockPool

__all__ = ["Prefetcher"]

Loader = Callable[[MutableBlocks, npt.NDArray[np.uint64]], int | None]


class Prefetcher:
    """What a pool holds because somebody will ask for it: ``pool.prefetcher``.

    Attributes
    ----------
    loader : callable or None
        Takes the blocks to fill, :class:`MutableBlocks`, and their sequence hashes, a uint64 array; returns how many it
        filled, from the first, or None for all. It is called by a thread of its own, one prefetch after the other. What
        it filled is registered, what it did not goes back. Without a loader, blocks are reserved.
    hold : float
        Seconds for which blocks are held at most, 5 by default.
    max_blocks : int
        Blocks that all prefetches together may hold; a quarter of the pool by default.
    """

    def __init__(self, pool: BlockPool) -> None:
        self._pool = weakref.ref(pool)
        self._total = pool.total_blocks
        self._lock = threading.RLock()
        self._transit = threading.RLock()  # the loader's thread has handles that nobody else knows
        self._loader: Loader | None = None
        self._hold = 5.0
        self._max_blocks = max(self._total // 4, 1)
        self._live: dict[int, Prefetch] = {}
        self._loading: dict[int, Prefetch] = {}  # handed to the loader, which gives back what those have that are over
        self._queue: queue.SimpleQueue[Prefetch | None] | None = None
        self._held = 0
        self._counts = dict.fromkeys(("prefetches", "cached", "reserved", "loaded", "limited", "failed"), 0)
        self._useful = 0  # of the blocks that the pool does not follow: reserved ones, and those loaded too late
        self._wasted = 0
        _prefetchers.add(self)

    def __repr__(self) -> str:
        """Say what is held."""
        return f"<Prefetcher: {self._held} of at most {self._max_blocks} blocks held by {len(self._live)} prefetches>"

    @property
    def loader(self) -> Loader | None:
        """What fills blocks."""
        return self._loader

    @loader.setter
    def loader(self, loader: Loader | None) -> None:
        if loader is not None and not callable(loader):
            raise TypeError(f"loader must be callable, not {type(loader).__name__}")
        self._loader = loader

    @property
    def hold(self) -> float:
        """Seconds for which blocks are held at most."""
        return self._hold

    @hold.setter
    def hold(self, seconds: float) -> None:
        self._hold = as_seconds(seconds, "hold")

    @property
    def max_blocks(self) -> int:
        """Blocks that all prefetches together may hold."""
        return self._max_blocks

    @max_blocks.setter
    def max_blocks(self, blocks: int) -> None:
        if isinstance(blocks, bool) or not isinstance(blocks, int):
            raise TypeError(f"max_blocks must be an int, not {type(blocks).__name__}")
        if not 0 <= blocks <= self._total:
            raise ValueError(f"max_blocks = {blocks} is not in [0, {self._total}]")
        self._max_blocks = blocks

    @property
    def live(self) -> tuple[Prefetch, ...]:
        """Prefetches that hold something, oldest first."""
        with self._lock:
            return tuple(self._live.values())

    def statistics(self) -> PrefetchStatistics:
        """Return a :class:`PrefetchStatistics`: how much was prefetched, and how much of it was of use."""
        pool = self._pool()
        useful, wasted = (0, 0) if pool is None else pool._count_ahead()
        with self._lock:
            counts = self._counts
            return PrefetchStatistics(
                counts["prefetches"],
                self._held,
                counts["cached"],
                counts["reserved"],
                counts["loaded"],
                counts["limited"],
                counts["failed"],
                self._useful + useful,
                self._wasted + wasted,
            )

    def cancel_all(self) -> None:
        """Cancel every prefetch."""
        for prefetch in self.live:
            prefetch.cancel()

    def prefetch(
        self, hashes: Any, *, hold: float | None = None, namespace: Namespace | str | None = None, owner: Any = None
    ) -> Prefetch:
        """As :meth:`BlockPool.prefetch`."""
        pool = self._need_pool()
        seconds = self._hold if hold is None else as_seconds(hold, "hold")
        wanted = pool._copy_hashes(hashes)
        owner = "prefetch" if owner is None else owner
        engine = pool.progress_engine
        prefetch, taken = None, 0
        try:
            with self._lock:  # the room is taken first: what follows may call users' code, and is done without the lock
                room = min(len(wanted), max(self._max_blocks - self._held, 0))
                self._held += room
                taken = room
            held = pool._hold_ahead(wanted[:room], namespace, owner)
            reserved = self._reserve(pool, room - len(held), namespace, owner)
            prefetch = Prefetch(self, wanted, namespace, held, reserved)
            del held, reserved
            with self._lock:
                self._begin(prefetch, room)
                taken = 0
            if not prefetch._loaded.is_set():
                self._load_later(prefetch)
            engine.call_later(seconds, lambda: self._end(prefetch, is_cancelled=False))
        except BaseException:  # of a signal, for instance: nothing else would end it
            with self._lock:
                self._held -= 0 if prefetch is not None and id(prefetch) in self._live else taken
                if prefetch is not None and not prefetch._is_loading:
                    prefetch._loaded.set()  # the loader passes over it
                    self._loading.pop(id(prefetch), None)
            if prefetch is not None:
                self._end(prefetch, is_cancelled=True)
            raise
        return prefetch

    def _begin(self, prefetch: Prefetch, room: int) -> None:
        """Count it in, in place of the room that was taken for it."""
        key, rest = id(prefetch), room - prefetch.num_cached - prefetch.num_reserved
        self._held -= rest
        self._live[key] = prefetch
        self._counts["prefetches"] += 1
        self._counts["cached"] += prefetch.num_cached
        self._counts["reserved"] += prefetch.num_reserved
        self._counts["limited"] += len(prefetch.hashes) - room + rest
        if prefetch._reserved is None or self._loader is None:
            prefetch._loaded.set()

    def _need_pool(self) -> BlockPool:
        pool = self._pool()
        if pool is None:
            raise BlockPoolError("the pool is gone")
        return pool

    def _reserve(
        self, pool: BlockPool, room: int, namespace: Namespace | str | None, owner: Any
    ) -> MutableBlocks | None:
        """Allocate for what was not found, as much as there is."""
        blocks = min(room, pool.available_blocks)
        if blocks <= 0:
            return None
        try:
            return pool.allocate_blocks(blocks, namespace=namespace, owner=owner)
        except NotEnoughBlocksAvailable:  # a tenant's cap, or another thread was quicker
            return None

    def _end(self, prefetch: Prefetch, *, is_cancelled: bool) -> None:
        """Give back what is held; what is being loaded is the loader's until it is done."""
        with self._lock:
            if prefetch._is_over:
                return
            self._finish(prefetch)
            prefetch._is_cancelled = is_cancelled
            held, prefetch._held = prefetch._held, []
            reserved = None
            if prefetch._loaded.is_set():
                reserved, prefetch._reserved = prefetch._reserved, None
                self._wasted += 0 if reserved is None else prefetch.num_reserved - prefetch.num_loaded
            for blocks in held:  # before the lock is given back: a fork in between would leave them to nobody
                blocks.release()
            if reserved is not None:
                reserved.release()

    def _finish(self, prefetch: Prefetch) -> None:
        key, count = id(prefetch), prefetch.num_cached
        if prefetch._loaded.is_set():
            count += prefetch.num_reserved  # else it is still being loaded
        if key in self._live:  # it is not if it was interrupted before it began
            del self._live[key]
            self._held -= count
        prefetch._is_over = True

    def _take(self, prefetch: Prefetch) -> tuple[ImmutableBlocks, MutableBlocks]:
        pool = self._need_pool()
        cached = pool.match_sequence_hashes(prefetch.hashes, namespace=prefetch._namespace)
        with self._lock:
            reserved = None
            if not prefetch._is_over and prefetch._loaded.is_set():
                reserved, prefetch._reserved = prefetch._reserved, None
                self._useful += prefetch.num_reserved - prefetch.num_loaded if reserved is not None else 0
        self._end(prefetch, is_cancelled=False)
        if reserved is None or reserved.released:
            reserved = pool.allocate_blocks(0)
        return cached, reserved

    def _forget_after_fork(self) -> None:
        """In a forked child: the thread that loads is the parent's, and so are those who would end what is held."""
        self._lock = threading.RLock()
        self._transit = threading.RLock()
        self._queue = None
        unfinished, self._loading = self._loading, {}
        for prefetch in [*self._live.values(), *unfinished.values()]:
            if not prefetch._loaded.is_set():
                prefetch._loaded.set()
                prefetch._callbacks = []
            prefetch.cancel()
            reserved, prefetch._reserved = prefetch._reserved, None
            if reserved is not None:  # it was over, and its blocks the loader's
                reserved.release()
        self._held = 0  # another thread may have been counting

    def _load_later(self, prefetch: Prefetch) -> None:
        with self._lock:
            if self._queue is None:
                jobs: queue.SimpleQueue[Prefetch | None] = queue.SimpleQueue()
                weakref.finalize(self, jobs.put, None)
                try:
                    threading.Thread(target=_load_all, args=(jobs,), name="kvpool-loader", daemon=True).start()
                except BaseException:
                    jobs.put(None)  # should it run all the same, it ends
                    raise
                self._queue = jobs
            self._loading[id(prefetch)] = prefetch
            self._queue.put(prefetch)

    def _load(self, prefetch: Prefetch) -> None:
        """Have the loader fill the reserved blocks, and register what it filled. In the loader's thread."""
        with self._lock:
            if prefetch._loaded.is_set():
                return
            prefetch._is_loading = True
        pool, loader, blocks = self._pool(), self._loader, prefetch._reserved
        assert pool is not None
        assert blocks is not None  # the prefetch keeps the pool, and the blocks until they are loaded
        missing = prefetch.hashes[prefetch.num_cached : prefetch.num_cached + prefetch.num_reserved]
        filled = 0
        try:
            if not prefetch._is_cancelled and loader is not None:
                filled = _parse_filled(loader(blocks, missing), len(blocks))
        except BaseException as error:  # whatever it is: it is the loader's, and others wait for theirs
            _note_error(prefetch, error, loader)
        with self._transit:
            try:
                if not prefetch._is_cancelled and filled:
                    parent = int(prefetch.hashes[prefetch.num_cached - 1].flat[0]) if prefetch.num_cached else None
                    pool.register_blocks(blocks[:filled], missing[:filled], parent=parent).release()
                    prefetch.num_loaded = filled
            except BaseException as error:  # a block that the loader released, for instance
                _note_error(prefetch, error, loader)
            callbacks = self._settle(pool, prefetch, blocks.owner)
            blocks.release()
        for callback in callbacks:
            call_or_report(callback, prefetch)

    def _settle(self, pool: BlockPool, prefetch: Prefetch, owner: object) -> list[Callable[[Prefetch], object]]:
        """Hold what was loaded, if its time is not over; return who wants to know."""
        loaded = prefetch.hashes[prefetch.num_cached : prefetch.num_cached + prefetch.num_loaded]
        held = None if prefetch._is_over else pool._hold_ahead(loaded, prefetch._namespace, owner)
        with self._lock:
            prefetch._reserved = None
            self._counts["loaded"] += prefetch.num_loaded
            self._counts["failed"] += 0 if prefetch._is_cancelled else prefetch.num_reserved - prefetch.num_loaded
            if prefetch._is_over:
                self._held -= prefetch.num_reserved
                self._wasted += prefetch.num_reserved - (prefetch.num_loaded if held is not None else 0)
            else:
                self._held -= prefetch.num_reserved - prefetch.num_loaded
                prefetch.num_reserved = prefetch.num_loaded
                if held is not None:
                    prefetch._held.append(held)
                    held = None
            prefetch._loaded.set()
            callbacks, prefetch._callbacks = prefetch._callbacks, []
        if held is not None:
            held.release()  # its time was over meanwhile
        return callbacks

    def _give_up(self, prefetch: Prefetch) -> None:
        """End one whose load broke off, and tell who waits for it. In the loader's thread."""
        with self._lock:
            callbacks, prefetch._callbacks = prefetch._callbacks, []
            is_left = prefetch._is_over and not prefetch._loaded.is_set()  # its blocks were left to the loader
            prefetch._loaded.set()
            if is_left:
                self._held -= prefetch.num_reserved
                self._wasted += prefetch.num_reserved
                reserved, prefetch._reserved = prefetch._reserved, None
                if reserved is not None:
                    reserved.release()
        prefetch.cancel()
        for callback in callbacks:
            call_or_report(callback, prefetch)


def _parse_filled(answer: int | None, blocks: int) -> int:
    """Return how many blocks the loader says that it filled."""
    if answer is None:
        return blocks
    if isinstance(answer, bool) or not isinstance(answer, int):
        raise TypeError(f"the loader returned {type(answer).__name__}, neither an int nor None")
    if not 0 <= answer <= blocks:
        raise ValueError(f"the loader returned {answer}, which is not in [0, {blocks}]")
    return answer


def _note_error(prefetch: Prefetch, error: BaseException, loader: object) -> None:
    report_unraisable(error, loader)
    prefetch.error = without_frames(error)


def _load_all(jobs: queue.SimpleQueue[Prefetch | None]) -> None:
    prefetch: Prefetch | None = None
    while True:
        try:
            prefetch = jobs.get()
            if prefetch is None:
                return
            prefetch._prefetcher._load(prefetch)
        except BaseException as error:  # no memory, above all: there may be some for the next
            with contextlib.suppress(MemoryError):  # nor to say so
                if prefetch is not None:
                    prefetch._prefetcher._give_up(prefetch)
                report_unraisable(without_frames(error), prefetch)
        finally:
            if prefetch is not None:
                prefetch._prefetcher._loading.pop(id(prefetch), None)
        prefetch = None  # it keeps the pool, and may be the last to do so


_prefetchers: weakref.WeakSet[Prefetcher] = weakref.WeakSet()
_locks_for_fork: dict[int, list[Any]] = {}  # of each thread that is forking
FORK_PATIENCE = 1.0  # seconds; a loader that is in a listener's or a clock's code may take longer


def _settle_before_fork() -> None:
    """Wait until no other thread is giving handles back: in the child nobody would go on with it."""
    held = _locks_for_fork.setdefault(threading.get_ident(), [])
    for prefetcher in list(_prefetchers):
        held += [lock for lock in (prefetcher._transit, prefetcher._lock) if lock.acquire(timeout=FORK_PATIENCE)]


def _go_on_after_fork() -> None:
    for lock in reversed(_locks_for_fork.pop(threading.get_ident(), [])):
        lock.release()


def _forget_all_after_fork() -> None:
    _locks_for_fork.clear()
    for prefetcher in list(_prefetchers):
        prefetcher._forget_after_fork()


os.register_at_fork(
    before=_settle_before_fork, after_in_parent=_go_on_after_fork, after_in_child=_forget_all_after_fork
)
