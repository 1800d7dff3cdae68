"""The quotas of one namespace of the model."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ModelQuota"]


@dataclass(slots=True)
class ModelQuota:
    """What a namespace can have.

    Attributes
    ----------
    floor, cap : int
        Blocks.
    """

    floor: int
    cap: int
