"""``python -m kvpool.testing``: hold the pool against the model for a number of steps."""

from __future__ import annotations

import argparse
import faulthandler
import gc
import itertools
import sys
import time
from collections.abc import Sequence

from kvpool.testing.driver import Driver

SECONDS_BETWEEN_LINES = 10.0


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(prog="python -m kvpool.testing", description=__doc__)
    parser.add_argument("--steps", type=int, default=1_000_000, help="stop after so many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=None, help="gives the histories (default: from the time)")
    parser.add_argument("--duplicates", choices=("share", "keep", "both"), default="both")
    parser.add_argument("--first-episode", type=int, default=0, metavar="N", help="number of the first history")
    parser.add_argument("--episodes", type=int, default=None, metavar="N", help="stop after so many histories")
    parser.add_argument("--trace", action="store_true", help="print each operation before it is done (after a crash)")
    return parser.parse_args(arguments)


def trace(operation: object) -> None:
    """Print an operation so that it is seen even if the process dies of it."""
    print(f"    {operation!r},", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run histories until there were enough steps; 1 if one failed."""
    options = parse_arguments(arguments)
    seed = int(time.time()) if options.seed is None else options.seed
    modes = ("share", "keep") if options.duplicates == "both" else (options.duplicates,)
    driver = Driver(seed, observe=trace if options.trace else None)
    print(f"seed {seed}", flush=True)

    start = reported = time.monotonic()
    done = 0
    for episode in itertools.count(options.first_episode):
        if driver.steps >= options.steps or done == options.episodes:
            break
        mode = modes[episode % len(modes)]
        failure = driver.run_episode(episode, mode)
        done += 1
        if failure is not None:
            print(f"\nfailed: seed {seed}, episode {episode}, duplicates {mode}, after {driver.steps:,} steps in all")
            print(
                f"{failure.message}\nagain: {failure.command}\n\nshrinking {len(failure.history.operations)} steps ..."
            )
            failure = driver.shrink(failure)
            print(f"\n# {failure.message}\n{failure.history.source()}", flush=True)
            return 1
        if time.monotonic() - reported > SECONDS_BETWEEN_LINES:
            reported = time.monotonic()
            print(f"{driver.steps:,} steps, {done:,} episodes", flush=True)
    seconds = time.monotonic() - start
    print(
        f"pool and model agree: {driver.steps:,} steps in {done:,} episodes, {seconds:.1f} s, "
        f"{driver.steps / max(seconds, 1e-9):,.0f} steps/s, seed {seed}"
    )
    return 0


if __name__ == "__main__":
    faulthandler.enable()
    gc.freeze()
    sys.exit(main())
