"""What a server does to its block pool, as data: the steps of a scenario."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["BLOCK_SIZE", "Decode", "Finish", "Start", "Step", "Tokens", "random_tokens"]

BLOCK_SIZE = 16
VOCABULARY = 150_000

Tokens: TypeAlias = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Start:
    """A request arrives: hold its cached prefix and room for the rest, and register its full blocks."""

    key: int
    token_ids: Tokens  # shape (tokens,)


@dataclass(frozen=True, slots=True)
class Decode:
    """Every running request, in the order in which they started, gets one token a pass."""

    token_ids: Tokens  # shape (passes, running requests)


@dataclass(frozen=True, slots=True)
class Finish:
    """A request is done: its blocks go back and stay cached."""

    key: int


Step: TypeAlias = Start | Decode | Finish


def random_tokens(seed: int, *shape: int) -> Tokens:
    """Return token ids of this shape; the same for the same seed, and as good as distinct for another."""
    return np.random.default_rng(seed).integers(0, VOCABULARY, shape, dtype=np.int32)
