"""An agent that explores: requests form a tree, and each continues the prompt of its parent."""

from __future__ import annotations

import numpy as np

from scenarios.scenario import Scenario
from scenarios.steps import Finish, Start, Step, Tokens, random_tokens

__all__ = ["AgentTree"]


class AgentTree(Scenario):
    """A root of 2,048 tokens, three levels of four children, 256 tokens longer each; siblings run at the same time."""

    name = "agent_tree"
    root = 2048
    step = 256
    children = 4
    depth = 3

    def repetition(self, index: int) -> list[Step]:
        """Return one new tree, level by level."""
        rng = np.random.default_rng(1000 + index)
        level: list[Tokens] = [random_tokens(int(rng.integers(2**62)), self.root)]
        steps: list[Step] = [Start(0, level[0]), Finish(0)]
        for _ in range(self.depth):
            grown: list[Tokens] = []
            for parent in level:
                own = random_tokens(int(rng.integers(2**62)), self.children, self.step)
                prompts = [np.concatenate([parent, tokens]) for tokens in own]
                steps += [Start(key, prompt) for key, prompt in enumerate(prompts)]
                steps += [Finish(key) for key in range(self.children)]
                grown += prompts
            level = grown
        return steps

    def units(self) -> int:
        """Return the number of requests."""
        return sum(self.children**level for level in range(self.depth + 1))
