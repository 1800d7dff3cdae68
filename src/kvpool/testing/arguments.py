"""How the driver gives hashes and tokens to the pool."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np

from kvpool.testing.agreement import same

__all__ = ["BLOCK_SIZE", "as_argument", "commit_each", "is_bad_retention"]

BLOCK_SIZE = 2


def as_argument(hashes: tuple[int, ...]) -> Any:
    """Return the hashes in one of the forms that calls take; the same one each time."""
    form = (sum(hashes) + len(hashes)) % 8
    if form == 0:
        return np.array(hashes, dtype=np.uint64)
    if form == 1:
        return array("Q", hashes)
    return hashes if form < 5 else list(hashes)


def commit_each(blocks: Any, tokens: tuple[int, ...], parent: int | None) -> None:
    """Take each mutable block through its life, with a detour."""
    for i, block in enumerate(blocks):
        own = tokens[i * BLOCK_SIZE : (i + 1) * BLOCK_SIZE]
        block.init_sequence(parent=parent)
        block.add_token(own[0])
        block.add_tokens(own[1:])
        same("popped", block.pop_tokens(1), [own[-1]])
        block.add_token(own[-1])
        block.commit()
        same("tokens", block.tokens.tolist(), list(own))
        parent = block.sequence_hash


def is_bad_retention(priority: int | None, ttl: float | None) -> bool:
    """Tell whether calls refuse this priority or this time-to-live."""
    return (priority is not None and not 0 <= priority <= 100) or (ttl is not None and ttl <= 0)
