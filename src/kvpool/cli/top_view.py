"""What ``kvpool top`` shows."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from kvpool.cli.tables import duration, printable
from kvpool.diagnosis import PoolSample

__all__ = ["TopView"]

# Full, two shades, light: so that they are told apart without colours, too. Then what is left of them in ASCII.
_STATES = {
    "immutable": ("\u2588", "#", "green"),
    "mutable": ("\u2593", "=", "yellow"),
    "cached": ("\u2592", "+", "blue"),
    "empty": ("\u2591", ".", "bright_black"),
}
_UNKNOWN = "-"
_WIDE = 78  # columns from which tables are side by side
_COUNTERS = {"allocations": "allocated", "registrations": "registered", "hashes": "asked for", "matched": "found"}


class TopView:
    """Turns looks at a pool into what a terminal shows.

    Parameters
    ----------
    width : int
        Columns of the terminal.
    is_ascii : bool
        It shows nothing else.
    note : str
        What is said beside the time.
    """

    def __init__(self, width: int, is_ascii: bool, note: str) -> None:
        self._width = width
        self._is_ascii = is_ascii
        self._note = note

    def render(self, sample: PoolSample, earlier: PoolSample | None, trouble: str = "") -> RenderableType:
        """Return the view.

        Parameters
        ----------
        sample : PoolSample
        earlier : PoolSample, optional
            The look before: what happened since is shown for each second.
        trouble : str
            What is wrong with the looking, "" for nothing.
        """
        if earlier is not None and not _is_later(sample, earlier):
            earlier = None
        parts: list[RenderableType] = [self._title(sample)]
        parts.append(self._text(trouble, "bold red"))
        parts.append(self._bar(sample))
        parts.append(self._beside(self._states(sample), self._summary(sample, earlier)))
        parts.append(Text())
        parts.append(self._beside(self._rates(sample, earlier), self._latencies(sample, earlier)))
        return Group(*parts)

    def _title(self, sample: PoolSample) -> RenderableType:
        grid = Table.grid(expand=True, padding=(0, 1))
        grid.add_column(overflow="fold")
        grid.add_column(overflow="fold", justify="right")
        left = self._text(sample.name or "unnamed pool", "bold")
        left.append_text(self._text(f"  {sample.about}", "not bold"))
        clock = time.strftime("%H:%M:%S", time.localtime(sample.time))
        grid.add_row(left, Text(f"{self._note}  {clock}".strip(), style="bright_black"))
        return grid

    def _beside(self, left: RenderableType, right: RenderableType) -> RenderableType:
        """Put two tables side by side, or one below the other where there is no room."""
        if self._width < _WIDE:
            return Group(left, right)
        grid = Table.grid(expand=True, padding=(0, 2))
        grid.add_column(ratio=1)
        grid.add_column(ratio=1)
        grid.add_row(left, right)
        return grid

    def _text(self, text: str, style: str = "") -> Text:
        """Return a text that somebody else chose, so that it can be shown whatever is in it."""
        return Text(printable(text, "ascii" if self._is_ascii else "utf-8"), style=style)

    def _glyph(self, state: str) -> str:
        return _STATES[state][1 if self._is_ascii else 0]

    def _bar(self, sample: PoolSample) -> RenderableType:
        bar = Text(no_wrap=True, overflow="crop")
        widths = _share_out(self._width, [count for _, count in _by_state(sample)])
        for (state, _), width in zip(_by_state(sample), widths, strict=True):
            bar.append(self._glyph(state) * width, style=_STATES[state][2])
        return bar

    def _states(self, sample: PoolSample) -> RenderableType:
        total = sum(sample.blocks.values())
        table = _table("", "blocks", "share")
        for state, count in _by_state(sample):
            name = Text(self._glyph(state), style=_STATES[state][2]).append(f" {state}", style="default")
            table.add_row(name, f"{count:,}", f"{count / total:.1%}" if total else _UNKNOWN)
        return table

    def _summary(self, sample: PoolSample, earlier: PoolSample | None) -> RenderableType:
        table = _table("", "now", "in all")
        now = _UNKNOWN if earlier is None else _hit_ratio(_differences(sample.counters, earlier.counters))
        table.add_row("hit ratio", now, _hit_ratio(sample.counters))
        table.add_row("waiting", _gauge(sample, "waiting"), "")
        failures = [_rate("failures", sample.counters, earlier.counters, sample, earlier) if earlier else _UNKNOWN]
        table.add_row("failures/s", *failures, _amount(sample.counters.get("failures")))
        table.add_row("pinned", _gauge(sample, "pinned"), "")
        if sample.gauges.get("missed"):
            table.add_row(Text("events missed", style="red"), "", _gauge(sample, "missed"))
        return table

    def _rates(self, sample: PoolSample, earlier: PoolSample | None) -> RenderableType:
        table = _table("blocks", "/s", "in all")
        for name, label in _COUNTERS.items():
            rate = _rate(name, sample.counters, earlier.counters, sample, earlier) if earlier else _UNKNOWN
            table.add_row(label, rate, _amount(sample.counters.get(name)))
        for name, number in sample.evictions.items():
            rate = _rate(name, sample.evictions, earlier.evictions, sample, earlier) if earlier else _UNKNOWN
            table.add_row(self._text(f"evicted, {name}"), rate, _amount(number))
        return table

    def _latencies(self, sample: PoolSample, earlier: PoolSample | None) -> RenderableType:
        table = _table("call", "timed", "p50", "p99")
        for call, times in sample.latencies.items():
            before = earlier.latencies.get(call) if earlier else None
            recent = times if before is None else times.since(before)
            # A call that was not made since the last look is shown as it was before.
            shown = recent if recent.num_calls else times
            row = [_UNKNOWN, _UNKNOWN]
            if shown.num_calls:
                row = [duration(round(shown.quantile(share) * 1e9)) for share in (0.5, 0.99)]
            table.add_row(self._text(call), _amount(times.num_calls), *row)
        if not any(times.num_calls for times in sample.latencies.values()):
            hint = Text("Calls are not timed: pool.time_calls(64) times one in 64.", style="bright_black")
            return Group(table, hint)
        return table


def _table(*head: str) -> Table:
    """Return an empty table, which wraps numbers rather than hide digits where the terminal is narrow."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1))
    for column, name in enumerate(head):
        table.add_column(name, justify="left" if column == 0 else "right", overflow="fold")
    return table


