"""Requests of a trace, as the simulator takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Request", "Trace"]


class Request(NamedTuple):
    """One request.

    Attributes
    ----------
    arrival : float
        Seconds from the trace's zero.
    input_tokens, output_tokens : int
    hashes : ndarray of uint64, shape (input_tokens // block_size,)
        Sequence hashes of the full blocks of the prompt. A partial last block is never shared, so it has none.
    """

    arrival: float
    input_tokens: int
    output_tokens: int
    hashes: npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Trace:
    """Requests in the order of their arrival.

    Attributes
    ----------
    name : str
        Where they come from.
    block_size : int
        Tokens of a block.
    requests : sequence of Request
    bad_lines : int
        Lines that were skipped.
    parameters : dict
        Of a generated workload.
    """

    name: str
    block_size: int
    requests: Sequence[Request]
    bad_lines: int = 0
    parameters: dict[str, float | int] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Time from the first arrival to the last."""
        return self.requests[-1].arrival - self.requests[0].arrival if self.requests else 0.0

    @cached_property
    def num_blocks(self) -> int:
        """Full prompt blocks, every reference counted."""
        return sum(len(request.hashes) for request in self.requests)

    @property
    def num_unique_blocks(self) -> int:
        """Different full prompt blocks: what a pool that never evicts would hold."""
        return self._census[0]

    @property
    def ceiling(self) -> float:
        """Block hit ratio of a pool that never evicts, in [0, 1]."""
        return self._census[1] / self.num_blocks if self.num_blocks else 0.0

    @property
    def token_ceiling(self) -> float:
        """Token hit ratio of a pool that never evicts, in [0, 1]."""
        input_tokens = sum(request.input_tokens for request in self.requests)
        return self._census[1] * self.block_size / input_tokens if input_tokens else 0.0

    @cached_property
    def _census(self) -> tuple[int, int]:
        """Unique blocks, and the references that a pool hits which never evicts.

        A request hits its blocks up to the first one that no request before it had.
        """
        if not self.requests:
            return 0, 0
        ends = np.cumsum([len(request.hashes) for request in self.requests])
        starts = np.concatenate([[0], ends[:-1]])
        hashes = np.concatenate([request.hashes for request in self.requests])
        unique, first = np.unique(hashes, return_index=True)
        misses = np.append(np.sort(first), len(hashes))  # the last one is behind the end, to be found by all
        hits = np.minimum(misses[np.searchsorted(misses, starts)], ends) - starts
        return len(unique), int(hits.sum())
