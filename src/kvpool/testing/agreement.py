"""What the driver compares with, and raises."""

from __future__ import annotations

from typing import Any

from kvpool.types import EvictionReason

__all__ = ["MismatchError", "same", "same_evicted"]


class MismatchError(AssertionError):
    """The pool and the model disagree."""


def same(what: str, real: Any, expected: Any) -> None:
    """Raise MismatchError unless the two are equal."""
    if real != expected:
        raise MismatchError(f"{what}: the pool has {real!r}, the model {expected!r}")


def same_evicted(real: Any, expected: list[tuple[int, int]], reason: EvictionReason) -> None:
    """Raise MismatchError unless these blocks lost their identity, in this order, for this reason."""
    same("evicted", list(zip(real.sequence_hashes.tolist(), real.ids.tolist(), strict=True)), expected)
    same("reasons", real.reasons.tobytes(), bytes([reason]) * len(expected))
