"""vLLM's `BlockPool`, and its `KVCacheManager` for whole requests."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from types import SimpleNamespace
from typing import Any

import torch
from scenarios.steps import BLOCK_SIZE, Tokens
from vllm.sampling_params import SamplingParams
from vllm.utils.hashing import get_hash_fn_by_name
from vllm.v1.core.kv_cache_manager import KVCacheManager
from vllm.v1.core.kv_cache_utils import get_request_block_hasher, hash_block_tokens, init_none_hash
from vllm.v1.kv_cache_interface import FullAttentionSpec, KVCacheConfig, KVCacheGroupSpec
from vllm.v1.request import Request

from peers.peer import Peer

__all__ = ["VllmPeer"]

MAX_TOKENS = 2**20


def _fastest_hash() -> str:
    try:
        get_hash_fn_by_name("xxhash")(())
    except ImportError:
        return "sha256"
    return "xxhash"


class VllmPeer(Peer):
    """One group of full attention, prefix caching on, events and statistics off."""

    name = "vllm"

    def __init__(self) -> None:
        self._hash_name = _fastest_hash()
        self._hash = get_hash_fn_by_name(self._hash_name)
        init_none_hash(self._hash)
        self._hasher = get_request_block_hasher(BLOCK_SIZE, self._hash)
        self._sampling = SamplingParams(max_tokens=MAX_TOKENS)
        self._requests = 0

    def version(self) -> str:
        """Return the version of the package and its hash function."""
        return f"vllm {metadata.version('vllm')} with {self._hash_name}"

    def open(self, num_blocks: int) -> None:
        """Make a manager; one block more, as block 0 is its null block."""
        spec = FullAttentionSpec(block_size=BLOCK_SIZE, num_kv_heads=1, head_size=1, dtype=torch.float32)
        config = KVCacheConfig(num_blocks + 1, [], [KVCacheGroupSpec(["layer"], spec)])
        self.manager = KVCacheManager(
            config, max_model_len=MAX_TOKENS, scheduler_block_size=BLOCK_SIZE, hash_block_size=BLOCK_SIZE
        )
        self.pool = self.manager.block_pool

    def prefixes(self, token_ids: Tokens) -> Sequence[Any]:
        """Return what `cache_full_blocks` and the look-up read of a request: its hashes."""
        found = []
        for row in token_ids.tolist():
            parent = None
            hashes = []
            for start in range(0, len(row), BLOCK_SIZE):
                parent = hash_block_tokens(self._hash, parent, row[start : start + BLOCK_SIZE])
                hashes.append(parent)
            found.append(SimpleNamespace(block_hashes=hashes))
        return found

    def count(self, held: Any) -> int:
        """Return the length of a list of blocks."""
        return len(held)

    def allocate(self, n: int, calls: int) -> list[Any]:
        """Take lists of blocks."""
        get_new_blocks = self.pool.get_new_blocks
        return [get_new_blocks(n) for _ in range(calls)]

    def register(self, allocated: list[Any], prefixes: Sequence[Any]) -> list[Any]:
        """Cache full blocks in place."""
        cache_full_blocks = self.pool.cache_full_blocks
        for blocks, request in zip(allocated, prefixes, strict=True):
            cache_full_blocks(request, blocks, 0, len(blocks), BLOCK_SIZE, 0)
        registered = allocated[:]
        allocated.clear()
        return registered

    def match(self, prefixes: Sequence[Any]) -> list[Any]:
        """Look up and touch."""
        find, touch = self.manager.coordinator.find_longest_cache_hit, self.pool.touch
        held = []
        for request in prefixes:
            hashes = request.block_hashes
            blocks = find(hashes, len(hashes) * BLOCK_SIZE)[0][0]
            touch(blocks)
            held.append(blocks)
        return held

    def release(self, registered: list[Any]) -> None:
        """Free in reverse, as the manager does."""
        free_blocks = self.pool.free_blocks
        for blocks in registered:
            free_blocks(reversed(blocks))
        registered.clear()

    release_allocated = release

    def match_and_release(self, prefixes: Sequence[Any]) -> None:
        """Look up, touch, free."""
        find, touch = self.manager.coordinator.find_longest_cache_hit, self.pool.touch
        free_blocks = self.pool.free_blocks
        for request in prefixes:
            hashes = request.block_hashes
            blocks = find(hashes, len(hashes) * BLOCK_SIZE)[0][0]
            touch(blocks)
            free_blocks(reversed(blocks))

    def prompt(self, token_ids: Tokens) -> Any:
        """Return a list."""
        return token_ids.tolist()

    def start(self, prompt: Any) -> Any:
        """Make the request, which hashes it, and schedule all its tokens."""
        manager = self.manager
        self._requests += 1
        request = Request(str(self._requests), prompt, self._sampling, None, block_hasher=self._hasher)
        cached, num_cached, _ = manager.get_computed_blocks(request)
        allocated = manager.allocate_slots(request, len(prompt) - num_cached, num_cached, cached)
        if allocated is None:
            raise MemoryError("vLLM has no room for the request")
        manager.get_block_ids(request.request_id)
        request.num_computed_tokens = len(prompt)
        return request

    def decode(self, running: list[Any], token_ids: list[int]) -> None:
        """Append and allocate, one request after the other, as its scheduler does."""
        allocate_slots = self.manager.allocate_slots
        for request, token_id in zip(running, token_ids, strict=True):
            request.append_output_token_ids(token_id)
            if allocate_slots(request, 1) is None:
                raise MemoryError("vLLM has no room for the token")
            request.num_computed_tokens += 1

    def finish(self, running: Any) -> None:
        """Free the request."""
        self.manager.free(running)
