"""The process that measures one implementation: a case a line comes in, a figure a line goes out, both JSON.

    python -m runner.worker NAME

The first line says what is measured, or why it is absent. A case is set up when it differs from the one before.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any

from peers import Peer, open_peer
from scenarios import SCENARIOS

from runner.case import Case
from runner.operations import OPERATIONS
from runner.serving import serve

MIN_REPETITIONS = 3


def set_up(peer: Peer, case: Case) -> Callable[[], float]:
    """Return what runs the case once, warm."""
    if case.name in SCENARIOS:
        run = serve(peer, SCENARIOS[case.name])
    else:
        run = OPERATIONS[case.name].set_up(peer, case.pool, case.n)
    run()
    return run


def measure(run: Callable[[], float], seconds: float) -> dict[str, Any]:
    """Run for that long, or a few times; return the median."""
    end = perf_counter() + seconds
    figures = [run()]
    while perf_counter() < end or (len(figures) < MIN_REPETITIONS and perf_counter() < end + 10 * seconds):
        figures.append(run())
    return {"ns": median(figures), "repetitions": len(figures)}


def main() -> None:
    """Answer until the input ends."""
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what the implementation prints is no answer

    def answer(line: dict[str, Any]) -> None:
        print(json.dumps(line), file=out)

    def short(error: BaseException) -> str:
        text = f"{type(error).__name__}: {error}".splitlines()[0]
        return text if len(text) <= 100 else text[:97] + "..."

    try:
        peer = open_peer(sys.argv[1])
    except BaseException as error:  # Rust panics too; whatever its import raises, it cannot be measured here
        answer({"absent": short(error)})
        return
    answer({"version": peer.version()})
    gc.disable()
    case = None
    run = None
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            if case != asked["case"]:
                case, run = asked["case"], None
                gc.collect()
                run = set_up(peer, Case(**case))
            assert run is not None
            answer(measure(run, asked["seconds"]))
        except BaseException as error:  # Rust panics too; the others can still be measured
            case = None
            answer({"error": short(error)})


if __name__ == "__main__":
    main()
