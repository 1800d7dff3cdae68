"""SGLang's `RadixCache` over its `PagedTokenToKVPoolAllocator`, on the CPU."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from importlib import metadata
from typing import Any, ClassVar

import torch
from scenarios.steps import BLOCK_SIZE, Tokens
from sglang.srt.mem_cache.allocator.paged import PagedTokenToKVPoolAllocator
from sglang.srt.mem_cache.base_prefix_cache import EvictParams, InsertParams, MatchPrefixParams
from sglang.srt.mem_cache.cache_init_params import CacheInitParams
from sglang.srt.mem_cache.radix_cache import RadixCache, RadixKey

from peers.peer import Peer

__all__ = ["SglangPeer"]


class _Running:
    """A request: its tokens, where each is kept, and its lock on the node of those that the tree has."""

    __slots__ = ("indices", "kept", "lock", "token_ids")

    def __init__(self, token_ids: array[int], indices: list[Any], kept: int, lock: Any) -> None:
        self.token_ids = token_ids
        self.indices = indices  # tensors, in order
        self.kept = kept  # tokens in the tree
        self.lock = lock


class SglangPeer(Peer):
    """A page is a block. What is held is a lock on a node; a fresh allocation is a tensor of token slots."""

    name = "sglang"
    tree_frees_duplicates: ClassVar[bool] = False

    def __init__(self) -> None:
        torch.set_num_threads(1)  # or large copies wait for idle threads

    def version(self) -> str:
        """Return the version of the package."""
        return f"sglang {metadata.version('sglang')}, Python tree"

    def open(self, num_blocks: int) -> None:
        """Make an allocator and a tree over it."""
        self.allocator = PagedTokenToKVPoolAllocator(
            num_blocks * BLOCK_SIZE, BLOCK_SIZE, torch.float32, "cpu", None, need_sort=False
        )
        self.tree = self._tree()

    def _tree(self) -> Any:
        return RadixCache(self._parameters())

    def _parameters(self, **others: Any) -> CacheInitParams:
        return CacheInitParams(
            disable=False,
            req_to_token_pool=None,
            token_to_kv_pool_allocator=self.allocator,
            page_size=BLOCK_SIZE,
            **others,
        )

    def prefixes(self, token_ids: Tokens) -> Sequence[Any]:
        """Return keys; a tree compares tokens and hashes nothing."""
        return [RadixKey(array("q", row)) for row in token_ids.tolist()]

    def count(self, held: Any) -> int:
        """Return the pages of an allocation, or of all nodes up to the root."""
        slots = held if isinstance(held, torch.Tensor) else self.tree.path_device_indices(held.node)
        return len(slots) // BLOCK_SIZE

    def allocate(self, n: int, calls: int) -> list[Any]:
        """Take page-aligned slots."""
        take = self._take
        return [take(n * BLOCK_SIZE) for _ in range(calls)]

    def register(self, allocated: list[Any], prefixes: Sequence[Any]) -> list[Any]:
        """Insert and lock."""
        insert, lock = self.tree.insert, self.tree.lock
        held = [
            lock(insert(InsertParams(key=key, value=indices)).last_device_node)
            for indices, key in zip(allocated, prefixes, strict=True)
        ]
        allocated.clear()
        return held

    def match(self, prefixes: Sequence[Any]) -> list[Any]:
        """Match and lock."""
        match, lock = self.tree.match_prefix, self.tree.lock
        return [lock(match(MatchPrefixParams(key=key)).last_device_node) for key in prefixes]

    def release(self, registered: list[Any]) -> None:
        """Unlock."""
        unlock = self.tree.unlock
        for lock in registered:
            unlock(lock)
        registered.clear()

    def release_allocated(self, allocated: list[Any]) -> None:
        """Free the slots."""
        free_segment = self.allocator.free_segment
        for indices in allocated:
            free_segment(indices, start_pos=0)
        allocated.clear()

    def match_and_release(self, prefixes: Sequence[Any]) -> None:
        """Match, lock, unlock."""
        match, lock, unlock = self.tree.match_prefix, self.tree.lock, self.tree.unlock
        for key in prefixes:
            unlock(lock(match(MatchPrefixParams(key=key)).last_device_node))

    def prompt(self, token_ids: Tokens) -> Any:
        """Return an array of 64-bit integers, as its scheduler keeps them."""
        return array("q", token_ids.tolist())

    def start(self, prompt: Any) -> Any:
        """Match all but the last token, take slots for the rest, insert all full pages."""
        tree = self.tree
        total = len(prompt)
        found = tree.match_prefix(MatchPrefixParams(key=RadixKey(prompt, limit=total - 1)))
        lock = tree.lock(found.last_device_node)
        cached = found.device_prefix_len
        pages = -(-(total - cached) // BLOCK_SIZE)
        indices = [self._take(pages * BLOCK_SIZE)]
        if cached:
            indices.insert(0, tree.path_device_indices(found.last_device_node))
        request = _Running(prompt[:], indices, cached, lock)
        self._insert(request)
        return request

    def decode(self, running: list[Any], token_ids: list[int]) -> None:
        """Append; take a page where the last is full. Pages are inserted when the request ends, as the server does."""
        need = [request for request in running if len(request.token_ids) % BLOCK_SIZE == 0]
        if need:
            slots = self._take(len(need) * BLOCK_SIZE)
            for request, page in zip(need, slots.view(-1, BLOCK_SIZE), strict=True):
                request.indices.append(page)
        for request, token_id in zip(running, token_ids, strict=True):
            request.token_ids.append(token_id)

    def finish(self, running: Any) -> None:
        """Insert the pages that decoding filled, unlock, and free the last page if it is not full."""
        self._insert(running)
        if len(running.token_ids) > running.kept:
            self.allocator.free_segment(torch.cat(running.indices)[running.kept :], start_pos=0)
        self.tree.unlock(running.lock)

    def _take(self, slots: int) -> Any:
        available = self.allocator.available_size()
        if available < slots:
            self.tree.evict(EvictParams(num_tokens=slots - available))
        indices = self.allocator.alloc(slots)
        if indices is None:
            raise MemoryError("SGLang has no room for the request")
        return indices

    def _insert(self, request: _Running) -> None:
        """Insert all full pages, and move the lock to their node; pages that others inserted before are freed."""
        tree = self.tree
        own, full = request.kept, len(request.token_ids) // BLOCK_SIZE * BLOCK_SIZE
        if full <= own:
            return
        slots = torch.cat(request.indices)
        key = RadixKey(request.token_ids[:full])
        result = tree.insert(InsertParams(key=key, value=slots[:full], prev_prefix_len=own, inserted_len=own))
        lock = tree.lock(result.last_device_node)
        tree.unlock(request.lock)
        request.kept, request.lock = full, lock
        if result.prefix_len > own:
            if not self.tree_frees_duplicates:
                self.allocator.free_segment(slots[own : result.prefix_len], start_pos=0)
            request.indices = [tree.path_device_indices(result.last_device_node), slots[full:]]
