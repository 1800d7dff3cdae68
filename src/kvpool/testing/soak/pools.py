"""The pools of a soak: together they have every option that takes memory or runs code of others."""

from __future__ import annotations

import random
from typing import Any

from kvpool import BlockPool, CallbackEventManager
from kvpool.storage import FullyContiguous, HostStorage, LayoutConfig
from kvpool.testing.soak.faults import Faults
from kvpool.testing.soak.traffic import BLOCK_SIZE, Traffic

__all__ = ["FRUGAL", "make_all", "make_one"]

NUM_BLOCKS = 1024
NAMESPACES = ("ada", "bob", "eve")

# Those that call no Python code, which does not survive every failed allocation.
FRUGAL = ("events", "namespaces", "memory")


class _Moody:
    """A policy that takes the even hashes, and raises when it is told to."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults

    def rank(self, blocks: Any) -> Any:
        self.faults.callback()
        return blocks.sequence_hashes % 2

    def __str__(self) -> str:
        return "moody"


def make_one(kind: str, faults: Faults) -> BlockPool:
    """Return a new pool of one kind."""
    options: dict[str, Any] = {}
    if kind == "events":
        options = {"duplicates": "keep", "event_capacity": 4096, "event_tokens": True, "max_pinned_blocks": 64}
    elif kind == "namespaces":
        options = {"max_namespaces": len(NAMESPACES), "eviction": "adaptive", "reuse_sampling": 0.05}
    elif kind == "policy":
        options = {"eviction": _Moody(faults), "on_pressure": faults.callback}
    elif kind == "memory":
        layout = FullyContiguous(LayoutConfig(NUM_BLOCKS, 1, 2, BLOCK_SIZE, 2, dtype="float32"))
        options = {"storage": HostStorage(layout), "scrub": "allocate", "eviction": "s3fifo"}
    elif kind == "subscribed":
        options = {"event_manager": CallbackEventManager(faults.callback), "event_capacity": 4096}
        options |= {"on_pressure": faults.callback, "high_watermark": 0.3, "low_watermark": 0.1}
    pool = BlockPool(NUM_BLOCKS, BLOCK_SIZE, clock=faults.clock, **options)
    if kind == "namespaces":
        for i, name in enumerate(NAMESPACES):
            pool.namespace(name, floor=100 * i, cap=NUM_BLOCKS if i else NUM_BLOCKS // 3)
    return pool


def make_all(rng: random.Random, faults: Faults) -> dict[str, Traffic]:
    """Return traffic for a pool of each kind."""
    kinds = ("plain", *FRUGAL, "policy", "subscribed")
    return {kind: Traffic(rng, make_one(kind, faults), NAMESPACES if kind == "namespaces" else ()) for kind in kinds}
