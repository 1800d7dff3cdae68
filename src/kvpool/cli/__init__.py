"""The command line: ``python -m kvpool`` or ``kvpool``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from kvpool.cli.command_error import CommandError

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
        0; 1 if the output cannot be written, or the doctor found what is wrong; 2 for arguments, a trace, a dump or a
        server that cannot be used; 130 after an interrupt.
    """
    try:
        from kvpool.cli import doctor, replay, top

        parser = argparse.ArgumentParser(prog="kvpool", description="The block pool of an LLM server's KV cache.")
        commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
        for command in (replay, top, doctor):
            command.add_parser(commands)
        options = parser.parse_args(argv)
        code: int | None = options.run(options)
        if sys.stdout is not None:
            sys.stdout.flush()
    except CommandError as error:
        from kvpool.cli.tables import printable

        _complain(printable(str(error)))
        return 2
    except KeyboardInterrupt:
        _complain("interrupted")
        return 130
    except BrokenPipeError:
        # Who read our output has left: nothing more to say.
        _drop_output()
        return 1
    except OSError as error:
        # What reads a trace has said so itself, as a CommandError: this is the output.
        _complain(f"cannot write the output: {error.strerror or error}")
        _drop_output()
        return 1
    return code or 0


def _complain(text: str) -> None:
    if sys.stderr is not None:  # print() would take standard output instead
        print(f"kvpool: {text}", file=sys.stderr)


def _drop_output() -> None:
    """Let what is still in the buffer of standard output go nowhere, or it would fail again at exit."""
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
