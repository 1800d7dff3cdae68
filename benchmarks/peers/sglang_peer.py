"""SGLang's `RadixCache` over its `PagedTokenToKVPoolAllocator`, on the CPU."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from importlib import metadata
from typing import Any

import torch
from scenarios.steps import BLOCK_SIZE, Tokens
from sglang.srt.mem_cache.allocator.paged import PagedTokenToKVPoolAllocator
from sglang.srt.mem_cache.base_prefix_cache import EvictParams, InsertParams, MatchPrefixParams
from sglang.srt.mem_cache.cache_init_params import CacheInitParams
from sglang.srt.mem_cache.radix_cache import RadixCache, RadixKey

from peers.peer import Peer

__all__ = ["SglangPeer"]


class _Running:
    """A request: its tokens, where each is kept, and the node that is locked for it."""

    __slots__ = ("indices", "node", "token_ids")

    def __init__(self, token_ids: array[int], indices: list[Any], node: Any) -> None:
        self.token_ids = token_ids
        self.indices = indices  # tensors, in order
        self.node = node


class SglangPeer(Peer):
    """A page is a block. What is held is a locked node; a fresh allocation is a tensor of token slots."""

    name = "sglang"

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
        self.tree = RadixCache(
            CacheInitParams(
                disable=False,
                req_to_token_pool=None,
                token_to_kv_pool_allocator=self.allocator,
                page_size=BLOCK_SIZE,
            )
        )

    def prefixes(self, token_ids: Tokens) -> Sequence[Any]:
        """Return keys; a tree compares tokens and hashes nothing."""
        return [RadixKey(array("q", row)) for row in token_ids.tolist()]

    def count(self, held: Any) -> int:
        """Return the pages of an allocation, or of all nodes up to the root."""
        if isinstance(held, torch.Tensor):
            return len(held) // BLOCK_SIZE
        pages = 0
        while held is not self.tree.root_node:
            pages += len(held.key) // BLOCK_SIZE
            held = held.parent
        return pages

    def allocate(self, n: int, calls: int) -> list[Any]:
        """Take page-aligned slots."""
        take = self._take
        return [take(n * BLOCK_SIZE) for _ in range(calls)]

    def register(self, allocated: list[Any], prefixes: Sequence[Any]) -> list[Any]:
        """Insert and lock."""
        insert, lock = self.tree.insert, self.tree.inc_lock_ref
        held = []
        for indices, key in zip(allocated, prefixes, strict=True):
            node = insert(InsertParams(key=key, value=indices)).last_device_node
            lock(node)
            held.append(node)
        allocated.clear()
        return held

    def match(self, prefixes: Sequence[Any]) -> list[Any]:
        """Match and lock."""
        match, lock = self.tree.match_prefix, self.tree.inc_lock_ref
        held = []
        for key in prefixes:
            node = match(MatchPrefixParams(key=key)).last_device_node
            lock(node)
            held.append(node)
        return held

    def release(self, registered: list[Any]) -> None:
        """Unlock."""
        unlock = self.tree.dec_lock_ref
        for node in registered:
            unlock(node)
        registered.clear()

    def release_allocated(self, allocated: list[Any]) -> None:
        """Free the slots."""
        free_segment = self.allocator.free_segment
        for indices in allocated:
            free_segment(indices, start_pos=0)
        allocated.clear()

    def match_and_release(self, prefixes: Sequence[Any]) -> None:
        """Match, lock, unlock."""
        match, lock, unlock = self.tree.match_prefix, self.tree.inc_lock_ref, self.tree.dec_lock_ref
        for key in prefixes:
            node = match(MatchPrefixParams(key=key)).last_device_node
            lock(node)
            unlock(node)

    def prompt(self, token_ids: Tokens) -> Any:
        """Return an array of 64-bit integers, as its scheduler keeps them."""
        return array("q", token_ids.tolist())

    def start(self, prompt: Any) -> Any:
        """Match all but the last token, take slots for the rest, insert all full pages."""
        tree = self.tree
        total = len(prompt)
        found = tree.match_prefix(MatchPrefixParams(key=RadixKey(prompt, limit=total - 1)))
        node = found.last_device_node
        tree.inc_lock_ref(node)
        cached = found.device_prefix_len
        prefix = tree.path_device_indices(node) if cached else None
        pages = -(-(total - cached) // BLOCK_SIZE)
        fresh = self._take(pages * BLOCK_SIZE)
        indices = [fresh] if prefix is None else [prefix, fresh]
        full = total // BLOCK_SIZE * BLOCK_SIZE
        if full > cached:
            node = self._insert(prompt, indices, full, node)
        return _Running(prompt[:], indices, node)

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
        total = len(running.token_ids)
        full = total // BLOCK_SIZE * BLOCK_SIZE
        if full > self.count(running.node) * BLOCK_SIZE:
            running.node = self._insert(running.token_ids, running.indices, full, running.node)
        if total > full:
            self.allocator.free_segment(torch.cat(running.indices)[full : full + BLOCK_SIZE], start_pos=0)
        self.tree.dec_lock_ref(running.node)

    def _take(self, slots: int) -> Any:
        available = self.allocator.available_size()
        if available < slots:
            self.tree.evict(EvictParams(num_tokens=slots - available))
        indices = self.allocator.alloc(slots)
        if indices is None:
            raise MemoryError("SGLang has no room for the request")
        return indices

    def _insert(self, token_ids: Any, indices: list[Any], full: int, locked: Any) -> Any:
        """Insert the first `full` tokens, and move the lock to their node; free pages that others inserted before."""
        tree = self.tree
        own = self.count(locked) * BLOCK_SIZE
        slots = torch.cat(indices)
        result = tree.insert(InsertParams(key=RadixKey(token_ids[:full]), value=slots[:full], inserted_len=own))
        node = result.last_device_node
        tree.inc_lock_ref(node)
        tree.dec_lock_ref(locked)
        if result.prefix_len > own:
            self.allocator.free_segment(slots[own : result.prefix_len], start_pos=0)
            indices[:] = [tree.path_device_indices(node), slots[full:]]
        return node
