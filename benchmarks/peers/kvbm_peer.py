"""Dynamo's `KvbmCacheManager`, as its `kvbm` wheel gives it to vLLM.

It serves whole requests only: the operations of a block pool have no counterpart in it and are reported as such. Its
pool needs a leader, and with it a CUDA driver; where there is none the pool cannot be made.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import metadata
from typing import Any, NoReturn

from scenarios.steps import BLOCK_SIZE, Tokens

from peers.peer import Peer

__all__ = ["KvbmPeer"]

os.environ.setdefault("DYN_KVBM_CPU_CACHE_OVERRIDE_NUM_BLOCKS", "16")  # it refuses to start without a second tier

from kvbm._core import BlockManager, KvbmLeader, _vllm_integration


class _Running:
    """A request: its name, its tokens, and how many of them the manager knows to be computed."""

    __slots__ = ("computed", "request_id", "token_ids")

    def __init__(self, request_id: str, token_ids: list[int]) -> None:
        self.request_id = request_id
        self.token_ids = token_ids
        self.computed = 0


class KvbmPeer(Peer):
    """Slots of requests, in the manager's own words."""

    name = "kvbm"

    def __init__(self) -> None:
        self._requests = 0
        self._leader = KvbmLeader(1)
        self.open(16)  # fails where there is no driver

    def version(self) -> str:
        """Return the version of the package."""
        return f"kvbm {metadata.version('kvbm')}"

    def open(self, num_blocks: int) -> None:
        """Make a manager of device blocks."""
        self.manager = _vllm_integration.KvbmCacheManager(BlockManager(0, self._leader, BLOCK_SIZE, num_blocks))

    def prompt(self, token_ids: Tokens) -> Any:
        """Return a list."""
        return token_ids.tolist()

    def start(self, prompt: Any) -> Any:
        """Make a slot, which hashes the tokens, find its prefix and allocate the rest."""
        self._requests += 1
        request = _Running(str(self._requests), list(prompt))
        hashes = self.manager.create_slot(_vllm_integration.KvbmRequest(request.request_id), prompt)
        found = self.manager.get_computed_blocks(hashes[: (len(prompt) - 1) // BLOCK_SIZE])
        cached = found.block_count() * BLOCK_SIZE
        self._allocate(request, prompt[:cached], len(prompt) - cached, cached, found)
        self.manager.get_block_ids(request.request_id)
        return request

    def decode(self, running: list[Any], token_ids: list[int]) -> None:
        """Append and allocate, one request after the other; a token is passed on once it is computed."""
        for request, token_id in zip(running, token_ids, strict=True):
            fresh = request.token_ids[request.computed :]
            request.token_ids.append(token_id)
            self._allocate(request, fresh, 1, 0, None)

    def finish(self, running: Any) -> None:
        """Free the request."""
        self.manager.free(running.request_id)

    def _allocate(self, request: _Running, computed: list[int], new: int, cached: int, found: Any) -> None:
        update = _vllm_integration.SlotUpdate(
            request.request_id, len(request.token_ids), request.computed, computed, new, cached, found
        )
        if self.manager.allocate_slots(update) is None:
            raise MemoryError("kvbm has no room for the request")
        request.computed += len(computed)

    # Primitives of a block pool

    def prefixes(self, token_ids: Tokens) -> NoReturn:
        """Refuse: see the module."""
        _refuse(token_ids)

    def count(self, held: Any) -> NoReturn:
        """Refuse: see the module."""
        _refuse(held)

    def allocate(self, n: int, calls: int) -> NoReturn:
        """Refuse: see the module."""
        _refuse(n, calls)

    def register(self, allocated: list[Any], prefixes: Sequence[Any]) -> NoReturn:
        """Refuse: see the module."""
        _refuse(allocated, prefixes)

    def match(self, prefixes: Sequence[Any]) -> NoReturn:
        """Refuse: see the module."""
        _refuse(prefixes)

    def release(self, registered: list[Any]) -> NoReturn:
        """Refuse: see the module."""
        _refuse(registered)

    def release_allocated(self, allocated: list[Any]) -> NoReturn:
        """Refuse: see the module."""
        _refuse(allocated)

    def match_and_release(self, prefixes: Sequence[Any]) -> NoReturn:
        """Refuse: see the module."""
        _refuse(prefixes)


def _refuse(*_: object) -> NoReturn:
    raise NotImplementedError("the wheel has no such call; its manager serves requests")
