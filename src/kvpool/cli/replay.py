"""``kvpool replay``: an hour of traffic through the real pool."""

from __future__ import annotations

import argparse
import json
import math
import textwrap
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from kvpool.cli.command_error import CommandError
from kvpool.policies import EVICTION_POLICIES

if TYPE_CHECKING:
    from kvpool.cli.tables import Screen
    from kvpool.replay import ReplayResult, Trace

__all__ = ["JSON_KEYS", "Capacity", "add_parser", "run"]

DEFAULT_CAPACITIES = ("1%", "2%", "5%", "10%", "20%", "40%")

JSON_KEYS = {
    "trace": "where the requests come from",
    "parameters": "of the generated workload, empty for a trace",
    "block_size": "tokens of a block",
    "requests": "requests",
    "seconds": "from the first arrival to the last",
    "blocks": "full prompt blocks, every reference counted",
    "unique_blocks": "different ones among them",
    "ceiling": "block hit ratio of a pool that never evicts",
    "token_ceiling": "token hit ratio of a pool that never evicts",
    "bad_lines": "lines skipped",
    "prefill_rate": "prompt tokens/s of a request",
    "decode_rate": "output tokens/s of a request",
    "hint_accuracy": "as given; null for no hints",
    "protect": "as given",
    "results": "one object for each capacity and policy, in the order given:",
    "results.capacity": "as given",
    "results.policy": "as given, or optimum",
    "results.capacity_blocks": "blocks of the pool",
    "results.hold": "none or service",
    "results.requests": "requests replayed",
    "results.refused": "those for which there were too few blocks",
    "results.truncated": "those larger than the pool, cut to its size",
    "results.blocks": "full prompt blocks asked for",
    "results.hit_blocks": "those that were found",
    "results.served_blocks": "those that were found or registered",
    "results.block_hit_ratio": "hit_blocks / blocks",
    "results.input_tokens": "prompt tokens",
    "results.hit_tokens": "hit_blocks * block_size",
    "results.token_hit_ratio": "hit_tokens / input_tokens",
    "results.evictions": "blocks evicted",
    "results.evictions_by_time": "in each sixtieth of the trace's time; empty for the optimum",
    "results.peak_active_blocks": "blocks held at one time, at most",
    "results.seconds": "wall time of the replay, bookkeeping included",
    "results.blocks_per_second": "served_blocks / seconds",
    "results.latency": "for match, allocate, register and release, one call for all blocks of a request: "
    "count, p50_ns, p90_ns, p99_ns, p999_ns (within 0.8 %) and max_ns",
}
"""What ``--json`` prints, in its order. Ratios are in [0, 1]."""


class Capacity(NamedTuple):
    """Size of a pool as the user gave it: blocks, or percent of the trace's unique blocks."""

    text: str
    blocks: int | None
    percent: Decimal | None

    @classmethod
    def parse(cls, text: str) -> Capacity:
        """Return the capacity that a text means; a percentage ends in ``%``."""
        if text.endswith("%"):
            positive(text[:-1])
            return cls(text, None, Decimal(text[:-1]))
        if text.isdecimal() and int(text) > 0:
            return cls(text, int(text), None)
        raise argparse.ArgumentTypeError(
            f"{text} is neither a number of blocks nor a percentage (TRACE goes before --capacity)"
        )

    def in_blocks(self, unique_blocks: int) -> int:
        """Return the blocks that this means for a trace, rounded down, at least 1."""
        if self.blocks is not None:
            return self.blocks
        assert self.percent is not None
        return max(int(self.percent * unique_blocks / 100), 1)


def positive(text: str) -> float:
    """Return a finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a finite number above 0")
    return value


def share(text: str) -> float:
    """Return a number in [0, 1]."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number in [0, 1]")
    return value


def count(text: str) -> int:
    """Return an int of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not an int of at least 1")
    return int(text)


def natural(text: str) -> int:
    """Return an int of at least 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is not an int of at least 0")
    return int(text)


def _json_help() -> str:
    lines = ["--json prints one object:"]
    for key, meaning in JSON_KEYS.items():
        name = key.replace("results.", "  ")
        lines += textwrap.wrap(meaning, 79, initial_indent=f"  {name:<22}", subsequent_indent=" " * 24)
    return "\n".join(lines)


