"""Adapters, one for each implementation; each is imported only where it is measured."""

from importlib import import_module

from peers.peer import Peer

__all__ = ["PEERS", "Peer", "open_peer"]

PEERS = {
    "kvpool": ("peers.kvpool_peer", "KvpoolPeer"),
    "vllm": ("peers.vllm_peer", "VllmPeer"),
    "sglang": ("peers.sglang_peer", "SglangPeer"),
    "sglang-rust": ("peers.sglang_rust_peer", "SglangRustPeer"),
    "kvbm": ("peers.kvbm_peer", "KvbmPeer"),
}


def open_peer(name: str) -> Peer:
    """Return the adapter of this name; raise `ImportError` where the implementation is not installed."""
    module, adapter = PEERS[name]
    peer: Peer = getattr(import_module(module), adapter)()
    return peer
