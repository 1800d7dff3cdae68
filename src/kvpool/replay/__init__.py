"""Replaying traces through the pool."""

from kvpool.replay.latency import LatencyHistogram
from kvpool.replay.reader import TraceError, read_trace
from kvpool.replay.result import ReplayResult
from kvpool.replay.simulator import Simulator, replay
from kvpool.replay.trace import Request, Trace
from kvpool.replay.workload import WorkloadParameters, generate_workload

__all__ = [
    "LatencyHistogram",
    "ReplayResult",
    "Request",
    "Simulator",
    "Trace",
    "TraceError",
    "WorkloadParameters",
    "generate_workload",
    "read_trace",
    "replay",
]
