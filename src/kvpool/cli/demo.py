"""A small pool under generated traffic, to have something to look at."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from types import TracebackType

from kvpool import BlockPool
from kvpool.replay import Request, Simulator, generate_workload

__all__ = ["Demo"]

_BLOCKS, _BLOCK_SIZE = 4000, 16
_REQUESTS = 1000  # of a workload; then comes the next one
_WARM_UP = 300  # requests that come at once
_SPEED = 20.0  # seconds of the workload in a second


class Demo:
    """Sends generated requests through a pool, in a thread, while its ``with`` lasts.

    Attributes
    ----------
    pool : BlockPool
        All its calls are timed.
    """

    def __init__(self) -> None:
        self._simulator = Simulator(_BLOCKS, _BLOCK_SIZE, hold="service")
        self.pool: BlockPool = self._simulator.pool
        self.pool.time_calls(1)
        self._requests = _endless()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kvpool demo", daemon=True)

    def __enter__(self) -> Demo:
        for request in itertools.islice(self._requests, _WARM_UP):
            self._simulator.serve(request)
        self._thread.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        for request in self._requests:
            if self._is_over.wait(max(request.arrival - self._simulator.now, 0.0) / _SPEED):
                return
            self._simulator.serve(request)


def _endless() -> Iterator[Request]:
    """Return the requests of one workload after the other."""
    begin = end = 0.0
    for seed in itertools.count():
        for request in generate_workload(_REQUESTS, seed).requests:
            end = begin + request.arrival
            yield request._replace(arrival=end)
        begin = end
