"""The page that ``replay --report`` writes: one file, nothing loaded from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from kvpool.replay.optimum import OPTIMUM
from kvpool.replay.result import OPERATIONS, ReplayResult
from kvpool.replay.reuse import ReuseHistogram
from kvpool.replay.trace import Trace
from kvpool.report.svg import Series, bar_chart, line_chart

__all__ = ["write_page"]

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --grid: #d8dee4; --soft: #57606a;
  --c0: #0b62c4; --c1: #c4460b; --c2: #1a7f37; --c3: #8250df; --c4: #bf3989; --c5: #7d6b00; --c6: #008a94;
  --c7: #6e7781; --c8: #a40e26; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --paper: #0d1117; --grid: #30363d; --soft: #9198a1;
  --c0: #58a6ff; --c1: #f0883e; --c2: #3fb950; --c3: #bc8cff; --c4: #f778ba; --c5: #d9c04a; --c6: #4fd1d9;
  --c7: #9198a1; --c8: #ff7b72; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 60rem;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; overflow-wrap: anywhere; } h2 { font-size: 1.1rem; margin: 2.5rem 0 .5rem; }
svg { width: 100%; height: auto; } svg text { font-size: 13px; fill: var(--soft); } svg .label { fill: var(--ink); }
.grid { stroke: var(--grid); } .line { fill: none; stroke-width: 2; } .dashed { stroke-dasharray: 6 4; }
.legend { display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; list-style: none; padding: 0; }
.legend span { display: inline-block; width: 1.4rem; border-top: 3px solid; margin-right: .4rem;
  vertical-align: middle; }
.legend .dashed span { border-top-style: dashed; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .8rem; text-align: right; border-bottom: 1px solid var(--grid); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } p { color: var(--soft); }
@media print { body { max-width: none; } h2 { break-after: avoid; } svg, table { break-inside: avoid; } }
"""


def _colours() -> str:
    return "".join(
        f"circle.c{i}, rect.c{i} {{ fill: var(--c{i}); }} .line.c{i} {{ stroke: var(--c{i}); }} "
        f".legend .c{i} span {{ border-color: var(--c{i}); }}\n"
        for i in range(9)
    )


