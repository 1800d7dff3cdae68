"""The operations of a block pool, in terms of the primitives of an adapter.

Each function sets up and returns `run`, which makes many calls together and returns ns a block. What must be undone or
made anew between two runs is done by `run` outside the timed part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter_ns as now
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from peers import Peer
from scenarios.steps import BLOCK_SIZE, random_tokens

__all__ = ["OPERATIONS", "Operation", "Run"]

Run: TypeAlias = Callable[[], float]

FEW_CALLS = 16  # of evictions: some implementations take tens of milliseconds for one


class Operation(NamedTuple):
    """A function below, and whether it is measured by the number of cached leaves."""

    set_up: Callable[[Peer, int, int], Run]
    by_leaves: bool = False


def allocate(peer: Peer, pool: int, n: int) -> Run:
    """Take empty blocks and keep them."""
    calls = _calls(pool, n)
    peer.open(pool)

    def run() -> float:
        start = now()
        held = peer.allocate(n, calls)
        taken = now() - start
        peer.release_allocated(held)
        return taken / (calls * n)

    return run


def register(peer: Peer, pool: int, n: int) -> Run:
    """Register allocated blocks under new identities; a pool that is used up is replaced."""
    calls = _calls(pool, n)
    left = 0
    seed = 0

    def run() -> float:
        nonlocal left, seed
        if left < calls * n:
            peer.open(pool)
            left = pool
        left -= calls * n
        seed += 1
        prefixes = peer.prefixes(random_tokens(seed, calls, n * BLOCK_SIZE))
        held = peer.allocate(n, calls)
        start = now()
        held = peer.register(held, prefixes)
        taken = now() - start
        peer.release(held)
        return taken / (calls * n)

    return run


def release(peer: Peer, pool: int, n: int) -> Run:
    """Give back registered blocks, which stay cached."""
    draw = _drawn(peer, pool, n)

    def run() -> float:
        held = _checked(peer, peer.match(draw(repeat=False)), n)
        blocks = len(held) * n
        start = now()
        peer.release(held)
        return (now() - start) / blocks

    return run


def match(peer: Peer, pool: int, n: int) -> Run:
    """Find and hold cached prefixes, all hits, drawn at random from a full pool."""
    draw = _drawn(peer, pool, n)

    def run() -> float:
        prefixes = draw()
        start = now()
        held = peer.match(prefixes)
        taken = now() - start
        peer.release(_checked(peer, held, n))
        return taken / (len(prefixes) * n)

    return run


def match_drop(peer: Peer, pool: int, n: int) -> Run:
    """Find cached prefixes in the same way, and give each back before the next is asked for."""
    draw = _drawn(peer, pool, n)

    def run() -> float:
        prefixes = draw()
        start = now()
        peer.match_and_release(prefixes)
        return (now() - start) / (len(prefixes) * n)

    return run


def evict_allocate(peer: Peer, pool: int, n: int) -> Run:
    """Take n blocks from a pool in which every block is a cached leaf of its own."""
    _fill(peer, pool, 1, seed=0)
    calls = 1
    seed = 0

    def run() -> float:
        nonlocal calls, seed
        start = now()
        held = peer.allocate(n, calls)
        taken = now() - start
        seed += 1
        blocks = calls * n
        peer.release_allocated(held)
        prefixes = peer.prefixes(random_tokens(1000 + seed, blocks, BLOCK_SIZE))
        peer.release(peer.register(peer.allocate(1, blocks), prefixes))
        calls = min(FEW_CALLS, pool // (2 * n)) if taken < calls * 10_000_000 else 1
        return taken / blocks

    return run


def _calls(pool: int, n: int) -> int:
    return max(1, min(pool // 2, 8192) // n)


def _fill(peer: Peer, pool: int, n: int, seed: int) -> Sequence[Any]:
    """Fill a new pool with prefixes of n blocks; return them."""
    peer.open(pool)
    prefixes = peer.prefixes(random_tokens(seed, pool // n, n * BLOCK_SIZE))
    peer.release(peer.register(peer.allocate(n, len(prefixes)), prefixes))
    return prefixes


def _drawn(peer: Peer, pool: int, n: int) -> Callable[..., list[Any]]:
    """Return a function that draws cached prefixes at random, anew each time."""
    cached = _fill(peer, pool, n, seed=0)
    rng = np.random.default_rng(1)
    calls = _calls(pool, n)

    def draw(repeat: bool = True) -> list[Any]:
        return [cached[i] for i in rng.choice(len(cached), calls, replace=repeat).tolist()]

    return draw


def _checked(peer: Peer, held: list[Any], n: int) -> list[Any]:
    if any(peer.count(blocks) != n for blocks in held):
        raise AssertionError(f"{peer.name} did not find all of a cached prefix")
    return held


OPERATIONS = {
    "allocate": Operation(allocate),
    "release": Operation(release),
    "register": Operation(register),
    "match": Operation(match),
    "match_drop": Operation(match_drop),
    "evict_allocate": Operation(evict_allocate, by_leaves=True),
}
