"""What ``replay`` shows a person: tables with rich if it is installed, plain ones if not."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from kvpool.replay.result import OPERATIONS, ReplayResult
from kvpool.replay.trace import Trace

__all__ = ["Screen", "duration"]


def duration(nanoseconds: int) -> str:
    """Return a duration with three significant digits."""
    value = float(nanoseconds)
    for unit in ("ns", "us", "ms"):
        if value < 999.5:
            return f"{value:.3g} {unit}" if unit != "ns" else f"{nanoseconds} ns"
        value /= 1000
    return f"{value:.3g} s"


def large(number: float) -> str:
    """Return a number with thousands separated."""
    return f"{number:,.0f}"


class Screen:
    """Standard output for results, standard error for progress.

    Parameters
    ----------
    quiet : bool
        Show nothing but progress.
    """

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        try:
            import rich  # noqa: F401
        except ImportError:
            self._has_rich = False
        else:
            self._has_rich = True

    def _line(self, text: str = "") -> None:
        if not self._quiet:
            print(text)

    def _table(self, title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table; the first column is aligned left, the others right."""
        if self._has_rich:
            from rich.box import SIMPLE_HEAD
            from rich.console import Console
            from rich.table import Table

            table = Table(title=title, box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
            table.title_justify = "left"
            table.title_style = "bold"
            for column, name in enumerate(head):
                table.add_column(name, justify="left" if column == 0 else "right", no_wrap=True)
            for row in rows:
                table.add_row(*row)
            console = Console()
            console.print(table, width=max(console.width, 78))
            self._line()
            return
        widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
        self._line(title)
        for row in [head, ["-" * width for width in widths], *rows]:
            cells = [
                row[0].ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
            ]
            self._line("  ".join(cells).rstrip())
        self._line()

    @contextmanager
    def progress(self, total: int) -> Iterator[Callable[[int], None] | None]:
        """Show a bar on standard error, if that is a terminal; yields what tells it of requests served."""
        if not sys.stderr.isatty() or not self._has_rich:
            yield None
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("requests"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("replay", total=total)
            yield lambda served: bar.advance(task, served)

    def show_trace(self, trace: Trace, unique: int) -> None:
        """Say what is replayed."""
        if self._quiet:
            return
        self._line(f"{trace.name}: {large(len(trace.requests))} requests over {trace.requests[-1].arrival:,.0f} s")
        self._line(
            f"  {large(trace.num_blocks)} full blocks of {trace.block_size} tokens, {large(unique)} unique; "
            f"a pool that never evicts hits {trace.ceiling:.2%}"
        )
        if trace.bad_lines:
            self._line(f"  {large(trace.bad_lines)} bad lines skipped")
        line = " "
        for name, value in trace.parameters.items():
            item = f" {name}={value}"
            if len(line) + len(item) > 78:
                self._line(line)
                line = " "
            line += item
        if line.strip():
            self._line(line)
        self._line()

    def show_results(self, results: Sequence[tuple[str, ReplayResult]], options: argparse.Namespace) -> None:
        """Print hit ratios for each capacity, and the latencies of the last."""
        rows = [
            [
                text if text.endswith("%") else "",
                large(result.capacity),
                f"{result.block_hit_ratio:.2%}",
                f"{result.token_hit_ratio:.2%}",
                large(result.evictions),
                large(result.peak_active),
                f"{result.blocks_per_second / 1e6:.2f} M",
            ]
            for text, result in results
        ]
        head = ["unique", "blocks", "block hits", "token hits", "evictions", "held", "blocks/s"]
        self._table(f"Hit ratio by capacity (LRU, hold {options.hold})", head, rows)
        if options.hold == "service":
            self._line(
                f"A request computes {options.prefill_rate:g} uncached prompt tokens/s, then {options.decode_rate:g} "
                "output tokens/s, and holds its blocks until then."
            )
        for text, result in results:
            if result.refused:
                self._line(f"{text}: {large(result.refused)} requests refused, their blocks count as misses.")
            if result.truncated:
                self._line(
                    f"{text}: {large(result.truncated)} requests larger than the pool, only their first blocks taken."
                )
        text, last = results[-1]
        latencies = []
        for name in OPERATIONS:
            summary = last.latencies[name].summary()
            times = [duration(summary[key]) for key in ("p50_ns", "p90_ns", "p99_ns", "p999_ns", "max_ns")]
            latencies.append([name, large(summary["count"]), *times])
        self._table(
            f"Time of a call, whole requests at once, {text} of capacity"
            if text.endswith("%")
            else f"Time of a call, {text} blocks",
            ["operation", "calls", "p50", "p90", "p99", "p99.9", "max"],
            latencies,
        )
