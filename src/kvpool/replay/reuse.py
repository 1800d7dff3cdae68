"""How far apart the references to a block lie."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kvpool.replay.trace import Trace

__all__ = ["ReuseHistogram", "reuse_histogram"]

_MOST_REFERENCES = 400_000


class ReuseHistogram(NamedTuple):
    """References by their distance, in doubling bins.

    Attributes
    ----------
    blocks : ndarray of int64
        ``blocks[i]`` references come after 2**i to 2**(i + 1) - 1 different blocks, their own included: those that LRU
        hits in a pool of 2**(i + 1) blocks, and not in half of it.
    seconds : ndarray of int64
        ``seconds[i]`` references come 2**i to 2**(i + 1) seconds after the one before; ``seconds[0]`` has all that come
        sooner as well.
    first : int
        References to a block that was not asked for before.
    sampled_one_in : int
        So many blocks one was looked at; the counts are scaled up.
    """

    blocks: npt.NDArray[np.int64]
    seconds: npt.NDArray[np.int64]
    first: int
    sampled_one_in: int


def reuse_histogram(trace: Trace) -> ReuseHistogram:
    """Return the distances of all references, or of those to every n-th block if there are too many.

    A request's blocks count as used last to first, as LRU keeps them. The distances are stack distances (Mattson and
    others, 1970), sampled by block as in SHARDS (Waldspurger and others, FAST 2015).
    """
    step = max(1, -(-trace.num_blocks // _MOST_REFERENCES))
    _, inverse = np.unique(
        np.concatenate([np.empty(0, np.uint64), *(request.hashes[::-1] for request in trace.requests)]),
        return_inverse=True,
    )
    times = np.repeat(
        [request.arrival for request in trace.requests], [len(request.hashes) for request in trace.requests]
    )
    chosen = inverse % step == 0
    nodes: list[int] = (inverse[chosen] // step).tolist()
    arrivals: list[float] = times[chosen].tolist()
    size = len(nodes)
    tree = [0] * (size + 1)  # Fenwick tree over references: 1 for the last one to each block
    last = [-1] * (max(nodes, default=-1) + 1)
    blocks = np.zeros(64, dtype=np.int64)
    seconds = np.zeros(64, dtype=np.int64)
    first = 0
    for at, node in enumerate(nodes):
        before = last[node]
        if before < 0:
            first += 1
        else:
            distance = 0
            position = at
            while position > 0:
                distance += tree[position]
                position &= position - 1
            position = before
            while position > 0:
                distance -= tree[position]
                position &= position - 1
            blocks[(distance * step).bit_length() - 1] += step
            seconds[max(int(arrivals[at] - arrivals[before]).bit_length() - 1, 0)] += step
            position = before + 1
            while position <= size:
                tree[position] -= 1
                position += position & -position
        last[node] = at
        position = at + 1
        while position <= size:
            tree[position] += 1
            position += position & -position
    used = max(int(np.max(np.nonzero(blocks)[0], initial=-1)), 0) + 1
    lasting = max(int(np.max(np.nonzero(seconds)[0], initial=-1)), 0) + 1
    return ReuseHistogram(blocks[:used], seconds[:lasting], first * step, step)
