"""The value of a histogram."""

from __future__ import annotations

import math
from typing import NamedTuple

__all__ = ["Buckets"]


class Buckets(NamedTuple):
    """The value of a histogram: how many observations do not exceed each bound.

    Attributes
    ----------
    bounds : tuple of float
        In increasing order; the last is infinite.
    counts : tuple of int
        One for each bound, and never less than the one before: each counts all that are below.
    total : float or None
        Sum of the observations, where it is known.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float | None = None

    @property
    def labels(self) -> list[str]:
        """The bounds as values of the label ``le``."""
        return ["+Inf" if math.isinf(bound) else repr(bound) for bound in self.bounds]
