"""What admit says of a prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from kvpool._core.block_sequence import BlockSequence

__all__ = ["Admission"]


class Admission(NamedTuple):
    """What a waiting prompt would need, and whether it was let in.

    Attributes
    ----------
    num_cached_blocks : int
        Blocks of its prefix that are cached.
    num_new_blocks : int
        Blocks to be allocated for the rest, lookahead included.
    sequence : BlockSequence or None
        The opened sequence, with all its blocks; None if there are too few, or if it waits.
    waits_for : BlockSequence or None
        The sequence that is computing the prompt's next block right now.
    """

    num_cached_blocks: int
    num_new_blocks: int
    sequence: BlockSequence | None
    waits_for: BlockSequence | None
