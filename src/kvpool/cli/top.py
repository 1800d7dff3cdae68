"""``kvpool top``: a pool, live."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kvpool.cli.command_error import CommandError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from kvpool.diagnosis import PoolSample

__all__ = ["add_parser", "run"]

_MAX_INTERVAL = 86400.0


def seconds(text: str) -> float:
    """Return a number of seconds above 0, a day at most."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= _MAX_INTERVAL:
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds in (0, {_MAX_INTERVAL:g}]")
    return value


def add_parser(commands: Any) -> None:
    """Add the sub-command to the parser."""
    from kvpool.cli.replay import count

    parser = commands.add_parser(
        "top",
        help="show a running pool: occupancy, hit ratio, evictions, latencies",
        description="Show a running pool, live: blocks by state, hit ratio, evictions by reason, calls that wait, "
        "latencies. Rates are those since the look before. Ends with Ctrl-C.",
    )
    parser.add_argument(
        "url",
        nargs="?",
        metavar="URL",
        help="of kvpool.diagnosis.serve(pool), or of metrics for Prometheus if it ends in /metrics",
    )
    parser.add_argument("--demo", action="store_true", help="show a small pool with generated traffic instead")
    parser.add_argument("--pool", metavar="NAME", help="which pool, where there are several")
    parser.add_argument(
        "--interval", type=seconds, default=1.0, metavar="S", help="seconds from look to look (default: 1)"
    )
    times = parser.add_mutually_exclusive_group()
    times.add_argument("--once", action="store_true", help="print one view and end: the same as --count 1")
    times.add_argument("--count", type=count, metavar="N", help="end after N views")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Show views as the options say; raise CommandError if there is nothing to show."""
    try:
        from rich.console import Console
    except ImportError:
        raise CommandError("top needs rich: pip install 'kvpool[cli]'") from None
    if options.demo == (options.url is not None):
        raise CommandError("top needs either a URL or --demo")
    console = Console()
    count = 1 if options.once else options.count
    try:
        with _open(options) as look:
            if console.is_terminal and count != 1:
                _watch(console, look, options.interval, count)
            else:
                _print(console, look, options.interval, count)
    except KeyboardInterrupt:
        pass  # that is how it ends


@contextmanager
def _open(options: argparse.Namespace) -> Iterator[Callable[[], PoolSample]]:
    """Yield what returns the numbers of the pool each time it is called."""
    from kvpool.diagnosis import PoolClient, PoolSample

    if options.demo:
        from kvpool.cli.demo import Demo

        with Demo() as demo:
            yield lambda: PoolSample.of(demo.pool, "demo")
    elif options.url.split("?")[0].endswith("/metrics"):
        yield lambda: _scrape(options.url, options.pool)
    else:
        client = _asked(lambda: PoolClient(options.url))
        name = pick(_asked(client.names), options.pool)
        yield lambda: _asked(lambda: client.sample(name))


def pick(names: list[str], wanted: str | None) -> str:
    """Return the pool that is wanted, or the only one."""
    if wanted is None and len(names) == 1:
        return names[0]
    if wanted in names:
        return str(wanted)
    there = f"there are {', '.join(names)}" if names else "there is none"
    raise CommandError(f"there is no pool {wanted}: {there}" if wanted else f"--pool NAME is needed: {there}")


def _asked(ask: Callable[[], Any]) -> Any:
    """Return the answer, or raise CommandError."""
    from kvpool.diagnosis import DumpError

    try:
        return ask()
    except (DumpError, ValueError, ConnectionError) as error:
        raise CommandError(str(error)) from None


def _scrape(url: str, wanted: str | None) -> PoolSample:
    from kvpool.diagnosis import DumpError, read_exposition
    from kvpool.diagnosis.pool_client import fetch

    text = _asked(lambda: fetch(url, timeout=10.0)).decode("utf-8", "replace")
    try:
        pools = read_exposition(text, time.time())
    except DumpError as error:
        raise CommandError(f"{url}: {error}") from None
    except ImportError:
        raise CommandError("metrics need prometheus_client: pip install 'kvpool[metrics]'") from None
    return pools[pick(list(pools), wanted)]


def _views(
    console: Console, look: Callable[[], PoolSample], interval: float, count: int | None, is_patient: bool
) -> Iterator[RenderableType]:
    """Look again and again, on the beat; where somebody watches, a look that fails is told, and tried again."""
    from kvpool.cli.top_view import TopView

    earlier, sample, trouble = None, look(), ""
    begin, number = time.monotonic(), 0
    while True:
        is_ascii = "utf" not in (console.encoding or "").lower()
        view = TopView(console.width, is_ascii, f"every {interval:g} s" if count != 1 else "")
        yield view.render(sample, earlier, trouble)
        number += 1
        if number == count:
            return
        # Whatever a look took, the next is a whole number of intervals after the first.
        passed = time.monotonic() - begin
        time.sleep(interval - passed % interval)
        try:
            sample, earlier, trouble = look(), sample, ""
        except CommandError as error:
            if not is_patient:
                raise
            trouble = str(error)


def _print(console: Console, look: Callable[[], PoolSample], interval: float, count: int | None) -> None:
    """Print one view after the other."""
    for view in _views(console, look, interval, count, is_patient=False):
        console.print(view)
        console.file.flush()


def _watch(console: Console, look: Callable[[], PoolSample], interval: float, count: int | None) -> None:
    """Show one view in the place of the other, and leave the last one behind."""
    from rich.live import Live

    last: RenderableType | None = None
    try:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            for last in _views(console, look, interval, count, is_patient=True):
                live.update(last, refresh=True)
    finally:
        if last is not None:
            console.print(last)