def add_parser(commands: Any) -> None:
    """Add the sub-command to the parser."""
    parser = commands.add_parser(
        "replay",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        help="send a trace through the pool and print hit ratios and latencies",
        description="Send a trace through the real pool by the trace's clock: for each request match,\n"
        "allocate the rest, register, hold, release. Without TRACE a seeded workload is\n"
        "generated: chats and agents over shared system prompts.",
        epilog=_json_help(),
    )
    parser.add_argument(
        "trace", nargs="?", metavar="TRACE", help="Mooncake's or Qwen-Bailian's JSON Lines, .gz too; - is stdin"
    )
    parser.add_argument(
        "--capacity",
        nargs="+",
        type=Capacity.parse,
        metavar="N|P%",
        default=[Capacity.parse(text) for text in DEFAULT_CAPACITIES],
        help="pool sizes, in blocks or percent of the trace's unique blocks, rounded down "
        "(default: 1%% 2%% 5%% 10%% 20%% 40%%)",
    )
    parser.add_argument(
        "--hold",
        choices=("none", "service"),
        default="none",
        help="release each request before the next arrives, or when it would have finished (default: none)",
    )
    parser.add_argument(
        "--prefill-rate",
        type=positive,
        default=8000.0,
        metavar="T",
        help="--hold service: uncached prompt tokens/s of a request (default: 8000)",
    )
    parser.add_argument(
        "--decode-rate",
        type=positive,
        default=30.0,
        metavar="T",
        help="--hold service: output tokens/s of a request (default: 30)",
    )
    parser.add_argument(
        "--requests", type=count, default=4000, metavar="N", help="requests to generate (default: 4000)"
    )
    parser.add_argument(
        "--seed", type=natural, default=0, metavar="S", help="seed of the generated workload (default: 0)"
    )
    parser.add_argument(
        "--skip-bad-lines", action="store_true", help="count malformed lines instead of stopping at the first"
    )
    parser.add_argument(
        "--policy",
        nargs="+",
        choices=EVICTION_POLICIES,
        metavar="NAME",
        default=["lru"],
        help=f"eviction policies to compare: {', '.join(EVICTION_POLICIES)} (default: lru)",
    )
    parser.add_argument(
        "--optimal", action="store_true", help="what the best choices would give, if the future were known (no hold)"
    )
    parser.add_argument(
        "--hint-accuracy",
        type=share,
        metavar="P",
        help="release each request with a hint whether it will be continued, right with this probability",
    )
    parser.add_argument(
        "--protect",
        type=natural,
        default=0,
        metavar="N",
        help="protect what the next N requests will match (default: 0)",
    )
    parser.add_argument("--report", metavar="FILE", help="write a page with charts: one HTML file")
    parser.add_argument("--png", metavar="FILE", help="write the plot of hit ratios (needs matplotlib)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Replay as the options say, and print; raise CommandError if that cannot be done."""
    from kvpool.cli.tables import Screen

    screen = Screen(quiet=options.json)
    trace = _get_trace(options, screen)
    sizes = [capacity.in_blocks(trace.num_unique_blocks) for capacity in options.capacity]
    largest, capacity = max(zip(sizes, options.capacity, strict=True), key=lambda pair: pair[0])
    _try_pool(largest, trace.block_size, capacity.text)
    screen.show_trace(trace)
    results = _replay_all(trace, sizes, options, screen)
    _write_pictures(trace, [result for _, result in results], options)
    if options.json:
        print(json.dumps(_report(trace, results, options), indent=2, allow_nan=False))
    else:
        screen.show_results(trace, results, options)


def _get_trace(options: argparse.Namespace, screen: Screen) -> Trace:
    from kvpool.replay import TraceError, generate_workload, read_trace

    if options.trace is None:
        with screen.progress("generating", options.requests) as advance:
            return generate_workload(options.requests, options.seed, progress=advance)
    try:
        with screen.progress("reading", None) as advance:
            return read_trace(options.trace, skip_bad_lines=options.skip_bad_lines, progress=advance)
    except TraceError as error:
        raise CommandError(str(error)) from None


def _try_pool(capacity: int, block_size: int, text: str) -> None:
    """Make the largest pool once, so that what is too large is known before anything is printed."""
    from kvpool.replay import Simulator

    try:
        Simulator(capacity, block_size)
    except (ValueError, MemoryError) as error:
        raise CommandError(f"--capacity {text}: {error}") from None


def _replay_all(
    trace: Trace, sizes: list[int], options: argparse.Namespace, screen: Screen
) -> list[tuple[str, ReplayResult]]:
    from kvpool.replay import continuation_hints, optimum, replay

    hints = None if options.hint_accuracy is None else continuation_hints(trace, options.hint_accuracy, options.seed)
    results = []
    passes = len(dict.fromkeys(options.policy)) + options.optimal
    with screen.progress("replaying", len(trace.requests) * len(sizes) * passes) as advance:
        for capacity, blocks in zip(options.capacity, sizes, strict=True):
            for policy in dict.fromkeys(options.policy):
                result = replay(
                    trace,
                    blocks,
                    hold=options.hold,
                    prefill_rate=options.prefill_rate,
                    decode_rate=options.decode_rate,
                    eviction=policy,
                    hints=hints,
                    protect=options.protect,
                    progress=advance,
                )
                results.append((capacity.text, result))
            if options.optimal:
                results.append((capacity.text, optimum(trace, blocks, progress=advance)))
    return results


def _write_pictures(trace: Trace, results: list[ReplayResult], options: argparse.Namespace) -> None:
    from kvpool.replay import reuse_histogram
    from kvpool.report import write_page, write_png

    try:
        if (path := options.report) is not None:
            write_page(path, trace, results, reuse_histogram(trace))
        if (path := options.png) is not None:
            write_png(path, trace, results)
    except OSError as error:
        raise CommandError(f"{error.filename or path}: {error.strerror or error}") from None
    except ImportError:
        raise CommandError("--png needs matplotlib: pip install 'kvpool[plot]'") from None


def _report(trace: Trace, results: list[tuple[str, ReplayResult]], options: argparse.Namespace) -> dict[str, object]:
    """Return what ``--json`` prints: the keys of JSON_KEYS."""
    return {
        "trace": trace.name,
        "parameters": trace.parameters,
        "block_size": trace.block_size,
        "requests": len(trace.requests),
        "seconds": trace.seconds,
        "blocks": trace.num_blocks,
        "unique_blocks": trace.num_unique_blocks,
        "ceiling": trace.ceiling,
        "token_ceiling": trace.token_ceiling,
        "bad_lines": trace.bad_lines,
        "prefill_rate": options.prefill_rate,
        "decode_rate": options.decode_rate,
        "hint_accuracy": options.hint_accuracy,
        "protect": options.protect,
        "results": [{"capacity": text, **result.as_dict()} for text, result in results],
    }