def _by_state(sample: PoolSample) -> list[tuple[str, int]]:
    return [(state, sample.blocks[state]) for state in _STATES if state in sample.blocks]


def _share_out(width: int, counts: Sequence[int]) -> list[int]:
    """Return cells for each count that fill the width, one at least for each that is not 0 if there is room."""
    total = sum(counts)
    if total == 0:
        return [0] * len(counts)
    cells = [max(width * count // total, min(count, 1)) for count in counts]
    while sum(cells) != width:
        step = 1 if sum(cells) < width else -1
        # To whom it is due most, or who can spare it.
        at = max(range(len(counts)), key=lambda i: step * (width * counts[i] / total - cells[i]))
        cells[at] += step
    return cells


def _is_later(sample: PoolSample, earlier: PoolSample) -> bool:
    """Whether a look is of the same pool and later: one that was made anew has lower counts."""
    pairs = [(sample.counters, earlier.counters), (sample.evictions, earlier.evictions)]
    falls = any(now.get(name, 0) < before for now, old in pairs for name, before in old.items())
    return sample.time > earlier.time and not falls


def _differences(now: dict[str, float], before: dict[str, float]) -> dict[str, float]:
    return {name: value - before.get(name, 0) for name, value in now.items()}


def _rate(name: str, now: dict[str, float], before: dict[str, float], sample: PoolSample, earlier: PoolSample) -> str:
    if name not in now or name not in before:
        return _UNKNOWN
    rate = (now[name] - before[name]) / (sample.time - earlier.time)
    return f"{rate:,.0f}" if rate >= 100 or rate == 0 else f"{rate:.1f}"


def _hit_ratio(counters: dict[str, float]) -> str:
    if not counters.get("hashes"):
        return _UNKNOWN
    return f"{counters.get('matched', 0) / counters['hashes']:.2%}"


def _amount(number: float | None) -> str:
    """Return a number with all its digits, or three of them where it is huge."""
    if number is None:
        return _UNKNOWN
    if number < 1e9:
        return f"{number:,.0f}"
    for unit in ("G", "T", "P"):
        number /= 1e9 if unit == "G" else 1e3
        if number < 999.5:
            break
    return f"{number:.3g} {unit}"


def _gauge(sample: PoolSample, name: str) -> str:
    return _amount(sample.gauges.get(name))
