"""The pool of this package."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from typing import Any

import numpy as np
from scenarios.steps import BLOCK_SIZE, Tokens

from kvpool import BlockPool, SequenceBatch, sequence_hashes
from peers.peer import Peer

__all__ = ["KvpoolPeer"]


class KvpoolPeer(Peer):
    """`BlockPool` and its handles; for requests, sequences and a batch of them."""

    name = "kvpool"

    def version(self) -> str:
        """Return the version of the package."""
        return f"kvpool {metadata.version('kvpool')}"

    def open(self, num_blocks: int) -> None:
        """Make a pool."""
        self.pool = BlockPool(num_blocks, BLOCK_SIZE)
        self._batch: SequenceBatch | None = None

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
        """Open a sequence; its KV is taken for written at once."""
        request = self.pool.open_sequence(prompt)
        request.commit(request.num_tokens)
        _ = request.block_table
        self._batch = None
        return request

    def decode(self, running: list[Any], token_ids: list[int]) -> None:
        """Append to all in one call; the batch stays as long as the requests are the same."""
        if self._batch is None:
            self._batch = SequenceBatch(self.pool, len(running), 64 + max(request.num_blocks for request in running))
            for request in running:
                self._batch.add(request)
        self._batch.append(token_ids)

    def finish(self, running: Any) -> None:
        """Release the sequence."""
        self._batch = None
        running.release()
