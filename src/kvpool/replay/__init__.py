"""Replaying traces through the pool."""

from kvpool.replay.hints import continuation_hints
from kvpool.replay.latency import LatencyHistogram
from kvpool.replay.optimum import optimum
from kvpool.replay.reader import TraceError, read_trace
from kvpool.replay.result import ReplayResult
from kvpool.replay.reuse import ReuseHistogram, reuse_histogram
from kvpool.replay.simulator import Simulator, replay
from kvpool.replay.trace import Request, Trace
from kvpool.replay.workload import WorkloadParameters, generate_workload

__all__ = [
    "LatencyHistogram",
    "ReplayResult",
    "Request",
    "ReuseHistogram",
    "Simulator",
    "Trace",
    "TraceError",
    "WorkloadParameters",
    "continuation_hints",
    "generate_workload",
    "optimum",
    "read_trace",
    "replay",
    "reuse_histogram",
]
