"""``python -m kvpool.testing.soak``: send requests to pools of all kinds, and see whether anything is left of them."""

from __future__ import annotations

import argparse
import faulthandler
import gc
import sys
import time
from collections.abc import Sequence

from kvpool.testing.soak.soak import Soak

# Lists and tables may reach new heights after millions of requests; a byte lost by each of them would be 9 MiB.
MAX_GROWTH = {"resident": 1 << 20, "allocated": 1 << 19, "blocks": 1000, "objects": 300}


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(prog="python -m kvpool.testing.soak", description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000, help="stop after so many (default: %(default)s)")
    parser.add_argument("--hours", type=float, default=None, metavar="H", help="or after this time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-faults", action="store_true", help="nothing raises, fails or is interrupted")
    parser.add_argument("--no-forks", action="store_true")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; 1 if something was left."""
    options = parse_arguments(arguments)
    seconds = float("inf") if options.hours is None else 3600 * options.hours
    soak = Soak(options.seed, faults=not options.no_faults, forks=not options.no_forks)
    print(f"seed {options.seed}", flush=True)
    start = time.monotonic()
    try:
        soak.run(options.requests, seconds, time.monotonic, lambda line: print(line, flush=True))
    except BaseException:
        print(f"failed: seed {options.seed}, round {soak.rounds}, {soak.requests:,} requests", flush=True)
        raise
    finally:
        soak.close()
    minutes = (time.monotonic() - start) / 60
    print(
        f"{soak.requests:,} requests in {soak.rounds:,} rounds, {minutes:.1f} minutes; no block was left in any round"
    )
    print(", ".join(f"{count:,} {name}" for name, count in sorted(soak.counts.items())))
    if not soak.footprints:
        print("too few rounds to tell of memory")
        return 0
    growth = soak.growth()
    for when, footprint in zip(("after warming up", "in the end", "growth"), (*soak.footprints, growth), strict=True):
        print(f"{when}: {footprint}")
    leaks = [name for name, most in MAX_GROWTH.items() if getattr(growth, name) > most]
    print(f"leaked: {', '.join(leaks)}" if leaks else "nothing leaked")
    return 1 if leaks else 0


if __name__ == "__main__":
    faulthandler.enable()
    gc.freeze()
    sys.exit(main())
