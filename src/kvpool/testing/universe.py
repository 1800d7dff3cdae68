"""The hashes that a random history is about."""

from __future__ import annotations

import random

from kvpool import sequence_hashes
from kvpool.testing.arguments import BLOCK_SIZE

__all__ = ["Universe"]


class Universe:
    """A small tree of hashes: prefixes are shared, and the same hash comes up again and again.

    Attributes
    ----------
    hashes : tuple of int
    parents : dict of int to int or None
    tokens : dict of int to tuple of int
        Tokens of the block of each hash; empty when the hashes are just numbers.
    """

    def __init__(self, rng: random.Random, size: int) -> None:
        self.parents: dict[int, int | None] = {}
        self.tokens: dict[int, tuple[int, ...]] = {}
        has_tokens = rng.random() < 0.4
        depth = rng.random()
        newest: int | None = None
        while len(self.parents) < size:
            known = list(self.parents)
            parent = newest if rng.random() < depth else rng.choice([None, *known])
            if has_tokens:
                tokens = tuple(rng.randrange(1000) for _ in range(BLOCK_SIZE))
                newest = int(sequence_hashes(tokens, BLOCK_SIZE, parent=parent)[0])
                self.tokens[newest] = tokens
            else:
                newest = self.number(rng)
            self.parents.setdefault(newest, parent)
        self.hashes = tuple(self.parents)
        self.paths = [self.path_to(sequence_hash) for sequence_hash in self.hashes]

    @staticmethod
    def number(rng: random.Random) -> int:
        """Return a number that makes a bad hash more often than a good one."""
        choice = rng.random()
        if choice < 0.3:
            return rng.getrandbits(64)
        if choice < 0.5:
            return rng.randrange(8)
        if choice < 0.6:
            return 2**64 - 1 - rng.randrange(4)
        return rng.randrange(4) + (rng.randrange(16) << rng.choice((6, 32, 58)))

    def path_to(self, sequence_hash: int) -> tuple[int, ...]:
        """Return the hashes from the root of the tree to this one."""
        path: list[int] = []
        at: int | None = sequence_hash
        while at is not None and at not in path:
            path.append(at)
            at = self.parents[at]
        return tuple(reversed(path))

    def path(self, i: int) -> tuple[int, ...]:
        """Return the path to the i-th hash."""
        return self.paths[i]

    def some(self, rng: random.Random, n: int) -> tuple[int, ...]:
        """Return n hashes, any."""
        size = len(self.hashes)
        return tuple([self.hashes[int(rng.random() * size)] for _ in range(n)])
