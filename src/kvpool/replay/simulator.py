"""Drives the real pool by a trace's clock."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from math import isfinite
from time import perf_counter, perf_counter_ns
from typing import Literal

from kvpool import BlockPool, ImmutableBlocks, MutableBlocks, NotEnoughBlocksAvailable
from kvpool.replay.result import ReplayResult
from kvpool.replay.trace import Request, Trace

__all__ = ["DECODE_RATE", "PREFILL_RATE", "TIME_BINS", "Simulator", "replay"]

PREFILL_RATE = 8000.0
"""Prompt tokens that a request computes in a second."""
DECODE_RATE = 30.0
"""Tokens that a request generates in a second."""
TIME_BINS = 60
"""Parts of the trace's time for which evictions are counted."""
_PROGRESS_STEP = 64  # requests


class Simulator:
    """One pool and the requests that hold blocks of it.

    Parameters
    ----------
    capacity : int
        Blocks of the pool.
    block_size : int
        Tokens of a block.
    hold : {"none", "service"}
        Each request gives its blocks back before the next arrives, or holds them until it would have finished: input
        tokens that were not cached at ``prefill_rate``, then output tokens at ``decode_rate`` (tokens a second). While
        it is held, a request also has blocks for its partial prompt block and its output, which are never registered.
    prefill_rate, decode_rate : float
        Tokens a second, of one request.
    eviction : str, default "lru"
        One of ``EVICTION_POLICIES``.

    Notes
    -----
    Of a request larger than the pool only the first ``capacity`` blocks are handled (*truncated*). A request that does
    not get its blocks at once is turned away (*refused*). The blocks they go without count as misses.
    """

    def __init__(
        self,
        capacity: int,
        block_size: int,
        hold: Literal["none", "service"] = "none",
        prefill_rate: float = PREFILL_RATE,
        decode_rate: float = DECODE_RATE,
        eviction: str = "lru",
    ) -> None:
        if hold not in ("none", "service"):
            raise ValueError(f"hold = {hold!r} is neither 'none' nor 'service'")
        for name, rate in (("prefill_rate", prefill_rate), ("decode_rate", decode_rate)):
            if not (isfinite(rate) and rate > 0):
                raise ValueError(f"{name} = {rate} is not a finite number above 0")
        self.now = 0.0
        self.pool = BlockPool(capacity, block_size, clock=lambda: self.now, eviction=eviction)
        self.result = ReplayResult(capacity, hold, eviction)
        self._block_size = block_size
        self._holds = hold == "service"
        self._prefill_rate = prefill_rate
        self._decode_rate = decode_rate
        self._running: list[tuple[float, int, tuple[ImmutableBlocks | MutableBlocks, ...], int | None]] = []
        # Looked up once, so that a duration has nothing in it but the call and the clock.
        self._match, self._allocate, self._register, self._release = self.result.latencies.values()

    def serve(self, request: Request, reuse_hint: int | None = None) -> None:
        """Let one request arrive; those that have finished by then go first.

        Parameters
        ----------
        request : Request
        reuse_hint : int, optional
            What the pool is told when the request gives its blocks back.
        """
        self.finish_until(request.arrival)
        self.now = request.arrival
        pool, result = self.pool, self.result
        hashes = request.hashes
        wanted = len(hashes)
        if self._holds:
            wanted = -(-(request.input_tokens + request.output_tokens) // self._block_size)
        result.requests += 1
        result.blocks += len(hashes)
        result.input_tokens += request.input_tokens
        if wanted > result.capacity:
            result.truncated += 1
            wanted = result.capacity
            hashes = hashes[:wanted]

        start = perf_counter_ns()
        cached = pool.match_sequence_hashes(hashes)
        end = perf_counter_ns()
        self._match.add(end - start)
        hits = len(cached)
        start = perf_counter_ns()
        try:
            fresh = pool.allocate_blocks(wanted - hits)
        except NotEnoughBlocksAvailable:
            end = perf_counter_ns()
            self._allocate.add(end - start)
            result.refused += 1
            cached.release()
            return
        end = perf_counter_ns()
        self._allocate.add(end - start)
        computed = fresh[: len(hashes) - hits] if self._holds else fresh
        missing = hashes[hits:]
        start = perf_counter_ns()
        filled = pool.register_blocks(computed, missing, parent=cached)
        end = perf_counter_ns()
        self._register.add(end - start)

        result.served_blocks += len(hashes)
        result.hit_blocks += hits
        result.hit_tokens += hits * self._block_size
        result.peak_active = max(result.peak_active, result.capacity - pool.available_blocks)
        if self._holds:  # `fresh` still has the blocks that are not for the prompt
            uncached = request.input_tokens - hits * self._block_size
            finish = self.now + uncached / self._prefill_rate + request.output_tokens / self._decode_rate
            heapq.heappush(self._running, (finish, result.requests, (fresh, filled, cached), reuse_hint))
        else:
            self._give_back((filled, cached), reuse_hint)

    def finish_until(self, time: float) -> None:
        """Release the blocks of the requests that finish until then (seconds)."""
        while self._running and self._running[0][0] <= time:
            finish, _, handles, reuse_hint = heapq.heappop(self._running)
            self.now = max(self.now, finish)
            self._give_back(handles, reuse_hint)

    def _give_back(self, handles: tuple[ImmutableBlocks | MutableBlocks, ...], reuse_hint: int | None) -> None:
        """Release what a request holds, its last blocks first."""
        start = perf_counter_ns()
        for handle in handles:
            handle.release(reuse_hint=reuse_hint)
        end = perf_counter_ns()
        self._release.add(end - start)

    def run(
        self,
        requests: Sequence[Request],
        progress: Callable[[int], None] | None = None,
        *,
        hints: Sequence[int] | None = None,
        protect: int = 0,
    ) -> ReplayResult:
        """Serve requests in the order of their arrival, let all finish, and return what was measured.

        Parameters
        ----------
        requests : sequence of Request
        progress : callable, optional
            Called now and then with the number of requests served since the last call.
        hints : sequence of int, optional
            A hint for each request.
        protect : int, default 0
            So many requests that come next are made known to the pool before each one.
        """
        start = perf_counter()
        first, span = (requests[0].arrival, requests[-1].arrival - requests[0].arrival) if requests else (0.0, 0.0)
        evictions = [0] * TIME_BINS
        for served, request in enumerate(requests, 1):
            if protect:
                self.pool.protect([later.hashes for later in requests[served : served + protect]])
            self.serve(request, None if hints is None else hints[served - 1])
            part = int((request.arrival - first) / span * TIME_BINS) if span else 0
            evictions[min(part, TIME_BINS - 1)] = self.pool.status().evictions
            if progress is not None and served % _PROGRESS_STEP == 0:
                progress(_PROGRESS_STEP)
        result = self.close()
        for part in range(1, TIME_BINS):  # parts in which no request came
            evictions[part] = max(evictions[part], evictions[part - 1])
        result.evictions_by_time = [after - before for before, after in zip([0, *evictions], evictions, strict=False)]
        result.seconds += perf_counter() - start
        if progress is not None:
            progress(len(requests) % _PROGRESS_STEP)
        return result

    def close(self) -> ReplayResult:
        """Let all requests finish; return what was measured."""
        self.finish_until(float("inf"))
        self.result.evictions = self.pool.status().evictions
        return self.result


def replay(
    trace: Trace,
    capacity: int,
    *,
    hold: Literal["none", "service"] = "none",
    prefill_rate: float = PREFILL_RATE,
    decode_rate: float = DECODE_RATE,
    eviction: str = "lru",
    hints: Sequence[int] | None = None,
    protect: int = 0,
    progress: Callable[[int], None] | None = None,
) -> ReplayResult:
    """Send a trace through a pool: match, allocate the rest, register, hold, release.

    Parameters
    ----------
    trace : Trace
    capacity : int
        Blocks of the pool.
    hold : {"none", "service"}, default "none"
        See :class:`Simulator`.
    prefill_rate, decode_rate : float
        Tokens a second, of one request.
    eviction : str, default "lru"
        One of ``EVICTION_POLICIES``.
    hints : sequence of int, optional
        A ``reuse_hint`` for each request.
    protect : int, default 0
        So many requests that come next are made known to the pool (``BlockPool.protect``) before each one.
    progress : callable, optional
        Called now and then with the number of requests served since the last call.

    Returns
    -------
    ReplayResult

    Examples
    --------
    >>> from kvpool.replay import generate_workload, replay
    >>> result = replay(generate_workload(requests=50, seed=1), capacity=4000)
    >>> result.requests, result.evictions
    (50, 0)
    """
    simulator = Simulator(capacity, trace.block_size, hold, prefill_rate, decode_rate, eviction)
    return simulator.run(trace.requests, progress, hints=hints, protect=protect)
