"""Conversations that share a system prompt; each turn sends all that was said before."""

from __future__ import annotations

import numpy as np

from scenarios.scenario import Scenario
from scenarios.steps import Decode, Finish, Start, Step, random_tokens

__all__ = ["MultiTurnChat"]


class MultiTurnChat(Scenario):
    """16 conversations at once: a system prompt of 512 tokens, then 4 turns of 100 tokens asked and 60 answered."""

    name = "multi_turn_chat"
    conversations = 16
    turns = 4
    system = 512
    asked = 100
    answered = 60

    def repetition(self, index: int) -> list[Step]:
        """Return new conversations under the same system prompt."""
        system = np.tile(random_tokens(3, self.system), (self.conversations, 1))
        said = random_tokens(1000 + index, self.turns, self.conversations, self.asked + self.answered)
        steps: list[Step] = []
        before = system
        for turn in said:
            prompts = np.hstack([before, turn[:, : self.asked]])
            steps += [Start(key, prompt) for key, prompt in enumerate(prompts)]
            steps.append(Decode(turn[:, self.asked :].T))
            steps += [Finish(key) for key in range(self.conversations)]
            before = np.hstack([before, turn])
        return steps

    def units(self) -> int:
        """Return the number of turns of all conversations."""
        return self.conversations * self.turns
