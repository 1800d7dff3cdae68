"""Requests that were served before, one after the other, drawn at random from a pool full of them."""

from __future__ import annotations

import numpy as np

from scenarios.scenario import Scenario
from scenarios.steps import BLOCK_SIZE, Finish, Start, Step, Tokens, random_tokens

__all__ = ["WarmRequest"]


class WarmRequest(Scenario):
    """64 cached blocks and half a block more, which is computed and not kept."""

    name = "warm_request"
    requests = 64
    blocks = 64

    def prepare(self) -> list[Step]:
        """Serve every prompt once; room for one request stays."""
        return self._requests(range(len(self._prompts())))

    def repetition(self, index: int) -> list[Step]:
        """Return requests drawn at random."""
        prompts = len(self._prompts())
        return self._requests(np.random.default_rng(1000 + index).integers(0, prompts, self.requests).tolist())

    def units(self) -> int:
        """Return the number of requests."""
        return self.requests

    def _prompts(self) -> Tokens:
        count = self.num_blocks // self.blocks - 2
        return random_tokens(2, count, self.blocks * BLOCK_SIZE + BLOCK_SIZE // 2)

    def _requests(self, which: range | list[int]) -> list[Step]:
        prompts = self._prompts()
        return [step for i in which for step in (Start(i, prompts[i]), Finish(i))]