def _percent(value: float) -> str:
    return f"{100 * value:.4g} %"


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _short(value: float) -> str:
    """Return a number of blocks in few characters."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def _nanoseconds(value: float) -> str:
    return f"{value / 1000:,.1f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table></div>'


def _legend(series: Sequence[Series]) -> str:
    items = "".join(
        f'<li class="c{number % 9}{" dashed" if line.is_dashed else ""}"><span></span>{escape(line.name)}</li>'
        for number, line in enumerate(series)
    )
    return f'<ul class="legend">{items}</ul>'


def _policies(results: Sequence[ReplayResult]) -> list[str]:
    return list(dict.fromkeys(result.policy for result in results))


def _hit_ratios(trace: Trace, results: Sequence[ReplayResult]) -> str:
    capacities = sorted({result.capacity for result in results})
    series = [
        Series(
            policy,
            sorted((result.capacity, result.block_hit_ratio) for result in results if result.policy == policy),
            policy == OPTIMUM,
        )
        for policy in _policies(results)
    ]
    series.append(Series("no limit", [(capacity, trace.ceiling) for capacity in capacities], True))
    chart = line_chart(
        "Block hit ratio against the size of the pool",
        series,
        x_label="blocks of the pool",
        y_label="block hit ratio",
        is_log=True,
        x_ticks=[(capacity, _short(capacity)) for capacity in capacities],
        y_text=_percent,
    )
    found = {(result.policy, result.capacity): result for result in results}
    rows = [
        [policy, *(_percent(found[policy, capacity].block_hit_ratio) for capacity in capacities)]
        for policy in _policies(results)
    ]
    rows.append(["no limit", *[_percent(trace.ceiling)] * len(capacities)])
    table = _table(["policy", *(f"{_count(capacity)} blocks" for capacity in capacities)], rows)
    return f"<h2>Hit ratio</h2>{chart}{_legend(series)}{table}"


def _reuse(trace: Trace, reuse: ReuseHistogram) -> str:
    total = max(trace.num_blocks, 1)
    blocks = [(_short(2.0**i), count / total) for i, count in enumerate(reuse.blocks.tolist())]
    seconds = [(f"{2**i} s", count / total) for i, count in enumerate(reuse.seconds.tolist())]
    sampled = f" One block in {reuse.sampled_one_in} was looked at." if reuse.sampled_one_in > 1 else ""
    by_blocks = bar_chart(
        "Reuse distances", blocks, x_label="different blocks since, at least", y_label="references", y_text=_percent
    )
    by_time = bar_chart(
        "Times between uses", seconds, x_label="time since, at least", y_label="references", y_text=_percent
    )
    return (
        f"<h2>Reuse distance</h2><p>{_percent(reuse.first / total)} of the references are the first to their block."
        f"{sampled}</p>{by_blocks}<p>The same by the time between two uses:</p>{by_time}"
        + _table(["different blocks since", "references"], [[text, _percent(share)] for text, share in blocks])
    )


def _evictions(trace: Trace, results: Sequence[ReplayResult]) -> str:
    capacity = sorted({result.capacity for result in results})[len({result.capacity for result in results}) // 2]
    minutes = max(trace.seconds, 1e-9) / 60
    series = []
    for result in results:
        bins = len(result.evictions_by_time)
        if result.capacity == capacity and bins:
            points = [((i + 0.5) * minutes / bins, float(count)) for i, count in enumerate(result.evictions_by_time)]
            series.append(Series(result.policy, points))
    if not series:
        return ""
    chart = line_chart(
        "Evictions over time",
        series,
        x_label="minutes",
        y_label="blocks evicted in a sixtieth of the time",
        is_log=False,
        x_ticks=[(minutes * i / 4, f"{minutes * i / 4:.3g}") for i in range(5)],
        y_text=_count,
    )
    sums = _table(
        ["policy", *(f"{_count(size)} blocks" for size in sorted({result.capacity for result in results}))],
        [
            [
                policy,
                *(
                    _count(result.evictions)
                    for result in sorted(results, key=lambda result: result.capacity)
                    if result.policy == policy
                ),
            ]
            for policy in _policies(results)
            if policy != OPTIMUM
        ],
    )
    return f"<h2>Evictions over time, pool of {_count(capacity)} blocks</h2>{chart}{_legend(series)}{sums}"


def _latencies(results: Sequence[ReplayResult]) -> str:
    rows = []
    for result in results:
        for name in OPERATIONS:
            summary = result.latencies[name].summary()
            if summary["count"]:
                times = [_nanoseconds(summary[key]) for key in ("p50_ns", "p90_ns", "p99_ns", "p999_ns", "max_ns")]
                rows.append([result.policy, _count(result.capacity), name, _count(summary["count"]), *times])
    if not rows:
        return ""
    head = ["policy", "blocks", "operation", "calls", "p50", "p90", "p99", "p99.9", "max"]
    return f"<h2>Time of a call for all blocks of a request, microseconds</h2>{_table(head, rows)}"


def write_page(path: str | Path, trace: Trace, results: Sequence[ReplayResult], reuse: ReuseHistogram) -> None:
    """Write a page with what replays of a trace found.

    Parameters
    ----------
    path : str or Path
        Written anew.
    trace : Trace
    results : sequence of ReplayResult
        For each policy and capacity; at least one.
    reuse : ReuseHistogram
        Of the trace.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    name = escape(trace.name)
    facts = (
        f"{_count(len(trace.requests))} requests in {_count(trace.seconds)} s, {_count(trace.num_blocks)} full blocks "
        f"of {trace.block_size} tokens, {_count(trace.num_unique_blocks)} different ones; hold {results[0].hold}."
    )
    Path(path).write_text(
        "<!doctype html>\n"
        f'<html lang="en"><head><meta charset="utf-8"/><title>Replay of {name}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>'
        f"<style>{_STYLE}{_colours()}</style></head><body><h1>Replay of {name}</h1><p>{facts}</p>"
        f"{_hit_ratios(trace, results)}{_reuse(trace, reuse)}{_evictions(trace, results)}{_latencies(results)}"
        "</body></html>\n",
        encoding="utf-8",
    )
