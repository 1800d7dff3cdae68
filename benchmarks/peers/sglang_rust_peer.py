"""SGLang's tree with its core in Rust, over the same allocator."""

from __future__ import annotations

from importlib import metadata
from typing import Any

from sglang.srt.mem_cache.unified_cache.component_type import ComponentType
from sglang.srt.mem_cache.unified_radix_cache import UnifiedRadixCache

from peers.sglang_peer import SglangPeer

__all__ = ["SglangRustPeer"]


class SglangRustPeer(SglangPeer):
    """`UnifiedRadixCache` with full attention alone."""

    name = "sglang-rust"
    tree_frees_duplicates = True

    def version(self) -> str:
        """Return the version of the package."""
        return f"sglang {metadata.version('sglang')}, Rust tree"

    def _tree(self) -> Any:
        return UnifiedRadixCache(self._parameters(tree_components=(ComponentType.FULL,), tree_core_backend="rust"))
