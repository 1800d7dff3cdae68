"""The randomness of a generated workload."""

from __future__ import annotations

import math
import random

import numpy as np
import numpy.typing as npt

__all__ = ["Dice"]

_VOCABULARY = 128_000


class Dice:
    """Random numbers from a seed, made of bits and of floats in [0, 1) alone: these are the same in every Python."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def happens(self, probability: float) -> bool:
        """Return True with this probability."""
        return self._random.random() < probability

    def seconds(self, mean: float) -> float:
        """Return a duration, exponentially distributed."""
        return -mean * math.log(1 - self._random.random())

    def count(self, mean: float) -> int:
        """Return an int >= 1, geometrically distributed."""
        return 1 if mean <= 1 else 1 + int(math.log(1 - self._random.random()) / math.log1p(-1 / mean))

    def index(self, length: int) -> int:
        """Return an int in [0, length), all alike."""
        return int(self._random.random() * length)

    def rank(self, length: int) -> int:
        """Return an index, by Zipf's law."""
        point = self._random.random() * sum(1 / (rank + 1) for rank in range(length))
        for rank in range(length - 1):
            point -= 1 / (rank + 1)
            if point < 0:
                return rank
        return length - 1

    def tokens(self, mean: float) -> npt.NDArray[np.uint32]:
        """Return token ids, geometrically many."""
        count = self.count(mean)
        words = np.frombuffer(self._random.randbytes(4 * count), dtype="<u4")
        tokens: npt.NDArray[np.uint32] = (words % _VOCABULARY).astype(np.uint32)
        return tokens
