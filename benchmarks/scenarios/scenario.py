"""What every scenario has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from scenarios.steps import Step

__all__ = ["Scenario"]


class Scenario(ABC):
    """A workload that knows nothing of the implementation which serves it.

    A pool of `num_blocks` serves `prepare()` once, and then one `repetition(index)` after the other, each of which is
    timed. No request is running between repetitions.
    """

    name: ClassVar[str]
    unit: ClassVar[str] = "request"  # what the time is divided by
    num_blocks: ClassVar[int] = 16_384

    def prepare(self) -> list[Step]:
        """Return the steps before the first repetition; they are not timed."""
        return []

    @abstractmethod
    def repetition(self, index: int) -> list[Step]:
        """Return the steps that are timed together; another `index` draws other tokens."""

    @abstractmethod
    def units(self) -> int:
        """Return how many units a repetition has."""
