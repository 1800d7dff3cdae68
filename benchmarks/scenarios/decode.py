"""Decoding: many running requests, one token for each of them a pass."""

from __future__ import annotations

from scenarios.scenario import Scenario
from scenarios.steps import Decode as DecodeStep
from scenarios.steps import Finish, Start, Step, random_tokens

__all__ = ["Decode"]


class Decode(Scenario):
    """256 requests of 8 to 24 prompt tokens for 64 passes; a row is one request in one pass.

    The prompts are short, so that starting and finishing the requests is a small share of the time.
    """

    name = "decode"
    unit = "row"
    rows = 256
    passes = 64

    def repetition(self, index: int) -> list[Step]:
        """Return new requests; their lengths differ, so that they do not all fill a block in the same pass."""
        tokens = random_tokens(1000 + index, self.rows, 24)
        lengths = (8 + tokens[:, 0] % 17).tolist()
        steps: list[Step] = [Start(key, tokens[key, :length]) for key, length in enumerate(lengths)]
        steps.append(DecodeStep(random_tokens(5000 + index, self.passes, self.rows)))
        steps += [Finish(key) for key in range(self.rows)]
        return steps

    def units(self) -> int:
        """Return the number of rows of all passes."""
        return self.rows * self.passes
