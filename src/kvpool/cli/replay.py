"""``kvpool replay``: an hour of traffic through the real pool."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

__all__ = ["add_parser", "parse_capacity", "run"]

DEFAULT_CAPACITIES = ("1%", "2%", "5%", "10%", "20%", "40%")


def positive(text: str) -> float:
    """Return a finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a finite number above 0")
    return value


def count(text: str) -> int:
    """Return an int of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not an int of at least 1")
    return int(text)


def parse_capacity(text: str) -> tuple[str, float]:
    """Return a capacity as its text and a number: blocks, or percent of the unique blocks if it ends in ``%``."""
    if text.endswith("%"):
        return text, positive(text[:-1])
    return text, float(count(text))


def capacity_in_blocks(capacity: tuple[str, float], unique_blocks: int) -> int:
    """Return the blocks that a capacity means for a trace, rounded down, at least 1."""
    text, value = capacity
    return max(int(unique_blocks * value / 100), 1) if text.endswith("%") else int(value)


def add_parser(commands: Any) -> None:
    """Add the sub-command to the parser."""
    parser = commands.add_parser(
        "replay",
        help="send a trace through the pool and print hit ratios and latencies",
        description="Send a trace through the real pool by the trace's clock: match, allocate the rest, register, "
        "hold, release. Without TRACE a seeded workload is generated: chats and agents over shared system prompts.",
    )
    parser.add_argument(
        "trace", nargs="?", metavar="TRACE", help="Mooncake's or Qwen-Bailian's JSON Lines, .gz too; - is stdin"
    )
    parser.add_argument(
        "--capacity",
        nargs="+",
        type=parse_capacity,
        metavar="N|P%",
        default=[parse_capacity(text) for text in DEFAULT_CAPACITIES],
        help="pool sizes, in blocks or percent of the trace's unique blocks (default: 1%% 2%% 5%% 10%% 20%% 40%%)",
    )
    parser.add_argument(
        "--hold",
        choices=("none", "service"),
        default="none",
        help="release each request before the next arrives, or when it would have finished (default: none)",
    )
    parser.add_argument(
        "--prefill-rate", type=positive, default=8000.0, metavar="T", help="tokens/s of a request's prefill (8000)"
    )
    parser.add_argument(
        "--decode-rate", type=positive, default=30.0, metavar="T", help="tokens/s of a request's output (30)"
    )
    parser.add_argument("--requests", type=count, default=4000, metavar="N", help="requests to generate (4000)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="seed of the generated workload (0)")
    parser.add_argument(
        "--skip-bad-lines", action="store_true", help="count malformed lines instead of stopping at the first"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Replay as the options say, and print."""
    from kvpool.cli.tables import Screen
    from kvpool.replay import TraceError, generate_workload, read_trace, replay

    screen = Screen(quiet=options.json)
    try:
        if options.trace is None:
            trace = generate_workload(options.requests, options.seed)
        else:
            trace = read_trace(options.trace, skip_bad_lines=options.skip_bad_lines)
    except TraceError as error:
        print(f"kvpool: {error}", file=sys.stderr)
        return 2
    unique = trace.num_unique_blocks
    screen.show_trace(trace, unique)
    results = []
    with screen.progress(len(trace.requests) * len(options.capacity)) as advance:
        for capacity in options.capacity:
            blocks = capacity_in_blocks(capacity, unique)
            result = replay(
                trace,
                blocks,
                hold=options.hold,
                prefill_rate=options.prefill_rate,
                decode_rate=options.decode_rate,
                progress=advance,
            )
            results.append((capacity[0], result))
    if options.json:
        print(
            json.dumps(
                {
                    "trace": trace.name,
                    "parameters": trace.parameters,
                    "block_size": trace.block_size,
                    "requests": len(trace.requests),
                    "blocks": trace.num_blocks,
                    "unique_blocks": unique,
                    "ceiling": trace.ceiling,
                    "bad_lines": trace.bad_lines,
                    "prefill_rate": options.prefill_rate,
                    "decode_rate": options.decode_rate,
                    "results": [{"capacity": text, **result.as_dict()} for text, result in results],
                },
                indent=2,
            )
        )
    else:
        screen.show_results(results, options)
    return 0
