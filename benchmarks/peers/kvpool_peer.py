"""The pool of this package."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from typing import Any

import numpy as np
from scenarios.steps import BLOCK_SIZE, Tokens

from kvpool import BlockPool, TokenBlockSequence, sequence_hashes
from peers.peer import Peer

__all__ = ["KvpoolPeer"]


class _Running:
    """A request: its tokens, and the handles of its registered blocks and of those being filled."""

    __slots__ = ("full", "room", "tokens", "total")

    def __init__(self, token_ids: Tokens, full: Any, room: Any, total: int) -> None:
        self.tokens: Any = token_ids  # a TokenBlockSequence from the first decoded token on
        self.full = full
        self.room = room
        self.total = total  # tokens


class KvpoolPeer(Peer):
    """`BlockPool` and its handles."""

    name = "kvpool"

    def version(self) -> str:
        """Return the version of the package."""
        return f"kvpool {metadata.version('kvpool')}"

    def open(self, num_blocks: int) -> None:
        """Make a pool."""
        self.pool = BlockPool(num_blocks, BLOCK_SIZE)

    def prefixes(self, token_ids: Tokens) -> Sequence[Any]:
        """Return one array of sequence hashes for each row."""
        return [sequence_hashes(row, BLOCK_SIZE) for row in token_ids]

    def count(self, held: Any) -> int:
        """Return the length of a handle."""
        return len(held)

    def allocate(self, n: int, calls: int) -> list[Any]:
        """Keep the handles."""
        allocate = self.pool.allocate_blocks
        return [allocate(n) for _ in range(calls)]

    def register(self, allocated: list[Any], prefixes: Sequence[Any]) -> list[Any]:
        """Register each handle."""
        register = self.pool.register_blocks
        registered = [register(blocks, hashes) for blocks, hashes in zip(allocated, prefixes, strict=True)]
        allocated.clear()
        return registered

    def match(self, prefixes: Sequence[Any]) -> list[Any]:
        """Keep the handles."""
        match = self.pool.match_sequence_hashes
        return [match(hashes) for hashes in prefixes]

    def release(self, registered: list[Any]) -> None:
        """Drop the handles."""
        registered.clear()

    release_allocated = release

    def match_and_release(self, prefixes: Sequence[Any]) -> None:
        """Drop each handle at once."""
        match = self.pool.match_sequence_hashes
        for hashes in prefixes:
            match(hashes)

    def prompt(self, token_ids: Tokens) -> Any:
        """Keep the array."""
        return np.ascontiguousarray(token_ids)

    def start(self, prompt: Any) -> Any:
        """Match all but the last token, allocate the rest, register the full ones among them."""
        pool = self.pool
        total = len(prompt)
        hashes = sequence_hashes(prompt, BLOCK_SIZE)
        full = pool.match_sequence_hashes(hashes[: (total - 1) // BLOCK_SIZE])
        cached = len(full)
        room = pool.allocate_blocks(-(-total // BLOCK_SIZE) - cached)
        new = len(hashes) - cached
        if new:
            full += pool.register_blocks(room[:new], hashes[cached:], parent=full if cached else None)
            room = room[new:]
        _ = full.ids, room.ids
        return _Running(prompt, full, room, total)

    def decode(self, running: list[Any], token_ids: list[int]) -> None:
        """Append; only a token that begins or completes a block concerns the pool."""
        pool = self.pool
        for request, token_id in zip(running, token_ids, strict=True):
            if type(request.tokens) is not TokenBlockSequence:
                request.tokens = TokenBlockSequence(request.tokens, block_size=BLOCK_SIZE)
            if request.total % BLOCK_SIZE == 0:
                request.room = pool.allocate_blocks(1)
            request.total += 1
            if request.tokens.append(token_id) is not None:
                full = request.full
                own = request.tokens.sequence_hashes[len(full) :]
                request.full = full + pool.register_blocks(request.room, own, parent=full if len(full) else None)

    def finish(self, running: Any) -> None:
        """Drop the handles; the tail goes first, as blocks are evicted in that order."""
        running.room = running.full = None
