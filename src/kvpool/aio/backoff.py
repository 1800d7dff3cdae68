"""Trying again later, and later."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Backoff"]


@dataclass(frozen=True, slots=True)
class Backoff:
    """How often to try again, and how long to wait before.

    Parameters
    ----------
    retries : int, default 3
        Times to try again after the first failure, at least 0.
    initial : float, default 0.1
        Seconds before the first of these.
    factor : float, default 2
        How many times longer each wait is than the one before, at least 1.
    maximum : float, default inf
        Seconds that no wait exceeds.

    Raises
    ------
    ValueError
        A number is out of its bounds.

    Examples
    --------
    >>> list(Backoff(retries=4, initial=0.1, maximum=0.5))
    [0.1, 0.2, 0.4, 0.5]
    """

    retries: int = 3
    initial: float = 0.1
    factor: float = 2.0
    maximum: float = math.inf

    def __post_init__(self) -> None:
        if isinstance(self.retries, bool) or not isinstance(self.retries, int):
            raise TypeError(f"retries must be an int, not {type(self.retries).__name__}")
        for name, low in (("retries", 0), ("initial", 0), ("factor", 1), ("maximum", 0)):
            value = getattr(self, name)
            if not value >= low:
                raise ValueError(f"{name} = {value} is not at least {low}")

    def __iter__(self) -> Iterator[float]:
        """Yield the seconds of each wait."""
        delay = self.initial
        for _ in range(self.retries):
            yield min(delay, self.maximum)
            delay = min(delay * self.factor, self.maximum)
