"""The metrics of all pools of a process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvpool.metrics.pool_metrics import PoolMetrics
from kvpool.metrics.pool_reading import PoolReading

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter
    from prometheus_client import CollectorRegistry

    from kvpool.metrics.prometheus_collector import PrometheusCollector

__all__ = ["BlockManagerMetrics"]


class BlockManagerMetrics:
    """The metrics of the pools of a process, for Prometheus and OpenTelemetry.

    Pools count for themselves, whether anybody looks or not; metrics read these counters when they are scraped. All
    that is added to the calls is that one of `call_period` is timed.

    Parameters
    ----------
    call_period : int, default 251
        One of so many calls of a pool is timed, in [0, 2**32); 0: none. Prime numbers are best: a loop that makes four
        calls over and over would have the same one timed each time with 256, and the others never.

    Notes
    -----
    A pool's series end with the pool. Another pool can have its name then; its counters begin at 0, which ``rate()``
    takes for a restart.

    Examples
    --------
    >>> from kvpool import BlockPool
    >>> from kvpool.metrics import BlockManagerMetrics
    >>> metrics = BlockManagerMetrics()
    >>> pool = BlockPool(num_blocks=64, pool_metrics=metrics.pool("my_pool"))
    >>> blocks = pool.allocate_blocks(8)
    >>> [(reading.name, reading.status.mutable) for reading in metrics.read()]
    [('my_pool', 8)]
    """

    def __init__(self, *, call_period: int = 251) -> None:
        if isinstance(call_period, bool) or not isinstance(call_period, int):
            raise TypeError(f"call_period must be an int, not {type(call_period).__name__}")
        if not 0 <= call_period < 2**32:
            raise ValueError(f"call_period = {call_period} is not in [0, 2**32)")
        self._call_period = call_period
        self._pools: dict[str, PoolMetrics] = {}

    def __repr__(self) -> str:
        """Say whose they are."""
        return f"<BlockManagerMetrics of {', '.join(map(repr, self._pools)) or 'no pools'}>"

    def pool(self, name: str) -> PoolMetrics:
        """Return the metrics of the pool of this name, always the same ones.

        Parameters
        ----------
        name : str
            Value of the label ``pool``.

        Returns
        -------
        PoolMetrics
            For ``BlockPool(pool_metrics=...)``; one pool at a time can have them.
        """
        if not isinstance(name, str):
            raise TypeError(f"name must be a str, not {type(name).__name__}")
        return self._pools.setdefault(name, PoolMetrics(name, self._call_period))

    def read(self) -> list[PoolReading]:
        """Return what there is to tell of each live pool, in the order in which they were named.

        Returns
        -------
        list of PoolReading
        """
        readings = [metrics.read() for metrics in list(self._pools.values())]
        return [reading for reading in readings if reading is not None]

    def collector(self) -> PrometheusCollector:
        """Return a collector for a registry of ``prometheus_client``.

        Returns
        -------
        PrometheusCollector

        Raises
        ------
        ImportError
            There is no ``prometheus_client``: ``pip install 'kvpool[metrics]'``.
        """
        from kvpool.metrics.prometheus_collector import PrometheusCollector

        return PrometheusCollector(self)

    def register(self, registry: CollectorRegistry | None = None) -> PrometheusCollector:
        """Have a registry of ``prometheus_client`` collect these metrics, along with what else it has.

        Parameters
        ----------
        registry : CollectorRegistry, optional
            The process's default one if not given.

        Returns
        -------
        PrometheusCollector
            For ``registry.unregister``.

        Raises
        ------
        ImportError
            There is no ``prometheus_client``: ``pip install 'kvpool[metrics]'``.
        ValueError
            The registry has such metrics already: it can have those of one :class:`BlockManagerMetrics`.
        """
        collector = self.collector()
        collector.register(registry)
        return collector

    def exposition(self) -> bytes:
        """Return all metrics in the text format of Prometheus, for a server of your own.

        Returns
        -------
        bytes
            UTF-8, of content type ``text/plain; version=0.0.4``.

        Raises
        ------
        ImportError
            There is no ``prometheus_client``: ``pip install 'kvpool[metrics]'``.
        """
        return self.collector().exposition()

    def observe(self, meter: Meter | None = None) -> None:
        """Have a meter of OpenTelemetry observe these metrics.

        Parameters
        ----------
        meter : opentelemetry.metrics.Meter, optional
            The global provider's meter ``kvpool`` if not given.

        Raises
        ------
        ImportError
            There is no ``opentelemetry``: ``pip install 'kvpool[metrics]'``.
        """
        from kvpool.metrics.open_telemetry import observe

        observe(self, meter)
