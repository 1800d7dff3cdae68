"""One full block of tokens."""

from __future__ import annotations

from dataclasses import dataclass

from kvpool._core.hashing import positional_lineage_hashes


@dataclass(frozen=True, slots=True)
class TokenBlock:
    """A full block of tokens with its hashes, as `TokenBlockSequence.blocks` has them.

    Immutable and hashable; it stays as it is when the sequence it was taken from changes.

    Attributes
    ----------
    tokens : tuple of int
        The tokens of the block.
    block_hash : int
        Hash of the block's own tokens.
    sequence_hash : int
        Hash of the block's tokens and all before them: what identifies the block in a pool.
    parent_sequence_hash : int or None
        Sequence hash of the block before; `None` at position 0.
    position : int
        Position in the sequence, in blocks.
    salt_hash : int
        Seed of the hashes.

    Examples
    --------
    >>> from kvpool import TokenBlockSequence
    >>> first, second = TokenBlockSequence([1, 2, 3, 4, 5, 6, 7, 8], block_size=4).blocks
    >>> second.tokens, second.position, second.parent_sequence_hash == first.sequence_hash
    ((5, 6, 7, 8), 1, True)
    """

    tokens: tuple[int, ...]
    block_hash: int
    sequence_hash: int
    parent_sequence_hash: int | None
    position: int
    salt_hash: int

    @property
    def block_size(self) -> int:
        """Number of tokens in the block."""
        return len(self.tokens)

    @property
    def positional_lineage_hash(self) -> int:
        """Position, sequence hash and part of the parent's in 128 bits, see `positional_lineage_hashes`."""
        return positional_lineage_hashes(
            [self.sequence_hash], parent=self.parent_sequence_hash, position=self.position
        )[0]
