"""Requests of a trace, as the simulator takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
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
    def num_blocks(self) -> int:
        """Full prompt blocks, every reference counted."""
        return sum(len(request.hashes) for request in self.requests)

    @property
    def num_unique_blocks(self) -> int:
        """Different full prompt blocks: what a pool that never evicts would hold."""
        if not self.requests:
            return 0
        return len(np.unique(np.concatenate([request.hashes for request in self.requests])))

    @property
    def ceiling(self) -> float:
        """Block hit ratio of a pool that never evicts, in [0, 1]."""
        blocks = self.num_blocks
        return 1 - self.num_unique_blocks / blocks if blocks else 0.0
