"""The block pool in coroutines."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from kvpool._core.arguments import as_seconds
from kvpool._core.block_request import BlockRequest
from kvpool._core.immutable_block import ImmutableBlock
from kvpool._core.immutable_blocks import ImmutableBlocks
from kvpool._core.mutable_block import MutableBlock
from kvpool._core.mutable_blocks import MutableBlocks
from kvpool._core.namespace import Namespace
from kvpool._core.pool import BlockPool
from kvpool._core.scattered_blocks import ScatteredBlocks
from kvpool.aio.backoff import Backoff
from kvpool.aio.loop_waits import LoopWaits, finish
from kvpool.errors import NotEnoughBlocksAvailable
from kvpool.prefetch.prefetch import Prefetch
from kvpool.tokens.token_block_sequence import TokenBlockSequence
from kvpool.types.evicted_blocks import EvictedBlocks
from kvpool.types.pool_status import PoolStatus
from kvpool.types.reset_blocks_result import ResetBlocksResult

__all__ = ["AsyncBlockPool"]

Hashes = npt.NDArray[np.uint64] | Sequence[int] | TokenBlockSequence


class AsyncBlockPool:
    """A pool whose calls are coroutines, for event loops. Several may share a pool, with threads too.

    No call goes to another thread: what can be done at once is done at once. Only ``allocate_blocks`` with a timeout
    waits, in the same queue as threads do; a drop in any thread wakes whose turn it is, through a descriptor that is
    written only when somebody waits. It can be made where no loop runs, and used in several loops, one after the other
    or side by side.

    Parameters
    ----------
    pool : BlockPool

    Examples
    --------
    >>> import asyncio
    >>> from kvpool import AsyncBlockPool, BlockPool
    >>> pool = AsyncBlockPool(BlockPool(num_blocks=8))
    >>> async def serve():
    ...     with await pool.allocate_blocks(8) as blocks:
    ...         waiting = asyncio.create_task(pool.allocate_blocks(2, timeout=10))
    ...         await asyncio.sleep(0)
    ...     return len(await waiting)
    >>> asyncio.run(serve())
    2
    """

    def __init__(self, pool: BlockPool) -> None:
        if not isinstance(pool, BlockPool):
            raise TypeError(f"pool must be a BlockPool, not {type(pool).__name__}")
        self._pool = pool
        self._waits: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, LoopWaits] = weakref.WeakKeyDictionary()

    def __repr__(self) -> str:
        """Say whose calls they are."""
        return f"<AsyncBlockPool of {self._pool!r}>"

    def __reduce__(self) -> Any:
        raise TypeError("AsyncBlockPool cannot be copied or pickled: its handles belong to its pool")

    @property
    def pool(self) -> BlockPool:
        """The pool, for all that needs no waiting."""
        return self._pool

    @property
    def total_blocks(self) -> int:
        """Blocks of the pool."""
        return self._pool.total_blocks

    @property
    def available_blocks(self) -> int:
        """Blocks that can be allocated now."""
        return self._pool.available_blocks

    @property
    def usage_rate(self) -> float:
        """Share of the blocks that is held, in [0, 1]."""
        return self._pool.usage_rate

    @property
    def cache_hit_rate(self) -> float:
        """Blocks found by prefix matches for each hash asked for, in [0, 1]."""
        return self._pool.cache_hit_rate

    async def status(self) -> PoolStatus:
        """As :meth:`BlockPool.status`."""
        return self._pool.status()

    async def allocate_blocks(
        self,
        n: int,
        *,
        timeout: float | None = None,
        retry: Backoff | int | None = None,
        namespace: Namespace | str | None = None,
        owner: Any = None,
    ) -> MutableBlocks:
        """Take n blocks out of the inactive pool, all or none.

        Parameters
        ----------
        n : int
            Blocks, at least 0.
        timeout : float, optional
            Seconds to wait, in turn, for blocks that are held; without it the call fails at once. ``inf`` waits
            without limit.
        retry : Backoff or int, optional
            Instead of waiting in turn, fail, sleep, and try again; an int is a :class:`Backoff` with so many retries.
            Who waits in turn goes first meanwhile.
        namespace, owner : optional
            As in :meth:`BlockPool.allocate_blocks`.

        Returns
        -------
        MutableBlocks

        Raises
        ------
        NotEnoughBlocksAvailable
            Fewer than n are available; :class:`AllocationTimeout` when a timeout was given and n is not more than the
            pool has.
        ValueError
            A timeout and a retry were given.

        Notes
        -----
        A wait that is cancelled leaks nothing: blocks that were granted in that moment go to the next one.
        """
        if retry is not None:
            if timeout is not None:
                raise ValueError(f"timeout = {timeout} was given along with retry, which does not wait in turn")
            return await self._try_again(n, retry, namespace, owner)
        seconds = 0.0 if timeout is None else as_seconds(timeout, "timeout")
        if seconds == 0:
            return self._pool.allocate_blocks(n, timeout=timeout, namespace=namespace, owner=owner)
        loop = asyncio.get_running_loop()
        waits = self._waits.get(loop)
        if waits is None:
            waits = self._waits[loop] = LoopWaits(self._pool)
        request = BlockRequest(self._pool, n, waits.bell, namespace=namespace, owner=owner)
        if not request.is_served:
            await waits.wait(request, seconds)
        blocks = request.settle()
        if blocks is None:
            raise request.shortage(n)
        return blocks

    async def _try_again(
        self, n: int, retry: Backoff | int, namespace: Namespace | str | None, owner: Any
    ) -> MutableBlocks:
        backoff = retry if isinstance(retry, Backoff) else Backoff(retry)
        for delay in backoff:
            try:
                return self._pool.allocate_blocks(n, namespace=namespace, owner=owner)
            except NotEnoughBlocksAvailable as error:
                if error.requested > self._pool.total_blocks:
                    raise  # no waiting would help
            await asyncio.sleep(delay)
        return self._pool.allocate_blocks(n, namespace=namespace, owner=owner)

    async def register_blocks(
        self,
        blocks: MutableBlocks | MutableBlock | Sequence[MutableBlocks | MutableBlock],
        sequence_hashes: Hashes | None = None,
        *,
        parent: int | ImmutableBlock | ImmutableBlocks | None = None,
        priority: int | None = None,
        ttl: float | None = None,
        token_ids: npt.NDArray[np.integer[Any]] | Sequence[int] | None = None,
    ) -> ImmutableBlocks:
        """As :meth:`BlockPool.register_blocks`."""
        return self._pool.register_blocks(
            blocks, sequence_hashes, parent=parent, priority=priority, ttl=ttl, token_ids=token_ids
        )

    async def match_sequence_hashes(
        self, hashes: Hashes, *, namespace: Namespace | str | None = None, owner: Any = None
    ) -> ImmutableBlocks:
        """As :meth:`BlockPool.match_sequence_hashes`."""
        return self._pool.match_sequence_hashes(hashes, namespace=namespace, owner=owner)

    async def match_scattered(
        self, hashes: Hashes, *, namespace: Namespace | str | None = None, owner: Any = None
    ) -> ScatteredBlocks:
        """As :meth:`BlockPool.match_scattered`."""
        return self._pool.match_scattered(hashes, namespace=namespace, owner=owner)

    async def prefetch(
        self,
        predicted_hashes: Hashes,
        *,
        hold: float | None = None,
        namespace: Namespace | str | None = None,
        owner: Any = None,
        wait: bool = False,
    ) -> Prefetch:
        """As :meth:`BlockPool.prefetch`.

        Parameters
        ----------
        predicted_hashes, hold, namespace, owner
            As there.
        wait : bool, default False
            Whether to wait until the loader is done. A wait that is cancelled cancels the prefetch.
        """
        prefetch = self._pool.prefetch(predicted_hashes, hold=hold, namespace=namespace, owner=owner)
        if wait and not prefetch.wait(0):
            loop = asyncio.get_running_loop()
            future: asyncio.Future[None] = loop.create_future()

            def tell(_: Prefetch) -> None:
                with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits
                    loop.call_soon_threadsafe(finish, future)

            prefetch.add_done_callback(tell)
            try:
                await future
            except BaseException:
                prefetch.cancel()
                raise
        return prefetch

    async def touch(self, hashes: Hashes) -> int:
        """As :meth:`BlockPool.touch`."""
        return self._pool.touch(hashes)

    async def reset(self) -> EvictedBlocks:
        """As :meth:`BlockPool.reset`."""
        return self._pool.reset()

    async def reset_blocks(self, hashes: Hashes) -> ResetBlocksResult:
        """As :meth:`BlockPool.reset_blocks`."""
        return self._pool.reset_blocks(hashes)
