"""The pool in coroutines."""

from kvpool.aio.async_block_pool import AsyncBlockPool
from kvpool.aio.backoff import Backoff

__all__ = ["AsyncBlockPool", "Backoff"]
