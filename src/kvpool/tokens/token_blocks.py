"""The full blocks of a sequence, seen as a sequence themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import overload

from kvpool.tokens.token_block import TokenBlock


class TokenBlocks(Sequence[TokenBlock]):
    """A view of the full blocks of a `TokenBlockSequence`; a block is made when it is asked for.

    The view follows the sequence: it grows and shrinks with it. A slice is a tuple of the blocks of that moment.
    """

    __slots__ = ("_count", "_make")

    def __init__(self, count: Callable[[], int], make: Callable[[int], TokenBlock]) -> None:
        self._count = count
        self._make = make

    def __len__(self) -> int:
        return self._count()

    @overload
    def __getitem__(self, index: int) -> TokenBlock: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[TokenBlock, ...]: ...
    def __getitem__(self, index: int | slice) -> TokenBlock | tuple[TokenBlock, ...]:
        found = range(len(self))[index]
        if isinstance(found, range):
            return tuple(map(self._make, found))
        return self._make(found)

    def __repr__(self) -> str:
        return f"TokenBlocks({list(self)!r})"
