"""Compare two implementations, or two revisions of one, on the same work in the same run.

    python benchmarks/compare.py A B [--scenario NAME ...] [--operations NAME ...] [--rounds N]

A and B are `kvpool` (as installed), `kvpool@<git revision>` (built into a temporary environment), or a peer (`vllm`,
`sglang`, `sglang-rust`, `kvbm`), which may be followed by `@/path/to/python`, its own interpreter. Each has a process
of its own; they take turns, so that what else the machine does falls on both.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from machine import aligned_table, machine, machine_line
from peers import PEERS
from runner.case import Case, cases
from runner.implementation import Implementation
from runner.operations import OPERATIONS
from runner.process import Worker
from scenarios import SCENARIOS

INSTALL = "install it, or name the interpreter that has it: NAME@/path/to/python"


def parse() -> argparse.Namespace:
    """Return the arguments."""
    parser = argparse.ArgumentParser(description="Compare two implementations on the same work.")
    parser.add_argument("a", metavar="A", help="kvpool, kvpool@REVISION, or a peer: " + ", ".join(list(PEERS)[1:]))
    parser.add_argument("b", metavar="B", help="the same; NAME@/path/to/python for an interpreter of its own")
    parser.add_argument("--scenario", nargs="*", choices=SCENARIOS, metavar="NAME", help=", ".join(SCENARIOS))
    parser.add_argument("--operations", nargs="*", choices=OPERATIONS, metavar="NAME", help=", ".join(OPERATIONS))
    parser.add_argument("--rounds", type=int, default=5, help="turns of each (default: 5)")
    parser.add_argument("--seconds", type=float, default=0.2, help="for each case in each turn (default: 0.2)")
    parser.add_argument("--pool", type=int, default=100_000, help="blocks, for operations (default: 100000)")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16, 256, 4096], metavar="N", help="blocks a call")
    parser.add_argument(
        "--leaves", type=int, nargs="+", default=[1000, 10_000, 100_000, 1_000_000], metavar="N", help="for evictions"
    )
    parser.add_argument("--timeout", type=float, default=120, help="seconds for a case in one turn (default: 120)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there too")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error("--rounds must be at least 1")
    if arguments.scenario is None and arguments.operations is None:
        arguments.scenario, arguments.operations = list(SCENARIOS), list(OPERATIONS)
    arguments.scenario, arguments.operations = arguments.scenario or [], arguments.operations or []
    return arguments


def rounds_of(case: Case, workers: list[Worker], arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of both, a list each, or the first error."""
    figures: list[list[float]] = [[], []]
    for _ in range(arguments.rounds):
        for worker, into in zip(workers, figures, strict=True):
            answer = worker.measure(case, arguments.seconds, arguments.timeout)
            if "error" in answer:
                return {"error": f"{worker.implementation.text}: {answer['error']}"}
            into.append(answer["ns"])
    return {"a": figures[0], "b": figures[1]}


def row(case: Case, figures: dict[str, Any]) -> list[str]:
    """Return the cells of a case."""
    cells = [case.name, f"{case.pool:,}" if case.pool else "", f"{case.n:,}" if case.n else "", case.unit]
    if "error" in figures:
        return [*cells, "-", "-", "-", "-"]
    a, b = figures["a"], figures["b"]
    ratios = [of_b / of_a for of_a, of_b in zip(a, b, strict=True)]
    spread = f"{min(ratios):.2f} .. {max(ratios):.2f}"
    return [*cells, f"{median(a):,.1f}", f"{median(b):,.1f}", f"{median(b) / median(a):.2f}", spread]


def main() -> int:
    """Measure and print."""
    arguments = parse()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        workers = []
        for letter in "ab":
            try:
                implementation = Implementation(getattr(arguments, letter), folder / letter)
            except ValueError as error:
                print(f"{getattr(arguments, letter)}: {error}", file=sys.stderr)
                return 2
            worker = Worker(implementation)
            stack.callback(worker.stop)
            if worker.absent:
                print(f"skipped: {implementation.text} is not there ({worker.absent}); {INSTALL}")
                return 0
            workers.append(worker)
        print(machine_line())
        for letter, worker in zip("AB", workers, strict=True):
            print(f"{letter}: {worker.implementation.text} ({worker.version})")
        wanted = cases(arguments.operations, arguments.scenario, arguments.pool, arguments.batches, arguments.leaves)
        measured = []
        for position, case in enumerate(wanted, 1):
            print(f"\r{position}/{len(wanted)} {case.name:<20}", end="", file=sys.stderr, flush=True)
            measured.append((case, rounds_of(case, workers, arguments)))
        print("\r" + " " * 40 + "\r", end="", file=sys.stderr)
    header = ["", "pool", "n", "per", "A ns", "B ns", "B / A", "of each round"]
    print("\n" + "\n".join(aligned_table(header, [row(case, figures) for case, figures in measured])))
    for case, figures in measured:
        if "error" in figures:
            print(f"{case.name} {case.n or ''}: {figures['error']}")
    if arguments.json:
        versions = {letter: worker.version for letter, worker in zip("ab", workers, strict=True)}
        rows = [{**case.as_dict(), "unit": case.unit, **figures} for case, figures in measured]
        arguments.json.write_text(json.dumps({"machine": machine(), "versions": versions, "rows": rows}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
