"""What a replay measured."""

from __future__ import annotations

from dataclasses import dataclass, field

from kvpool.replay.latency import LatencyHistogram

__all__ = ["OPERATIONS", "ReplayResult"]

OPERATIONS = ("match", "allocate", "register", "release")


@dataclass
class ReplayResult:
    """Counts and durations of one replay with one capacity.

    Attributes
    ----------
    capacity : int
        Blocks of the pool.
    hold : str
        ``"none"`` or ``"service"``.
    policy : str
        The pool's ``eviction``, or ``"optimum"``.
    requests, refused, truncated : int
        Requests seen; of these, those that found too few blocks, and those larger than the pool, whose first blocks
        only were taken.
    blocks, hit_blocks : int
        Full prompt blocks asked for, and found.
    served_blocks : int
        Full prompt blocks that were found or registered: not those of refused requests, nor those cut off.
    input_tokens, hit_tokens : int
    evictions : int
        Blocks evicted for others.
    evictions_by_time : list of int
        Evictions in each sixtieth of the trace's time; empty for the optimum.
    peak_active : int
        Blocks held at the same time, at most.
    seconds : float
        Wall time of the replay, bookkeeping included.
    latencies : dict of LatencyHistogram
        For each operation.
    """

    capacity: int
    hold: str
    policy: str = "lru"
    requests: int = 0
    refused: int = 0
    truncated: int = 0
    blocks: int = 0
    hit_blocks: int = 0
    served_blocks: int = 0
    input_tokens: int = 0
    hit_tokens: int = 0
    evictions: int = 0
    peak_active: int = 0
    seconds: float = 0.0
    evictions_by_time: list[int] = field(default_factory=list)
    latencies: dict[str, LatencyHistogram] = field(
        default_factory=lambda: {name: LatencyHistogram() for name in OPERATIONS}
    )

    @property
    def block_hit_ratio(self) -> float:
        """Share of the full prompt blocks that were found, in [0, 1]."""
        return self.hit_blocks / self.blocks if self.blocks else 0.0

    @property
    def token_hit_ratio(self) -> float:
        """Share of the prompt tokens whose block was found, in [0, 1]."""
        return self.hit_tokens / self.input_tokens if self.input_tokens else 0.0

    @property
    def blocks_per_second(self) -> float:
        """Full prompt blocks served in a second of wall time, the simulator's own included."""
        return self.served_blocks / self.seconds if self.seconds else 0.0

    def as_dict(self) -> dict[str, object]:
        """Return everything as plain numbers, for JSON."""
        return {
            "policy": self.policy,
            "capacity_blocks": self.capacity,
            "hold": self.hold,
            "requests": self.requests,
            "refused": self.refused,
            "truncated": self.truncated,
            "blocks": self.blocks,
            "hit_blocks": self.hit_blocks,
            "served_blocks": self.served_blocks,
            "block_hit_ratio": self.block_hit_ratio,
            "input_tokens": self.input_tokens,
            "hit_tokens": self.hit_tokens,
            "token_hit_ratio": self.token_hit_ratio,
            "evictions": self.evictions,
            "evictions_by_time": self.evictions_by_time,
            "peak_active_blocks": self.peak_active,
            "seconds": self.seconds,
            "blocks_per_second": self.blocks_per_second,
            "latency": {name: histogram.summary() for name, histogram in self.latencies.items()},
        }
