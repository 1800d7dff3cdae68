"""The command line: ``python -m kvpool`` or ``kvpool``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a sub-command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; those of the process by default.

    Returns
    -------
    int
        0; 2 for arguments or a trace that cannot be used; 130 after an interrupt.
    """
    from kvpool.cli import replay

    parser = argparse.ArgumentParser(prog="kvpool", description="The block pool of an LLM server's KV cache.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    replay.add_parser(commands)
    options = parser.parse_args(argv)
    try:
        code = int(options.run(options))
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        print("kvpool: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Who read our output has left: nothing more to say, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
