"""The one background thread of a pool."""

from __future__ import annotations

import atexit
import contextlib
import heapq
import itertools
import os
import select
import threading
import time
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

from kvpool._core.bell import Bell
from kvpool._core.unraisable import report_unraisable, without_frames
from kvpool.callbacks import call_or_report
from kvpool.errors import BlockPoolError
from kvpool.events.event_manager import EventManager
from kvpool.progress.subscription import Subscription
from kvpool.types.event_statistics import EventStatistics

if TYPE_CHECKING:
    from kvpool._core.pool import BlockPool

__all__ = ["ProgressEngine"]

LONG_SLEEP = 3600.0  # seconds; more overflow in the system's call
RECOVERY = 0.1  # seconds to sleep after a round that failed


class ProgressEngine:
    """The one background thread of a pool: delivers events, tells of pressure, evicts ahead, ends what has a time.

    It is started by the first thing that needs it, sleeps on a descriptor that the pool makes readable, and ends with
    :meth:`BlockPool.close`, with the pool, and with the interpreter. Events are gathered for ``event_interval``
    seconds, so that a busy pool is not interrupted for each of them; one that comes after a pause is delivered at once.

    Parameters
    ----------
    pool : BlockPool
        Known by a weak reference, so that the thread does not keep it alive.
    """

    def __init__(self, pool: BlockPool) -> None:
        self.bell = Bell()
        self._pool = weakref.ref(pool, self._ring_for_the_last_time)
        self._interval = pool.event_interval
        self._capacity = pool.event_capacity
        self._lock = threading.RLock()  # a finalizer or a signal handler may close the pool in the middle of anything
        self._thread: threading.Thread | None = None
        self._is_stopping = False
        # Those that are open, and the counts of those that were: replaced as one, so that reading needs no lock.
        self._subscriptions: tuple[list[Subscription], EventStatistics] = ([], EventStatistics(0, 0, 0, 0, 0))
        self._chores: list[Callable[[BlockPool], bool]] = []
        self._timers: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = itertools.count()
        _engines.add(self)

    def __repr__(self) -> str:
        """Say what it does."""
        state = "running" if self.is_running else "not running"
        return f"<ProgressEngine: {state}, {len(self._subscriptions[0])} subscriptions, {len(self._timers)} timers>"

    def _ring_for_the_last_time(self, _: object) -> None:
        self.bell.ring()

    @property
    def is_running(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def is_current_thread(self) -> bool:
        """Return whether the caller is the background thread."""
        return self._thread is threading.current_thread()

    def start(self) -> None:
        """Start the thread, unless it runs or was closed."""
        with self._lock:
            if self._thread is None and not self._is_stopping:
                thread = threading.Thread(target=self._run, name="kvpool-progress", daemon=True)
                self._thread = thread
                try:
                    thread.start()
                except BaseException:
                    self._thread = None  # should it run all the same, it finds that it is not the one
                    raise

    def _check_open(self) -> None:
        if self._is_stopping:
            raise BlockPoolError("the pool was closed: nothing goes on in the background any more")

    def ring(self) -> None:
        """Have the thread look at what there is to do."""
        self.bell.ring()

    def subscribe(self, manager: EventManager, since: int, snapshot: bool) -> Subscription:
        """Deliver events from a number on; see :meth:`BlockPool.subscribe`."""
        subscription = Subscription(self, manager, since, snapshot)
        self.start()
        with self._lock:
            self._check_open()
            current, ended = self._subscriptions
            self._subscriptions = ([*current, subscription], ended)
        self.ring()
        return subscription

    def add_chore(self, chore: Callable[[BlockPool], bool]) -> None:
        """Call a function with the pool whenever the thread is woken, from now on.

        Parameters
        ----------
        chore : callable
            Returns whether it wants to be called again at once.
        """
        self.start()
        with self._lock:
            self._check_open()
            self._chores.append(chore)
        self.ring()

    def remove_chore(self, chore: Callable[[BlockPool], bool]) -> None:
        """Take :meth:`add_chore` back."""
        # No comprehension here: Pythons from 3.12 on keep the lock when a signal handler raises in the middle of one.
        with self._lock:
            self._chores = list(filter(lambda other: other != chore, self._chores))

    def call_later(self, seconds: float, callback: Callable[[], object]) -> None:
        """Call a function once, after so many seconds, or when the pool is closed before.

        Parameters
        ----------
        seconds : float
        callback : callable
            Called without arguments by the background thread; what it raises goes to ``sys.unraisablehook``.
        """
        self.start()
        with self._lock:
            self._check_open()
            timer = (time.monotonic() + seconds, next(self._numbers), callback)
            # First the bell; the thread then waits at the lock. A signal whose handler raised between the two
            # would leave a timer that the thread does not know of, and nobody rings for those that come after.
            if not self._timers or timer < self._timers[0]:
                self.ring()
            heapq.heappush(self._timers, timer)

    def event_statistics(self, recorded: int) -> EventStatistics:
        """Return sums over all subscriptions there were."""
        current, ended = self._subscriptions
        return _add_counts(ended, current)._replace(recorded=recorded, subscribers=len(current))

    def stop(self) -> threading.Thread | None:
        """Have the thread end after a last round, and return it; does not wait."""
        with self._lock:
            self._is_stopping = True
            thread = self._thread
        self.ring()
        return thread

    def close(self, timeout: float) -> int:
        """End the thread after a last round; wait for it, unless it is the caller.

        Parameters
        ----------
        timeout : float
            Seconds to wait at most.

        Returns
        -------
        int
            Events that subscribers did not get.
        """
        thread = self.stop()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)
        pool = self._pool()
        if pool is None:
            return 0
        recorded = pool.event_statistics().recorded
        return sum(recorded - each.next for each in self._subscriptions[0])

    def _run(self) -> None:
        pause: float | None = 0.0
        with self._lock:
            if self._thread is not threading.current_thread():
                return  # a signal interrupted its start
        pool: BlockPool | None = None
        while True:
            try:
                if pause != 0:
                    self._sleep(pause)
                self.bell.silence()  # before looking at anything: who rings from now on is heard by the next sleep
                pool = self._pool()
                if pool is None or self._is_stopping:
                    break
                pause = self._do_round(pool)
            except BaseException as error:  # no memory, above all: there may be some again
                pause = 0.0
                with contextlib.suppress(MemoryError):  # nor to say so
                    report_unraisable(without_frames(error), self)
                time.sleep(RECOVERY)
            pool = None  # it may go while the thread sleeps
        if pool is not None:
            call_or_report(self._deliver, pool)
            pool._listen(None)
        with self._lock:
            self._is_stopping = True
            timers, self._timers = sorted(self._timers), []
        for _, _, callback in timers:  # what has a time ends now
            call_or_report(callback)
        del pool
        for subscription in self._subscriptions[0]:
            subscription.end()
        self._take_subscriptions()
        self.bell.close()  # the engine itself may be in a cycle with its subscriptions

    def _take_subscriptions(self) -> list[Subscription]:
        """Return the open ones; end those that were closed."""
        for subscription in self._subscriptions[0]:
            if subscription.is_ending and not subscription.closed:
                subscription.end()
        with self._lock:
            everyone, ended = self._subscriptions
            current = [each for each in everyone if not each.closed]
            if len(current) < len(everyone):
                self._subscriptions = (current, _add_counts(ended, [each for each in everyone if each.closed]))
        return list(current)

    def _deliver(self, pool: BlockPool) -> bool:
        """Deliver what there is by now, a batch to each in turn; return whether there was anything."""
        last = pool.event_statistics().recorded
        has_delivered = False
        behind = self._take_subscriptions()
        while behind:
            served = [each for each in behind if each.take_turn(pool)]
            has_delivered |= bool(served)
            behind = [each for each in self._take_subscriptions() if each in served and each.next < last]
        return has_delivered

    def _do_round(self, pool: BlockPool) -> float | None:
        """Do all there is to do; return for how many seconds to sleep, None for until the bell rings."""
        pool._answer()
        pool._watch_pressure()
        is_busy = False
        for chore in list(self._chores):
            is_busy |= bool(call_or_report(chore, pool))
        self._call_due()
        has_delivered = self._deliver(pool)
        subscriptions = self._take_subscriptions()
        pause: float | None = None
        if subscriptions:
            # Right after a batch more may come: they are gathered, unless the ring fills up.
            ahead = max(self._capacity // 2, 1) if has_delivered and self._interval > 0 else 0
            is_to_come = pool._await_event(min(each.next for each in subscriptions) + ahead)
            pause = 0.0 if not is_to_come else self._interval if ahead else None
        if is_busy:
            pause = 0.0
        with self._lock:
            if self._timers:
                left = max(self._timers[0][0] - time.monotonic(), 0.0)
                pause = left if pause is None else min(pause, left)
        return pause

    def _call_due(self) -> None:
        while True:
            with self._lock:
                if not self._timers or self._timers[0][0] > time.monotonic():
                    return
                callback = heapq.heappop(self._timers)[2]
            call_or_report(callback)

    def _sleep(self, pause: float | None) -> None:
        """Sleep until the bell rings, a manager has something to do, or the time is over."""
        poller = select.poll()
        poller.register(self.bell.fileno(), select.POLLIN)
        managers = {}
        for subscription in self._subscriptions[0]:
            descriptor = subscription.fileno()
            if descriptor >= 0:
                managers[descriptor] = subscription
                poller.register(descriptor, select.POLLIN)
        # Rounded up: a timer that is looked at too early is slept for again, without end.
        for descriptor, events in poller.poll(None if pause is None else int(min(pause, LONG_SLEEP) * 1000) + 1):
            if descriptor in managers:
                managers[descriptor].serve(events)

    def _forget_after_fork(self) -> None:
        """In a forked child there is no such thread, and the descriptors are the parent's as well."""
        self.bell._forget_others()
        self.bell = Bell()
        self._lock = threading.RLock()
        self._thread = None
        for subscription in self._subscriptions[0]:
            subscription.forget_after_fork()
        self._subscriptions = ([], EventStatistics(0, 0, 0, 0, 0))
        self._chores = []
        pool = self._pool()
        if pool is not None:
            pool._listen(self.bell)


def _add_counts(statistics: EventStatistics, subscriptions: list[Subscription]) -> EventStatistics:
    """Return the statistics with what these got."""
    return statistics._replace(
        delivered=statistics.delivered + sum(each.delivered for each in subscriptions),
        missed=statistics.missed + sum(each.missed for each in subscriptions),
        errors=statistics.errors + sum(each.errors for each in subscriptions),
        published=statistics.published + sum(each.manager.published for each in subscriptions),
        dropped=statistics.dropped + sum(each.manager.dropped for each in subscriptions),
    )


_engines: weakref.WeakSet[ProgressEngine] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    engines = list(_engines)
    for engine in engines:
        engine.stop()
    deadline = time.monotonic() + 2.0  # for all together: one that hangs is left behind
    for engine in engines:
        engine.close(max(deadline - time.monotonic(), 0.0))


def _forget_all_after_fork() -> None:
    for engine in list(_engines):
        engine._forget_after_fork()


os.register_at_fork(after_in_child=_forget_all_after_fork)
