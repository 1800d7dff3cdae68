"""The coroutines of one event loop that wait for blocks of one pool."""

from __future__ import annotations

import asyncio
import math
import weakref

from kvpool._core.bell import Bell
from kvpool._core.block_request import BlockRequest, collect_requests
from kvpool._core.pool import BlockPool

__all__ = ["LoopWaits", "finish"]


class LoopWaits:
    """The coroutines of one event loop that wait for blocks of one pool.

    The pool rings the bell, a descriptor, when some of them were granted theirs; the loop watches it while anybody
    waits. It does not know its loop, which may be closed at any time, and belongs to the thread that runs that.

    Parameters
    ----------
    pool : BlockPool
    """

    def __init__(self, pool: BlockPool) -> None:
        self.pool = pool
        self.bell = Bell()
        self._pending: weakref.ref[set[asyncio.Future[None]]] | None = None

    async def wait(self, request: BlockRequest, timeout: float) -> None:
        """Wait until the request was granted, or the time is over; which of them, the request knows.

        Parameters
        ----------
        request : BlockRequest
            Made with this bell. If the wait is cancelled, what it was granted goes to the next one.
        timeout : float
            Seconds; ``inf`` waits without limit.
        """
        loop = asyncio.get_running_loop()
        future = request.future = loop.create_future()
        pending = None if self._pending is None else self._pending()
        if not pending:
            # Held by the loop alone, as long as it is open: nobody else may know a task that waits.
            pending = set[asyncio.Future[None]]()
            self._pending = weakref.ref(pending)
        timer = None
        try:
            if not pending:
                loop.add_reader(self.bell.fileno(), self._collect, pending)
            pending.add(future)
            if not math.isinf(timeout):
                timer = loop.call_later(timeout, finish, future)
            await future
        except BaseException:
            request.abandon()
            raise
        finally:
            if timer is not None:
                timer.cancel()
            pending.discard(future)
            if not pending and not loop.is_closed():
                loop.remove_reader(self.bell.fileno())

    def _collect(self, _: set[asyncio.Future[None]]) -> None:
        """Tell those who were granted their blocks, first come first served."""
        for request in collect_requests(self.pool, self.bell):
            if request.future is not None:
                finish(request.future)


def finish(future: asyncio.Future[None]) -> None:
    """Wake who waits for the future, unless it was woken or has given up."""
    if not future.done():
        future.set_result(None)
