"""What a caller could tell of a request when it is done: whether it will be continued, right in most cases."""

from __future__ import annotations

from kvpool.replay.dice import Dice
from kvpool.replay.trace import Trace

__all__ = ["continuation_hints"]


def continuation_hints(trace: Trace, accuracy: float, seed: int = 0) -> list[int]:
    """Return for each request 1 if a later one asks for its last full block, else 0; some of them wrong.

    Parameters
    ----------
    trace : Trace
    accuracy : float
        Share of the hints that are right, in [0, 1]; 0.5 tells nothing.
    seed : int
        Which ones are wrong.
    """
    if not 0 <= accuracy <= 1:
        raise ValueError(f"accuracy = {accuracy} is not in [0, 1]")
    dice = Dice(seed)
    later: set[int] = set()
    hints = []
    for request in reversed(trace.requests):
        is_continued = len(request.hashes) > 0 and int(request.hashes[-1]) in later
        hints.append(int(is_continued != dice.happens(1 - accuracy)))
        later.update(request.hashes.tolist())
    return hints[::-1]
