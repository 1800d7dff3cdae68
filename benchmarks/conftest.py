"""What every benchmark shares: the timer, and a report in ns a call and ns a block."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import pytest
from machine import aligned_table, machine, machine_line


class Measured(NamedTuple):
    """One line of the report."""

    operation: str
    variant: str
    pool: int
    n: int
    ns_per_call: float


class Measure(Protocol):
    """What the `measure` fixture gives."""

    def __call__(
        self,
        run: Callable[..., object],
        *,
        calls: int,
        n: int,
        pool: int = 0,
        variant: str = "",
        setup: Callable[[], tuple[Any, ...]] | None = None,
    ) -> None:
        """Time `run`."""


_measured = pytest.StashKey[list[Measured]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_measured] = []


def pytest_report_header() -> str:
    return machine_line()


def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    machine_info["kvpool"] = machine()


@pytest.fixture
def measure(benchmark: Any, request: pytest.FixtureRequest) -> Measure:
    """Time `run`, which makes `calls` calls of n blocks each; `setup` runs before each round and is not timed.

    What `setup` returns are the arguments of `run`. The report shows medians of rounds.
    """

    def time_rounds(
        run: Callable[..., object],
        *,
        calls: int,
        n: int,
        pool: int = 0,
        variant: str = "",
        setup: Callable[[], tuple[Any, ...]] | None = None,
    ) -> None:
        rounds = max(9, min(200, 2**20 // (calls * n)))
        prepare: Callable[[], tuple[tuple[Any, ...], dict[str, Any]]] | None
        prepare = None if setup is None else lambda: (setup(), {})
        benchmark.extra_info.update(calls=calls, blocks=n, pool=pool)
        benchmark.pedantic(run, setup=prepare, rounds=rounds, warmup_rounds=2)
        if benchmark.stats is None:  # --benchmark-disable
            return
        median = benchmark.stats.stats.median * 1e9 / calls
        benchmark.extra_info.update(ns_per_call=median, ns_per_block=median / n)
        operation = request.function.__name__.removeprefix("bench_").replace("_", " ")
        request.config.stash[_measured].append(Measured(operation, variant, pool, n, median))

    return time_rounds


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    measured = config.stash[_measured]
    if not measured:
        return
    terminalreporter.section("medians")
    terminalreporter.write_line(machine_line())
    for operation in dict.fromkeys(line.operation for line in measured):
        lines = sorted((line for line in measured if line.operation == operation), key=lambda line: line.variant)
        rows = [
            [
                line.variant,
                f"{line.pool:,}" if line.pool else "",
                f"{line.n:,}",
                f"{line.ns_per_call:,.0f}",
                f"{line.ns_per_call / line.n:,.1f}",
            ]
            for line in lines
        ]
        columns = ["", "pool", "blocks a call", "ns a call", "ns a block"]
        for column in (1, 0):  # leave out what no line has
            if not any(row[column] for row in rows):
                del columns[column]
                for row in rows:
                    del row[column]
        terminalreporter.write_line("")
        terminalreporter.write_line(operation)
        for text in aligned_table(columns, rows, left=int(columns[0] == "")):
            terminalreporter.write_line("  " + text)
