"""Drives the real pool by a trace's clock."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from time import perf_counter, perf_counter_ns
from typing import Literal

from kvpool import BlockPool, ImmutableBlocks, MutableBlocks, NotEnoughBlocksAvailable
from kvpool.replay.result import ReplayResult
from kvpool.replay.trace import Request, Trace

__all__ = ["DECODE_RATE", "PREFILL_RATE", "Simulator", "replay"]

PREFILL_RATE = 8000.0
"""Prompt tokens that a request computes in a second."""
DECODE_RATE = 30.0
"""Tokens that a request generates in a second."""


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
    """

    def __init__(
        self,
        capacity: int,
        block_size: int,
        hold: Literal["none", "service"] = "none",
        prefill_rate: float = PREFILL_RATE,
        decode_rate: float = DECODE_RATE,
    ) -> None:
        self.now = 0.0
        self.pool = BlockPool(capacity, block_size, clock=lambda: self.now)
        self.result = ReplayResult(capacity, hold)
        self._block_size = block_size
        self._prefill_rate = prefill_rate
        self._decode_rate = decode_rate
        self._running: list[tuple[float, int, list[ImmutableBlocks | MutableBlocks]]] = []

    def serve(self, request: Request) -> None:
        """Let one request arrive; those that have finished by then go first."""
        self.finish_until(request.arrival)
        self.now = request.arrival
        result = self.result
        latencies = result.latencies
        hashes = request.hashes
        result.requests += 1
        result.blocks += len(hashes)
        result.input_tokens += request.input_tokens
        if len(hashes) > result.capacity:
            hashes = hashes[: result.capacity]
            result.truncated += 1

        start = perf_counter_ns()
        cached = self.pool.match_sequence_hashes(hashes)
        latencies["match"].add(perf_counter_ns() - start)
        hits = len(cached)
        spare = 0
        if result.hold == "service":
            total = -(-(request.input_tokens + request.output_tokens) // self._block_size)
            spare = max(min(total, result.capacity) - len(hashes), 0)
        start = perf_counter_ns()
        try:
            fresh = self.pool.allocate_blocks(len(hashes) - hits + spare)
        except NotEnoughBlocksAvailable:
            latencies["allocate"].add(perf_counter_ns() - start)
            result.refused += 1
            cached.release()
            return
        latencies["allocate"].add(perf_counter_ns() - start)
        missing = fresh[: len(hashes) - hits] if spare else fresh
        start = perf_counter_ns()
        filled = self.pool.register_blocks(missing, hashes[hits:], parent=cached)
        latencies["register"].add(perf_counter_ns() - start)
        result.hit_blocks += hits
        result.hit_tokens += hits * self._block_size

        uncached = request.input_tokens - hits * self._block_size
        end = self.now + uncached / self._prefill_rate + request.output_tokens / self._decode_rate
        handles: list[ImmutableBlocks | MutableBlocks] = [fresh, filled, cached]
        heapq.heappush(self._running, (end, result.requests, handles))
        result.peak_active = max(result.peak_active, self.pool.status().active)
        if result.hold == "none":
            self.finish_until(float("inf"))

    def finish_until(self, time: float) -> None:
        """Release the blocks of the requests that finish until then."""
        while self._running and self._running[0][0] <= time:
            end, _, handles = heapq.heappop(self._running)
            if self.result.hold == "service":
                self.now = max(self.now, end)
            start = perf_counter_ns()
            for handle in handles:
                handle.release()
            self.result.latencies["release"].add(perf_counter_ns() - start)

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
    progress : callable, optional
        Called now and then with the number of requests served since the last call.

    Returns
    -------
    ReplayResult

    Examples
    --------
    >>> from kvpool.replay import generate_workload, replay
    >>> result = replay(generate_workload(requests=50, seed=1), capacity=2000)
    >>> result.requests, result.evictions
    (50, 0)
    """
    simulator = Simulator(capacity, trace.block_size, hold, prefill_rate, decode_rate)
    start = perf_counter()
    for served, request in enumerate(trace.requests, 1):
        simulator.serve(request)
        if progress is not None and served % 64 == 0:
            progress(64)
    result = simulator.close()
    result.seconds = perf_counter() - start
    if progress is not None:
        progress(len(trace.requests) % 64)
    return result
