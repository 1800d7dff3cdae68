"""Requests that nobody asked before, one after the other, on a pool that is full of other prefixes."""

from __future__ import annotations

from scenarios.scenario import Scenario
from scenarios.steps import BLOCK_SIZE, Finish, Start, Step, random_tokens

__all__ = ["ColdRequest"]


class ColdRequest(Scenario):
    """64 blocks and a half each, all misses: each takes the room of the least recently used blocks."""

    name = "cold_request"
    requests = 32
    blocks = 64

    def prepare(self) -> list[Step]:
        """Fill the pool."""
        return self._requests(seed=1, count=self.num_blocks // (self.blocks + 1))

    def repetition(self, index: int) -> list[Step]:
        """Return requests with new tokens."""
        return self._requests(seed=1000 + index, count=self.requests)

    def units(self) -> int:
        """Return the number of requests."""
        return self.requests

    def _requests(self, seed: int, count: int) -> list[Step]:
        prompts = random_tokens(seed, count, self.blocks * BLOCK_SIZE + BLOCK_SIZE // 2)
        return [step for key, prompt in enumerate(prompts) for step in (Start(key, prompt), Finish(key))]
