"""Charts as SVG, to stand in a page: lines over a logarithmic or plain axis, and bars."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import NamedTuple

__all__ = ["Series", "bar_chart", "line_chart"]

_WIDTH, _HEIGHT = 720, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 16, 48
_COLOURS = 9  # classes c0 to c8 of the page's style


class Series(NamedTuple):
    """A line of a chart.

    Attributes
    ----------
    name : str
    points : sequence of (float, float)
    is_dashed : bool
    """

    name: str
    points: Sequence[tuple[float, float]]
    is_dashed: bool = False


def _nice_steps(high: float) -> list[float]:
    """Return about five round numbers from 0 to at least ``high``."""
    if high <= 0:
        return [0.0, 1.0]
    size = 10 ** math.floor(math.log10(high / 4))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= high / 5)
    return [step * i for i in range(math.ceil(high / step - 1e-9) + 1)]


def _frame(title: str, body: Sequence[str], x_label: str, y_label: str) -> str:
    label = '<text class="label" text-anchor="middle" {}>{}</text>'
    middle = _TOP + (_HEIGHT - _TOP - _BOTTOM) / 2
    return "".join(
        [
            f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">',
            f"<title>{escape(title)}</title>",
            *body,
            label.format(f'x="{(_LEFT + _WIDTH - _RIGHT) / 2:.1f}" y="{_HEIGHT - 8}"', escape(x_label)),
            label.format(f'x="14" y="{middle:.1f}" transform="rotate(-90 14 {middle:.1f})"', escape(y_label)),
            "</svg>",
        ]
    )


def _y_axis(steps: Sequence[float], y_of: Callable[[float], float], text: Callable[[float], str]) -> list[str]:
    parts = []
    for value in steps:
        y = y_of(value)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{escape(text(value))}</text>')
    return parts


def line_chart(
    title: str,
    series: Sequence[Series],
    *,
    x_label: str,
    y_label: str,
    is_log: bool,
    x_ticks: Sequence[tuple[float, str]],
    y_text: Callable[[float], str],
) -> str:
    """Return a chart of lines.

    Parameters
    ----------
    title : str
        For those who cannot see it.
    series : sequence of Series
        Those without points are left out.
    x_label, y_label : str
    is_log : bool
        Whether x is logarithmic; all x are above 0 then.
    x_ticks : sequence of (float, str)
        Where to write what below the axis.
    y_text : callable
        Returns a value of y as text.
    """
    xs = [x for line in series for x, _ in line.points] + [x for x, _ in x_ticks]
    low, high = min(xs, default=0.0), max(xs, default=1.0)
    steps = _nice_steps(max((y for line in series for _, y in line.points), default=1.0))

    def x_of(x: float) -> float:
        if high <= low:
            return (_LEFT + _WIDTH - _RIGHT) / 2
        share = math.log(x / low) / math.log(high / low) if is_log else (x - low) / (high - low)
        return _LEFT + 8 + share * (_WIDTH - _LEFT - _RIGHT - 16)

    def y_of(y: float) -> float:
        return _HEIGHT - _BOTTOM - y / steps[-1] * (_HEIGHT - _TOP - _BOTTOM)

    parts = _y_axis(steps, y_of, y_text)
    for x, text in x_ticks:
        parts.append(f'<text x="{x_of(x):.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{escape(text)}</text>')
    for number, line in enumerate(series):
        if not line.points:
            continue
        points = " ".join(f"{x_of(x):.1f},{y_of(y):.1f}" for x, y in line.points)
        classes = f"line c{number % _COLOURS}" + (" dashed" if line.is_dashed else "")
        parts.append(f'<polyline class="{classes}" points="{points}"><title>{escape(line.name)}</title></polyline>')
        if len(line.points) <= 40:
            for x, y in line.points:
                tip = f"{line.name}: {y_text(y)}"
                parts.append(
                    f'<circle class="c{number % _COLOURS}" cx="{x_of(x):.1f}" cy="{y_of(y):.1f}" r="3">'
                    f"<title>{escape(tip)}</title></circle>"
                )
    return _frame(title, parts, x_label, y_label)


def bar_chart(
    title: str,
    bars: Sequence[tuple[str, float]],
    *,
    x_label: str,
    y_label: str,
    y_text: Callable[[float], str],
) -> str:
    """Return a chart of bars, each with the text below it and its height."""
    steps = _nice_steps(max((height for _, height in bars), default=1.0))

    def y_of(y: float) -> float:
        return _HEIGHT - _BOTTOM - y / steps[-1] * (_HEIGHT - _TOP - _BOTTOM)

    parts = _y_axis(steps, y_of, y_text)
    room = (_WIDTH - _LEFT - _RIGHT) / max(len(bars), 1)
    every = max(1, math.ceil(len(bars) / 14))
    for number, (text, height) in enumerate(bars):
        x = _LEFT + number * room
        parts.append(
            f'<rect class="c0" x="{x + room * 0.1:.1f}" y="{y_of(height):.1f}" width="{room * 0.8:.1f}" '
            f'height="{y_of(0) - y_of(height):.1f}"><title>{escape(f"{text}: {y_text(height)}")}</title></rect>'
        )
        if number % every == 0:
            parts.append(
                f'<text x="{x + room / 2:.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{escape(text)}</text>'
            )
    return _frame(title, parts, x_label, y_label)
