"""``python -m kvpool.testing``: hold the pool against the model for a number of steps, or for a time."""

from __future__ import annotations

import argparse
import faulthandler
import gc
import itertools
import subprocess
import sys
import time
from collections.abc import Sequence

from kvpool.testing.driver import Driver, Failure

SECONDS_BETWEEN_LINES = 10.0


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(prog="python -m kvpool.testing", description=__doc__)
    parser.add_argument("--steps", type=int, default=1_000_000, help="stop after so many (default: %(default)s)")
    parser.add_argument("--hours", type=float, default=None, metavar="H", help="go on for this time instead")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes that share the steps, by seed")
    parser.add_argument("--seed", type=int, default=None, help="gives the histories (default: from the time)")
    parser.add_argument("--duplicates", choices=("share", "keep", "both"), default="both")
    parser.add_argument("--first-episode", type=int, default=0, metavar="N", help="number of the first history")
    parser.add_argument("--episodes", type=int, default=None, metavar="N", help="stop after so many histories")
    parser.add_argument("--trace", action="store_true", help="print each operation before it is done (after a crash)")
    return parser.parse_args(arguments)


def trace(operation: object) -> None:
    """Print an operation so that it is seen even if the process dies of it."""
    print(f"    {operation!r},", flush=True)


def report(driver: Driver, failure: Failure) -> None:
    """Print a failure, how to see it again, and the shortest history that shows it."""
    print(
        f"\nfailed: seed {failure.seed}, episode {failure.episode}, duplicates {failure.duplicates}, "
        f"after {driver.steps:,} steps in all"
    )
    print(f"{failure.message}\nagain: {failure.command}\n\nshrinking {len(failure.history.operations)} steps ...")
    failure = driver.shrink(failure)
    print(f"\n# {failure.message}\n{failure.history.source()}", flush=True)


def run_jobs(options: argparse.Namespace, seed: int) -> int:
    """Run so many processes with a share of the steps and a seed each; 1 if one of them failed."""
    share = ["--steps", str(-(-options.steps // options.jobs)), "--duplicates", options.duplicates]
    share += [] if options.hours is None else ["--hours", str(options.hours)]
    command = [sys.executable, "-m", "kvpool.testing", *share, "--seed"]
    processes = [subprocess.Popen([*command, str(seed + job)]) for job in range(options.jobs)]
    try:
        codes = [process.wait() for process in processes]
        return int(any(codes))
    finally:
        for process in processes:
            if process.poll() is None:
                process.terminate()
                process.wait()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run histories until there were enough steps, or the time is over; 1 if one failed."""
    options = parse_arguments(arguments)
    seed = int(time.time()) if options.seed is None else options.seed
    if options.jobs > 1:
        return run_jobs(options, seed)
    modes = ("share", "keep") if options.duplicates == "both" else (options.duplicates,)
    driver = Driver(seed, observe=trace if options.trace else None)
    print(f"seed {seed}", flush=True)

    start = reported = time.monotonic()
    done = 0
    for episode in itertools.count(options.first_episode):
        is_over = driver.steps >= options.steps
        if options.hours is not None:
            is_over = time.monotonic() - start >= 3600 * options.hours
        if is_over or done == options.episodes:
            break
        mode = modes[episode % len(modes)]
        failure = driver.run_episode(episode, mode)
        done += 1
        if failure is not None:
            report(driver, failure)
            return 1
        if time.monotonic() - reported > SECONDS_BETWEEN_LINES:
            reported = time.monotonic()
            print(f"seed {seed}: {driver.steps:,} steps, {done:,} episodes, {reported - start:.0f} s", flush=True)
    seconds = time.monotonic() - start
    print(
        f"pool and model agree: {driver.steps:,} steps in {done:,} episodes, {seconds:.1f} s, "
        f"{driver.steps / max(seconds, 1e-9):,.0f} steps/s, seed {seed}",
        flush=True,
    )
    return 0


if __name__ == "__main__":
    faulthandler.enable()
    gc.freeze()
    sys.exit(main())
