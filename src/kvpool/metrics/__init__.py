"""What pools have done, for Prometheus and OpenTelemetry."""

from kvpool.metrics.block_manager_metrics import BlockManagerMetrics
from kvpool.metrics.pool_metrics import PoolMetrics

__all__ = ["BlockManagerMetrics", "PoolMetrics"]
