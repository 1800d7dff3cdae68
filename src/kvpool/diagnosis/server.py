"""Letting pools be looked at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kvpool import BlockPool
from kvpool.diagnosis.pool_server import PoolServer

__all__ = ["serve"]


def serve(
    pools: BlockPool | Iterable[BlockPool] | Mapping[str, BlockPool], port: int = 0, host: str = "127.0.0.1"
) -> PoolServer:
    """Let pools be looked at with ``kvpool top`` and ``kvpool doctor``.

    It tells everyone who can connect who holds what. Leave it on the machine itself; it must not be opened to the
    world.

    Parameters
    ----------
    pools : BlockPool, or iterable of BlockPool, or mapping of str to BlockPool
        By name, or by their own names; one without a name is called ``pool``. The server does not keep them alive.
    port : int, default 0
        0 for any that is free; ``url`` of the server tells it.
    host : str, default "127.0.0.1"

    Returns
    -------
    PoolServer
        Answers until it is closed, or its ``with`` ends.

    Raises
    ------
    ValueError
        Two pools have the same name.
    OSError
        It cannot listen there.

    Examples
    --------
    >>> from kvpool import BlockPool
    >>> from kvpool.diagnosis import PoolClient, serve
    >>> pool = BlockPool(8, name="decode")
    >>> with serve(pool) as server:
    ...     PoolClient(server.url).names()
    ['decode']
    """
    if isinstance(pools, BlockPool):
        pools = [pools]
    if not isinstance(pools, Mapping):
        named: dict[str, BlockPool] = {}
        for pool in pools:
            name = pool.name or "pool"
            if name in named:
                raise ValueError(f"two pools are named {name!r}: give them as a mapping of names to pools")
            named[name] = pool
        pools = named
    return PoolServer(pools, port, host)
