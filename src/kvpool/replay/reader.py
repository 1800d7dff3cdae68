"""Reads a trace file of either format."""

from __future__ import annotations

import gzip
import json
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from kvpool.replay.mooncake import parse_mooncake
from kvpool.replay.qwen_bailian import is_qwen_bailian, parse_qwen_bailian
from kvpool.replay.record import BadRecord
from kvpool.replay.trace import Request, Trace

__all__ = ["MAX_LINE_BYTES", "TraceError", "read_trace"]

MAX_LINE_BYTES = 64 << 20
"""A longer line is refused before it is read whole."""
_PROGRESS_STEP = 256  # requests


class TraceError(Exception):
    """A trace cannot be read; says the file, the line and the reason."""


@contextmanager
def _open(path: str, name: str) -> Iterator[IO[bytes]]:
    """Open a file, a gzip file by its ending, or standard input for ``-``."""
    if path == "-" and sys.stdin is None:
        raise TraceError(f"{name}: it is closed")
    try:
        if path == "-":
            yield sys.stdin.buffer
            return
        with Path(path).open("rb") as file:
            yield cast("IO[bytes]", gzip.GzipFile(fileobj=file)) if path.endswith(".gz") else file
    except (OSError, EOFError, zlib.error) as error:
        raise TraceError(f"{name}: {getattr(error, 'strerror', None) or error}") from None


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """Yield each line, of one that is too long only the beginning: more than MAX_LINE_BYTES, without its end."""
    while line := file.readline(MAX_LINE_BYTES + 1):
        yield line
        while _is_too_long(line):
            line = file.readline(MAX_LINE_BYTES + 1)


def _is_too_long(line: bytes) -> bool:
    return len(line) > MAX_LINE_BYTES and not line.endswith(b"\n")


def _parse(line: bytes) -> tuple[Request, int]:
    """Return the request of a line, and its block size; raise BadRecord."""
    try:
        record = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise BadRecord("not UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise BadRecord(f"not JSON: {error.msg}, column {error.pos + 1}") from None
    except RecursionError:
        raise BadRecord("not JSON that can be read: nested too deeply") from None
    except ValueError:
        raise BadRecord("not JSON that can be read: a number has too many digits") from None
    if not isinstance(record, dict):
        raise BadRecord(f"not a JSON object but {type(record).__name__}")
    return parse_qwen_bailian(record) if is_qwen_bailian(record) else parse_mooncake(record)


def read_trace(
    path: str | Path, *, skip_bad_lines: bool = False, progress: Callable[[int], None] | None = None
) -> Trace:
    """Read a trace in Mooncake's or Qwen-Bailian's form.

    Parameters
    ----------
    path : str or Path
        JSON Lines, gzip if it ends in ``.gz``; ``-`` for standard input. Empty lines are passed over.
    skip_bad_lines : bool, default False
        Count malformed lines instead of stopping at the first.
    progress : callable, optional
        Called now and then with the number of requests read since the last call.

    Returns
    -------
    Trace

    Raises
    ------
    TraceError
        The file cannot be read, has no request, or a line is malformed: file, line number and reason.
    """
    name = "<stdin>" if str(path) == "-" else str(path)
    requests: list[Request] = []
    block_size = 0
    bad_lines = 0
    with _open(str(path), name) as file:
        for number, line in enumerate(_lines(file), 1):
            try:
                if _is_too_long(line):
                    raise BadRecord(f"the line is longer than {MAX_LINE_BYTES} bytes")
                if not line.strip():
                    continue
                request, size = _parse(line)
                if requests and size != block_size:
                    raise BadRecord(f"block size {size}, but the lines before have {block_size}")
                if requests and request.arrival < requests[-1].arrival:
                    raise BadRecord(
                        f"arrives at {request.arrival} s, before the request before, at {requests[-1].arrival} s"
                    )
            except BadRecord as error:
                if not skip_bad_lines:
                    raise TraceError(f"{name}:{number}: {error}") from None
                bad_lines += 1
                continue
            block_size = size
            requests.append(request)
            if progress is not None and len(requests) % _PROGRESS_STEP == 0:
                progress(_PROGRESS_STEP)
    if not requests:
        reason = f", {bad_lines} bad line{'s' if bad_lines > 1 else ''}" if bad_lines else ""
        raise TraceError(f"{name}: no requests{reason}")
    return Trace(name, block_size, requests, bad_lines)
