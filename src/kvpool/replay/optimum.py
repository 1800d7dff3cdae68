"""What no policy can beat: the optimum, which knows the future."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import pairwise
from time import perf_counter

import numpy as np

from kvpool.replay.result import ReplayResult
from kvpool.replay.trace import Trace

__all__ = ["OPTIMUM", "optimum"]

OPTIMUM = "optimum"
"""Name of the policy in results."""
_PROGRESS_STEP = 64  # requests
_NEVER = 1 << 62


class _Tree:
    """Blocks that are cached, as a tree of prefixes; its leaves in a heap, the one that is needed last on top.

    An entry of the heap that is out of date, as its block was asked for again or is a leaf no more, is passed over.
    """

    def __init__(self, parents: list[int]) -> None:
        self.parents = parents
        self.is_cached = bytearray(len(parents))
        self.next_use = [0] * len(parents)
        self.children = [0] * (len(parents) + 1)  # the last one is the root's
        self.request = [-1] * len(parents)  # the last request that asked for the block
        self.heap: list[tuple[int, int]] = []
        self.size = 0

    def set_next_use(self, node: int, time: int) -> None:
        self.next_use[node] = time
        if self.children[node] == 0:
            heapq.heappush(self.heap, (-time, node))

    def add(self, node: int, time: int) -> None:
        self.is_cached[node] = 1
        self.children[self.parents[node]] += 1
        self.size += 1
        self.set_next_use(node, time)

    def evict_one_needed_after(self, time: int, request: int) -> bool:
        """Evict the leaf that is needed last, if it is needed later than this; none of the request's own."""
        kept = []
        found = False
        while self.heap:
            entry = heapq.heappop(self.heap)
            node = entry[1]
            if not self.is_cached[node] or self.children[node] or self.next_use[node] != -entry[0]:
                continue
            if self.request[node] == request:
                kept.append(entry)
                continue
            if -entry[0] <= time:
                kept.append(entry)
                break
            self.is_cached[node] = 0
            self.size -= 1
            parent = self.parents[node]
            self.children[parent] -= 1
            if parent >= 0 and self.children[parent] == 0:
                heapq.heappush(self.heap, (-self.next_use[parent], parent))
            found = True
            break
        for entry in kept:
            heapq.heappush(self.heap, entry)
        return found


def optimum(
    trace: Trace, capacity: int, *, bypass: bool = False, progress: Callable[[int], None] | None = None
) -> ReplayResult:
    """Return the hits of the best choices there are, when requests give their blocks back at once.

    Of the cached blocks that nothing cached continues, and that the request does not ask for, the one that is asked for
    last goes (Belady, 1966, over the leaves of the prefix tree). All blocks of a request are in the pool while it runs,
    as in a pool of which the model computes the KV; of a request that is larger than the pool, as many as fit.

    Parameters
    ----------
    trace : Trace
    capacity : int
        Blocks, at least 1.
    bypass : bool
        A block that would be asked for later than all that could go for it need not enter the pool: the optimum of a
        cache that may refuse to keep a block, which no pool is that serves requests from its blocks. Never less.
    progress : callable, optional
        Called now and then with the number of requests done since the last call.

    Returns
    -------
    ReplayResult
        Without latencies: no pool was called.
    """
    if capacity < 1:
        raise ValueError(f"capacity = {capacity} is not at least 1")
    start = perf_counter()
    result = ReplayResult(capacity, "none", policy=OPTIMUM)
    ends = np.cumsum([0, *(len(request.hashes) for request in trace.requests)]).tolist()
    flat = np.concatenate([np.empty(0, np.uint64), *(request.hashes for request in trace.requests)])
    _, inverse = np.unique(flat, return_inverse=True)
    nodes: list[int] = inverse.tolist()
    parents = [-1] * (max(nodes, default=-1) + 1)
    for begin, end in pairwise(ends):
        for at in range(begin + 1, end):
            parents[nodes[at]] = nodes[at - 1]
    times = [0] * len(nodes)  # the request that asks for the block of each reference next
    upcoming = [_NEVER] * len(parents)
    for request in range(len(ends) - 2, -1, -1):
        for at in range(ends[request], ends[request + 1]):
            times[at] = upcoming[nodes[at]]
            upcoming[nodes[at]] = request
    tree = _Tree(parents)
    for number, (begin, end) in enumerate(pairwise(ends)):
        at = begin
        for position in range(begin, end):
            tree.request[nodes[position]] = number
        while at < end and tree.is_cached[nodes[at]]:
            tree.set_next_use(nodes[at], times[at])
            at += 1
        result.hit_blocks += at - begin
        while at < end:
            if tree.size >= capacity and not tree.evict_one_needed_after(times[at] if bypass else -1, number):
                break
            tree.add(nodes[at], times[at])
            at += 1
        if progress is not None and (number + 1) % _PROGRESS_STEP == 0:
            progress(_PROGRESS_STEP)
    if progress is not None:
        progress(len(trace.requests) % _PROGRESS_STEP)
    result.requests = len(trace.requests)
    result.blocks = result.served_blocks = len(nodes)
    result.input_tokens = sum(request.input_tokens for request in trace.requests)
    result.hit_tokens = result.hit_blocks * trace.block_size
    result.seconds = perf_counter() - start
    return result
