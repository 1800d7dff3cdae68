"""Tokens that grow and shrink, with the hashes of their full blocks."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from operator import index
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from kvpool._core.hashing import block_and_sequence_hashes
from kvpool._core.token_buffer import as_token_buffer
from kvpool.tokens.token_block import TokenBlock
from kvpool.tokens.token_blocks import TokenBlocks


class TokenBlockSequence:
    """The tokens of one request, cut into blocks, with the hashes of all full blocks kept up to date.

    Each token is hashed once, however the sequence grows, and what is dropped is not hashed again. A call that
    raises has changed nothing. Not safe for use by several threads at once.

    Parameters
    ----------
    token_ids : array, list, tuple or iterable of int, default ()
        The first tokens, in any form that `sequence_hashes` takes.
    block_size : int, default 16
        Tokens in a block, in [1, 2**20].
    salt_hash : int, default 0
        Seed of the hashes, in [0, 2**64); see `router_salt_hash`.
    version : {2, 1}, default 2
        Generation of the format of the sequence hashes, see `sequence_hashes`.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If a token or another argument is out of range; the message names the value and the bound.

    Examples
    --------
    >>> from kvpool import TokenBlockSequence
    >>> sequence = TokenBlockSequence([1, 2, 3, 4, 5], block_size=4, salt_hash=1337)
    >>> len(sequence), len(sequence.blocks), sequence.partial_tokens.tolist()
    (5, 1, [5])
    >>> sequence.append(6) is None
    True
    >>> sequence.extend([7, 8, 9])
    range(1, 2)
    >>> sequence.sequence_hashes.tolist()
    [14643705804678351452, 4945711292740353085]
    >>> sequence.truncate(7)
    >>> sequence.append(8)
    1
    """

    __slots__ = (
        "_block_hashes",
        "_block_size",
        "_salt_hash",
        "_sequence_hashes",
        "_sequence_hashes_array",
        "_tokens",
        "_version",
    )

    def __init__(
        self,
        token_ids: Iterable[int] | npt.NDArray[np.integer[Any]] = (),
        block_size: int = 16,
        *,
        salt_hash: int = 0,
        version: Literal[1, 2] = 2,
    ) -> None:
        # Hashing no tokens checks the other arguments, also when there is no full block yet.
        block_and_sequence_hashes((), block_size, salt_hash=salt_hash, parent=None, version=version)
        self._block_size = index(block_size)
        self._salt_hash = index(salt_hash)
        self._version = version
        self._tokens = array("I")
        self._block_hashes = array("Q")
        self._sequence_hashes = array("Q")
        self._sequence_hashes_array: npt.NDArray[np.uint64] | None = None  # what was handed out last, while it holds
        self.extend(token_ids)

    def __len__(self) -> int:
        """Return the number of tokens, those after the last full block included."""
        return len(self._tokens)

    def __repr__(self) -> str:
        return (
            f"TokenBlockSequence({len(self)} tokens, {len(self._sequence_hashes)} full blocks, "
            f"block_size={self._block_size}, salt_hash={self._salt_hash}, version={self._version})"
        )

    @property
    def block_size(self) -> int:
        """Tokens in a block."""
        return self._block_size

    @property
    def salt_hash(self) -> int:
        """Seed of the hashes."""
        return self._salt_hash

    @property
    def version(self) -> Literal[1, 2]:
        """Generation of the format of the sequence hashes."""
        return self._version

    @property
    def tokens(self) -> npt.NDArray[np.uint32]:
        """All tokens, as a read-only copy."""
        return np.frombuffer(self._tokens.tobytes(), np.uint32)

    @property
    def partial_tokens(self) -> npt.NDArray[np.uint32]:
        """The tokens after the last full block, fewer than a block, as a read-only copy."""
        return np.frombuffer(self._tokens[len(self._sequence_hashes) * self._block_size :].tobytes(), np.uint32)

    @property
    def block_hashes(self) -> npt.NDArray[np.uint64]:
        """Hash of the own tokens of each full block, as a read-only copy."""
        return np.frombuffer(self._block_hashes.tobytes(), np.uint64)

    @property
    def sequence_hashes(self) -> npt.NDArray[np.uint64]:
        """Sequence hash of each full block, read-only; the same array until a block is completed or dropped."""
        if self._sequence_hashes_array is None:
            self._sequence_hashes_array = np.frombuffer(self._sequence_hashes.tobytes(), np.uint64)
        return self._sequence_hashes_array

    @property
    def blocks(self) -> TokenBlocks:
        """The full blocks, as a view that follows the sequence."""
        return TokenBlocks(self._sequence_hashes.__len__, self._block)

    def append(self, token_id: int) -> int | None:
        """Add one token.

        Parameters
        ----------
        token_id : int
            In [0, 2**32).

        Returns
        -------
        int or None
            Index of the block that this token completed, if it did.
        """
        try:
            self._tokens.append(token_id)
        except TypeError:
            raise TypeError(f"token_id must be an int, not {type(token_id).__name__}") from None
        except OverflowError:
            raise ValueError(f"token_id = {token_id} is not in [0, {2**32 - 1}]") from None
        if len(self._tokens) % self._block_size:
            return None
        self._hash_new_blocks(len(self._tokens) - 1)
        return len(self._sequence_hashes) - 1

    def extend(self, token_ids: Iterable[int] | npt.NDArray[np.integer[Any]]) -> range | None:
        """Add tokens, hashing all blocks they complete in one go.

        Parameters
        ----------
        token_ids : array, list, tuple or iterable of int
            In [0, 2**32), in any form that `sequence_hashes` takes.

        Returns
        -------
        range or None
            Indices of the blocks that were completed, if any were.
        """
        new_tokens = as_token_buffer(token_ids)
        num_tokens = len(self._tokens)
        num_blocks = len(self._sequence_hashes)
        self._tokens.frombytes(new_tokens.tobytes())
        self._hash_new_blocks(num_tokens)
        completed = range(num_blocks, len(self._sequence_hashes))
        return completed if completed else None

    def truncate(self, num_tokens: int) -> None:
        """Keep the first `num_tokens` tokens, in [0, len(self)], and drop the rest."""
        keep = index(num_tokens)
        if not 0 <= keep <= len(self._tokens):
            raise ValueError(f"num_tokens = {keep} is not in [0, {len(self._tokens)}]")
        self._keep(keep)

    def unwind(self, num_tokens: int) -> None:
        """Drop the last `num_tokens` tokens, in [0, len(self)]."""
        drop = index(num_tokens)
        if not 0 <= drop <= len(self._tokens):
            raise ValueError(f"num_tokens = {drop} is not in [0, {len(self._tokens)}]")
        self._keep(len(self._tokens) - drop)

    def pop(self) -> int:
        """Drop the last token and return it; raise `IndexError` if there is none."""
        if not self._tokens:
            raise IndexError("pop from an empty TokenBlockSequence")
        token_id = self._tokens[-1]
        self._keep(len(self._tokens) - 1)
        return token_id

    def copy(self) -> TokenBlockSequence:
        """Return an independent sequence with the same tokens, without hashing them again."""
        other = TokenBlockSequence((), self._block_size, salt_hash=self._salt_hash, version=self._version)
        other._tokens = self._tokens[:]
        other._block_hashes = self._block_hashes[:]
        other._sequence_hashes = self._sequence_hashes[:]
        return other

    __copy__ = copy

    def _keep(self, num_tokens: int) -> None:
        num_blocks = num_tokens // self._block_size
        del self._tokens[num_tokens:]
        if num_blocks < len(self._sequence_hashes):
            self._sequence_hashes_array = None
        del self._block_hashes[num_blocks:]
        del self._sequence_hashes[num_blocks:]

    def _hash_new_blocks(self, num_tokens_before: int) -> None:
        """Hash the full blocks that are not hashed yet; on error the tokens are again those before."""
        num_hashed = len(self._sequence_hashes)
        start = num_hashed * self._block_size
        stop = len(self._tokens) // self._block_size * self._block_size
        if start == stop:
            return
        try:
            # Released before the tokens are changed again: an array cannot be resized while it is exported.
            with memoryview(self._tokens) as tokens, tokens[start:stop] as unhashed:
                block_hashes, sequence_hashes = block_and_sequence_hashes(
                    unhashed,
                    self._block_size,
                    salt_hash=self._salt_hash,
                    parent=self._sequence_hashes[-1] if num_hashed else None,
                    version=self._version,
                )
            self._block_hashes.frombytes(block_hashes)
            self._sequence_hashes.frombytes(sequence_hashes)
        except BaseException:
            self._keep(num_tokens_before)
            raise
        self._sequence_hashes_array = None

    def _block(self, position: int) -> TokenBlock:
        start = position * self._block_size
        return TokenBlock(
            tokens=tuple(self._tokens[start : start + self._block_size]),
            block_hash=self._block_hashes[position],
            sequence_hash=self._sequence_hashes[position],
            parent_sequence_hash=self._sequence_hashes[position - 1] if position else None,
            position=position,
            salt_hash=self._salt_hash,
        )
