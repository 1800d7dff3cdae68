"""How the cost of a block depends on the pool, the batch and what is cached: figures as JSON, and pictures.

    python benchmarks/scaling.py DIRECTORY [--sweeps NAME ...] [--passes N]

Writes scaling.json, one PNG for each sweep, and scaling.png, the summary. Needs matplotlib: `pip install '.[bench]'`.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
from pathlib import Path
from statistics import median
from typing import Any

from bounds import resident_bytes
from machine import machine
from sweeps.measures import median_of
from sweeps.sweep import SUMMARY, Sweep, sweeps

NAMES = [sweep.name for sweep in sweeps(1_000_000, 256, 1_000_000)]


def parse() -> argparse.Namespace:
    """Return the arguments."""
    parser = argparse.ArgumentParser(description="Measure and draw how the cost of a block scales.")
    parser.add_argument("directory", type=Path, help="where the figures and pictures go")
    parser.add_argument("--sweeps", nargs="+", choices=NAMES, default=NAMES, metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--passes", type=int, default=5, help="over all points; the median is kept (default: 5)")
    parser.add_argument("--seconds", type=float, default=0.1, help="for each point in a pass (default: 0.1)")
    parser.add_argument("--largest", type=int, default=4_000_000, help="pool, in blocks (default: 4000000)")
    parser.add_argument("--pool", type=int, default=1_000_000, help="blocks, where fixed (default: 1000000)")
    parser.add_argument("--batch", type=int, default=256, help="blocks a call, where fixed (default: 256)")
    parser.add_argument("--plot-only", action="store_true", help="draw again what scaling.json has")
    arguments = parser.parse_args()
    if arguments.passes < 1 or arguments.pool < 1000 or arguments.largest < 1000:
        parser.error("--passes must be at least 1, --pool and --largest at least 1000")
    return arguments


def measured(sweep: Sweep, passes: int, seconds: float) -> dict[str, Any]:
    """Return the figures of a sweep: the median over passes, each of which visits every point."""
    figures: dict[str, list[list[float]]] = {name: [[] for _ in points] for name, points in sweep.curves.items()}
    for number in range(passes):
        for name, points in sweep.curves.items():
            for (x, set_up), into in zip(points, figures[name], strict=True):
                print(f"\r{sweep.name} {number + 1}/{passes}: {name} {x:,}".ljust(70), end="", file=sys.stderr)
                into.append(median_of(set_up, seconds))
    curves = {
        name: [(x, median(values)) for (x, _), values in zip(points, figures[name], strict=True)]
        for name, points in sweep.curves.items()
    }
    return {
        "title": sweep.title,
        "axis": sweep.axis,
        "logarithmic": sweep.logarithmic,
        "figures_logarithmic": sweep.figures_logarithmic,
        "curves": curves,
    }


def main() -> None:
    """Measure, write, draw."""
    arguments = parse()
    try:
        from sweeps.plots import cache_sizes, draw
    except ImportError:
        sys.exit("scaling.py draws with matplotlib: pip install matplotlib")
    arguments.directory.mkdir(parents=True, exist_ok=True)
    path = arguments.directory / "scaling.json"
    if arguments.plot_only:
        report = json.loads(path.read_text())
    else:
        gc.disable()
        report = {"machine": machine(), "caches": cache_sizes(), "bytes_a_block": resident_bytes(True), "sweeps": {}}
        for sweep in sweeps(arguments.largest, arguments.batch, arguments.pool):
            if sweep.name in arguments.sweeps:
                report["sweeps"][sweep.name] = measured(sweep, arguments.passes, arguments.seconds)
                path.write_text(json.dumps(report, indent=2))
        print(file=sys.stderr)
    of = report["machine"]
    where = f"{of['cpu']}, {of['python']}, kvpool {of['kvpool']}, one thread"
    size = report["bytes_a_block"]
    caches = {}
    if size is not None:
        caches = {name: held / size for name, held in report["caches"].items()}
        where += f"; {size:.0f} bytes a block"
    for name, sweep in report["sweeps"].items():
        marks = caches if sweep["axis"] == "blocks in the pool" else {}
        draw(sweep, arguments.directory / f"{name}.png", where, marks)
        if name == SUMMARY:
            draw(sweep, arguments.directory / "scaling.png", where, marks)


if __name__ == "__main__":
    main()
