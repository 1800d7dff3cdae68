"""``kvpool doctor``: what is wrong with a pool, and who holds its blocks."""

from __future__ import annotations

import argparse
import json
import math
import sys
import textwrap
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kvpool.cli.command_error import CommandError
from kvpool.cli.tables import counted, large, printable

if TYPE_CHECKING:
    from kvpool.diagnosis import Finding, PoolDump

__all__ = ["add_parser", "run"]

_MAX_HOLDERS = 10
_MAX_FINDINGS = 20  # of one severity; --json has all
_WIDTH = 79

_EPILOG = """\
Exit code: 0 if all is well; 1 for an error, or blocks held for longer than
--max-age; 2 if TARGET cannot be examined.

--json prints one object: "healthy", and "pools", for each of them its "name",
"time" and "process" of the dump, "num_blocks", "block_size", "eviction",
"duplicates", "status" (the counts), "holders" (owner, kind, holds, blocks, age
of the oldest in seconds), and "findings" (severity, kind, what, numbers)."""


def age(text: str) -> float:
    """Return a number of seconds that is not negative; ``inf`` for any age."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not value >= 0:
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds of at least 0")
    return value


def add_parser(commands: Any) -> None:
    """Add the sub-command to the parser."""
    parser = commands.add_parser(
        "doctor",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        help="examine a running or dumped pool: invariants, leaks, holders",
        description="Examine a pool: whether its counts and links agree, who holds blocks, and since when.",
        epilog=_EPILOG,
    )
    parser.add_argument(
        "target", metavar="TARGET", help="a dump (PoolDump.of(pool).save(FILE)), or the URL of a pool server"
    )
    parser.add_argument("--pool", metavar="NAME", help="examine only this pool of the server (default: all)")
    parser.add_argument(
        "--max-age",
        type=age,
        default=300.0,
        metavar="S",
        help="seconds after which a hold may be a leak; inf for never (default: 300)",
    )
    parser.add_argument("--save", metavar="FILE", help="keep the dump that the server gave")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Examine what the options name, and print; raise CommandError if that cannot be done.

    Returns
    -------
    int
        1 if a pool is not healthy, else 0.
    """
    from kvpool.diagnosis import examine

    dumps = _get_dumps(options)
    examined = [(name, dump, examine(dump, max_age=options.max_age)) for name, dump in dumps]
    is_healthy = not any(finding.is_grave for _, _, findings in examined for finding in findings)
    if options.json:
        pools = [_report(name, dump, findings) for name, dump, findings in examined]
        print(json.dumps({"healthy": is_healthy, "pools": pools}, indent=2, allow_nan=False))
    else:
        for number, (name, dump, findings) in enumerate(examined):
            if number:
                _line()
            _show(name, dump, findings)
    return 0 if is_healthy else 1


def _get_dumps(options: argparse.Namespace) -> list[tuple[str, PoolDump]]:
    """Return the pools to examine, with their names."""
    from kvpool.diagnosis import DumpError

    try:
        if options.target.startswith(("http://", "https://")):
            return _ask(options)
        if options.pool is not None or options.save is not None:
            raise CommandError("--pool and --save are for the URL of a pool server")
        return [_load(options.target)]
    except (DumpError, ValueError, ConnectionError) as error:
        raise CommandError(f"{options.target}: {error}" if isinstance(error, DumpError) else str(error)) from None


def _load(path: str) -> tuple[str, PoolDump]:
    from kvpool.diagnosis import PoolDump

    try:
        dump = PoolDump.load(path)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror or error}") from None
    return dump.name, dump


def _ask(options: argparse.Namespace) -> list[tuple[str, PoolDump]]:
    from kvpool.cli.top import pick
    from kvpool.diagnosis import PoolClient

    client = PoolClient(options.target)
    names = client.names()
    if options.pool is not None or not names:
        names = [pick(names, options.pool)]
    if options.save is not None and len(names) > 1:
        raise CommandError(f"--save keeps one dump: choose by --pool, there are {', '.join(names)}")
    dumps = [(name, client.dump(name)) for name in names]
    if options.save is not None:
        try:
            dumps[0][1].save(options.save)
        except OSError as error:
            raise CommandError(f"{options.save}: {error.strerror or error}") from None
    return dumps


