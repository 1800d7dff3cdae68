"""The plot that ``replay --png`` writes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kvpool.replay.optimum import OPTIMUM
from kvpool.replay.result import ReplayResult
from kvpool.replay.trace import Trace

__all__ = ["write_png"]


def write_png(path: str | Path, trace: Trace, results: Sequence[ReplayResult]) -> None:
    """Plot the block hit ratio of each policy against the size of the pool.

    Parameters
    ----------
    path : str or Path
        Written anew.
    trace : Trace
    results : sequence of ReplayResult

    Raises
    ------
    ImportError
        matplotlib is not installed.
    OSError
        The file cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for policy in dict.fromkeys(result.policy for result in results):
        points = sorted(
            (result.capacity, 100 * result.block_hit_ratio) for result in results if result.policy == policy
        )
        style = "k--" if policy == OPTIMUM else "o-"
        axes.plot([x for x, _ in points], [y for _, y in points], style, label=policy, markersize=4)
    axes.axhline(100 * trace.ceiling, color="grey", linestyle=":", label="no limit")
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("blocks of the pool")
    axes.set_ylabel("block hit ratio, %")
    axes.set_title(trace.name, loc="left", fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=150, format="png")
