"""Pictures of the sweeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

__all__ = ["cache_sizes", "draw"]

STYLES = (("#9c2f2f", "o"), ("#c77b1e", "s"), ("#2b6ca3", "^"), ("#2f7d4f", "D"))
OF_WORK = {  # the same in every picture
    "evict + register + drop": STYLES[0],
    "register": STYLES[1],
    "match + drop": STYLES[2],
    "allocate + drop": STYLES[3],
}

mpl.rcParams.update({"font.size": 15, "axes.spines.top": False, "axes.spines.right": False})


def cache_sizes() -> dict[str, int]:
    """Return the bytes of the caches of the first core, from the second level on; empty off Linux."""
    found = {}
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, size = ((folder / name).read_text().strip() for name in ("level", "size"))
        if int(level) > 1 and size.endswith("K"):
            found[f"L{level}"] = int(size[:-1]) * 1024
    return found


def draw(sweep: dict[str, Any], path: Path, machine: str, caches: dict[str, float] | None = None) -> None:
    """Draw the curves of a sweep into a PNG file; `caches` are marked where that many blocks fill them."""
    figure = Figure(figsize=(10, 5.8), dpi=150, layout="constrained")
    axes = figure.subplots()
    highest = 0.0
    for (name, points), style in zip(sweep["curves"].items(), STYLES, strict=False):
        colour, marker = OF_WORK.get(name, style)
        x, y = zip(*points, strict=True)
        highest = max(highest, *y)
        axes.plot(x, y, color=colour, marker=marker, linewidth=2.2, markersize=6, label=name)
    if sweep["logarithmic"]:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(_short))
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}"))
    if sweep["figures_logarithmic"]:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.set_ylim(0, highest * 1.25)
    _mark(axes, caches or {}, max(x for points in sweep["curves"].values() for x, _ in points))
    axes.set_xlabel(sweep["axis"])
    axes.set_ylabel("ns a block")
    axes.set_title(sweep["title"], fontsize=15, loc="left", pad=12)
    axes.grid(axis="y", color="0.88")
    axes.legend(frameon=False, loc="best", fontsize=14)
    figure.supxlabel(machine, fontsize=10, color="0.4", x=0.01, ha="left")
    figure.savefig(path)


def _mark(axes: Any, caches: dict[str, float], largest: float) -> None:
    """Draw a line where the pool's metadata fill each cache, unless it is far off."""
    for name, blocks in caches.items():
        if blocks <= 2 * largest:
            axes.axvline(blocks, color="0.55", linestyle="--", linewidth=1.3)
            axes.annotate(
                f"{name} full",
                (blocks, 1),
                xycoords=("data", "axes fraction"),
                xytext=(-5, -4),
                textcoords="offset points",
                rotation=90,
                ha="right",
                va="top",
                fontsize=12,
                color="0.35",
            )


def _short(value: float, _: object) -> str:
    """Write a number of blocks as people say it."""
    if value >= 1e6:
        return f"{value / 1e6:g}M"
    return f"{value / 1e3:g}k" if value >= 1e3 else f"{value:g}"