def _report(name: str, dump: PoolDump, findings: Sequence[Finding]) -> dict[str, object]:
    """Return what ``--json`` prints of a pool."""
    from kvpool.diagnosis.check_holds import sum_holds

    return {
        "name": name,
        "time": dump.time,
        "process": dump.process,
        "num_blocks": dump.num_blocks,
        "block_size": dump.block_size,
        "eviction": dump.eviction,
        "duplicates": dump.duplicates,
        "status": dump.table.status._asdict(),
        "holders": [
            {"owner": hold.owner, "kind": hold.kind, "holds": count, "blocks": hold.blocks, "age": hold.age}
            for hold, count in sum_holds(dump.holds)
        ],
        "findings": [finding.as_dict() for finding in findings],
    }


def _show(name: str, dump: PoolDump, findings: Sequence[Finding]) -> None:
    """Print what a person wants to know of a pool."""
    from kvpool.diagnosis.check_holds import sum_holds

    status = dump.table.status
    made = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(dump.time))
    _line(f"{name or 'unnamed pool'}, process {dump.process}, {made}")
    _line(
        f"  {counted(dump.num_blocks, 'block')} of {counted(dump.block_size, 'token')}, "
        f"eviction {dump.eviction}, duplicates {dump.duplicates}"
    )
    _line()
    states = [(state, getattr(status, state)) for state in ("mutable", "immutable", "cached", "empty")]
    _table(
        ["state", "blocks", "share"],
        [[state, large(number), f"{number / dump.num_blocks:.1%}"] for state, number in states],
        1,
    )
    _line()
    asked, found = status.match_hashes_requested, status.match_blocks_returned
    _table(
        ["since it was made", ""],
        [
            ["hit ratio", f"{found / asked:.2%}" if asked else "-"],
            ["blocks allocated", large(status.allocations)],
            ["blocks evicted", large(status.evictions + status.evictions_ahead)],
            ["failed allocations", large(dump.allocation_failures)],
            ["calls waiting now", large(status.waiting)],
            ["blocks pinned now", large(status.pinned)],
        ],
        1,
    )
    _line()
    holders = sum_holds(dump.holds)
    rows = [
        [hold.owner or "unnamed", hold.kind, large(count), large(hold.blocks), f"{hold.age:,.1f} s"]
        for hold, count in holders
    ]
    if rows:
        _table(["holder", "kind", "holds", "blocks", "oldest"], rows[:_MAX_HOLDERS], 2)
    else:
        _line("Nobody holds a block.")
    if len(rows) > _MAX_HOLDERS:
        _line(f"and {counted(len(rows) - _MAX_HOLDERS, 'more holder')}")
    _line()
    _show_findings(findings)


def _show_findings(findings: Sequence[Finding]) -> None:
    if not findings:
        _line("All is well: counts and links agree, nothing is held for long.")
    for severity in dict.fromkeys(finding.severity for finding in findings):
        found = [finding.what for finding in findings if finding.severity == severity]
        for what in found[:_MAX_FINDINGS]:
            for line in textwrap.wrap(_printable(f"{severity}: {what}"), _WIDTH, subsequent_indent="  "):
                _line(line)
        if len(found) > _MAX_FINDINGS:
            _line(f"{severity}: and {len(found) - _MAX_FINDINGS} more (--json has them all)")


def _line(text: str = "") -> None:
    print(_printable(text))


def _printable(text: str) -> str:
    return printable(text, getattr(sys.stdout, "encoding", None) or "utf-8")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], num_left: int) -> None:
    """Print a table, the first columns aligned left and the others right.

    A first column that is too wide for the line is wrapped: owners are long at times, and no character is hidden.
    """
    rows = [[_printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    widths[0] = min(widths[0], max(_WIDTH - sum(widths[1:]) - 2 * (len(widths) - 1), len(head[0])))
    for row in [head, ["-" * width for width in widths], *rows]:
        pieces = [row[0][at : at + widths[0]] for at in range(0, len(row[0]), widths[0])] or [""]
        cells = [pieces[0].ljust(widths[0])]
        for column in range(1, len(head)):
            is_left = column < num_left
            cells.append(row[column].ljust(widths[column]) if is_left else row[column].rjust(widths[column]))
        _line("  ".join(cells).rstrip())
        for piece in pieces[1:]:
            _line(piece)
