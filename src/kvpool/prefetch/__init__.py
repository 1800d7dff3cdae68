"""Holding and loading blocks before somebody asks for them."""

from kvpool.prefetch.prefetch import Prefetch
from kvpool.prefetch.prefetcher import Prefetcher

__all__ = ["Prefetch", "Prefetcher"]
