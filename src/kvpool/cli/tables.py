"""What ``replay`` shows a person: tables and progress, with rich if it is installed, plain ones if not."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from kvpool.replay.optimum import OPTIMUM
from kvpool.replay.result import OPERATIONS, ReplayResult
from kvpool.replay.trace import Trace

__all__ = ["Screen", "duration", "printable"]

_TEXT_WIDTH = 79
_WIDEST_TABLE = 500


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


def counted(number: int, noun: str) -> str:
    """Return a number and what it counts."""
    return f"{large(number)} {noun}{'' if number == 1 else 's'}"


def printable(text: str, encoding: str = "utf-8") -> str:
    """Return a text on one line, whatever is in the name of a file: what cannot be shown is escaped."""
    shown = "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )
    return shown.encode(encoding, "backslashreplace").decode(encoding)


def _wrapped(words: Sequence[str]) -> list[str]:
    """Return indented lines of words."""
    lines = [" "]
    for word in words:
        if len(lines[-1]) + 1 + len(word) > _TEXT_WIDTH and lines[-1].strip():
            lines.append(" ")
        lines[-1] += f" {word}"
    return lines


@contextmanager
def _bar(label: str, total: int | None) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    # Narrower than 80 columns, or the terminal's own "^C" begins a new line and the bar is not taken away.
    bar_column = BarColumn(bar_width=30)
    columns = (TextColumn("{task.description}"), bar_column, MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"{label} requests", total=total)
        yield lambda done: bar.advance(task, done)


@contextmanager
def _counter(label: str, total: int | None) -> Iterator[Callable[[int], None]]:
    done = 0
    shown = ""

    def advance(more: int) -> None:
        nonlocal done, shown
        done += more
        text = f"{label} requests: " + (f"{100 * done // total}%" if total else f"{done // 10_000}0,000")
        if text != shown:
            shown = text
            sys.stderr.write(f"\r{text}")
            sys.stderr.flush()

    try:
        yield advance
    finally:
        sys.stderr.write("\r" + " " * (len(shown) + len("^C")) + "\r")
        sys.stderr.flush()


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
            print(printable(text, getattr(sys.stdout, "encoding", None) or "utf-8"))

    def _table(self, title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table; the first column is aligned left, the others right."""
        if self._has_rich:
            from rich.box import SIMPLE_HEAD
            from rich.console import Console
            from rich.table import Table
            from rich.text import Text

            table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1))
            for column, name in enumerate(head):
                table.add_column(name, justify="left" if column == 0 else "right", no_wrap=True)
            for row in rows:
                table.add_row(*map(Text, row))  # what users named is no markup
            # As wide as the table needs: a terminal that is too narrow wraps it, and no digit is hidden.
            console = Console(width=_WIDEST_TABLE)
            console.print(Text(title, style="bold"))
            console.print(table)
            return
        widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
        self._line(title)
        for row in [head, ["-" * width for width in widths], *rows]:
            cells = [
                row[0].ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
            ]
            self._line("  ".join(cells).rstrip())

    @contextmanager
    def progress(self, label: str, total: int | None) -> Iterator[Callable[[int], None] | None]:
        """Show progress on standard error, if that is a terminal, and take it away at the end.

        Parameters
        ----------
        label : str
            What is being done to the requests.
        total : int or None
            Requests; None if that is not known.

        Yields
        ------
        callable or None
            What is to be told of requests done.
        """
        if sys.stderr is None or not sys.stderr.isatty():
            yield None
        elif self._has_rich:
            with _bar(label, total) as advance:
                yield advance
        else:
            with _counter(label, total) as advance:
                yield advance

    def show_trace(self, trace: Trace) -> None:
        """Say what is replayed."""
        self._line(trace.name)
        self._line(f"  {counted(len(trace.requests), 'request')} in {trace.seconds:,.0f} s")
        self._line(
            f"  {counted(trace.num_blocks, 'full block')} of {counted(trace.block_size, 'token')}, "
            f"{large(trace.num_unique_blocks)} unique"
        )
        if trace.bad_lines:
            self._line(f"  {counted(trace.bad_lines, 'bad line')} skipped")
        if trace.parameters:
            for line in _wrapped([f"{name}={value}" for name, value in trace.parameters.items()]):
                self._line(line)
        self._line()

    def show_results(
        self, trace: Trace, results: Sequence[tuple[str, ReplayResult]], options: argparse.Namespace
    ) -> None:
        """Print hit ratios for each capacity, and the latencies of the last."""
        policies = list(dict.fromkeys(result.policy for _, result in results))
        rows = []
        for text, result in results:
            is_real = result.policy != OPTIMUM
            cells = [
                text if text.endswith("%") else f"{100 * result.capacity / max(trace.num_unique_blocks, 1):.3g}%",
                large(result.capacity),
                f"{result.block_hit_ratio:.2%}",
                f"{result.token_hit_ratio:.2%}",
                large(result.evictions) if is_real else "",
                large(result.peak_active) if is_real else "",
                f"{result.blocks_per_second / 1e6:.2f} M" if is_real else "",
            ]
            rows.append(cells)
        rows.append(["no limit", "", f"{trace.ceiling:.2%}", f"{trace.token_ceiling:.2%}", "", "", ""])
        head = ["capacity", "blocks", "block hits", "token hits", "evictions", "most held", "blocks/s"]
        title = f"Hit ratio ({policies[0]}, hold {options.hold})"
        if len(policies) > 1:  # a column for their names, in place of the one that says least
            title = f"Hit ratio (hold {options.hold})"
            names = [*(result.policy for _, result in results), ""]
            rows = [[name, *row[:3], *row[4:]] for name, row in zip(names, rows, strict=True)]
            head = ["policy", *head[:3], *head[4:]]
        self._table(title, head, rows)
        for note in self._notes(results, options):
            self._line(note)
        self._line()
        last = next(result for _, result in reversed(results) if result.policy != OPTIMUM)
        latencies = []
        for name in OPERATIONS:
            summary = last.latencies[name].summary()
            times = [duration(summary[key]) for key in ("p50_ns", "p90_ns", "p99_ns", "p999_ns", "max_ns")]
            latencies.append([name, large(summary["count"]), *times])
        self._table(
            f"Time of a call for a request's blocks ({last.policy}, pool of {counted(last.capacity, 'block')})",
            ["operation", "calls", "p50", "p90", "p99", "p99.9", "max"],
            latencies,
        )

    @staticmethod
    def _notes(results: Sequence[tuple[str, ReplayResult]], options: argparse.Namespace) -> Iterator[str]:
        """Say what the numbers cannot."""
        if options.hold == "service":
            yield "A request computes its uncached prompt, then its output, and holds its blocks"
            yield f"until then: {options.prefill_rate:,g} prompt tokens/s, {options.decode_rate:,g} output tokens/s."
        for _, result in results:
            pool = counted(result.capacity, "block")
            if result.refused:
                yield f"{pool}: {counted(result.refused, 'request')} refused for lack of blocks, counted as misses."
            if result.truncated:
                yield f"{pool}: {counted(result.truncated, 'request')} larger than the pool, truncated to its size."
