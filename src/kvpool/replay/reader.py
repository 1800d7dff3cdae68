"""Reads a trace file of either format."""

from __future__ import annotations

import gzip
import json
import sys
import zlib
from collections.abc import Iterator
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


class TraceError(Exception):
    """A trace cannot be read; says the file, the line and the reason."""


@contextmanager
def _open(path: str) -> Iterator[IO[bytes]]:
    """Open a file, a gzip file by its ending, or standard input for ``-``."""
    if path == "-":
        yield sys.stdin.buffer
        return
    try:
        with Path(path).open("rb") as file:
            yield cast("IO[bytes]", gzip.GzipFile(fileobj=file)) if path.endswith(".gz") else file
    except (OSError, EOFError, zlib.error) as error:
        raise TraceError(f"{path}: {getattr(error, 'strerror', None) or error}") from None


def _parse(line: bytes) -> tuple[Request, int]:
    if len(line) > MAX_LINE_BYTES:
        raise BadRecord(f"the line is longer than {MAX_LINE_BYTES} bytes")
    try:
        record = json.loads(line)
    except UnicodeDecodeError:
        raise BadRecord("not UTF-8 text") from None
    except (ValueError, RecursionError) as error:
        raise BadRecord(f"not JSON: {error}") from None
    if not isinstance(record, dict):
        raise BadRecord(f"not a JSON object but {type(record).__name__}")
    return parse_qwen_bailian(record) if is_qwen_bailian(record) else parse_mooncake(record)


def read_trace(path: str | Path, *, skip_bad_lines: bool = False) -> Trace:
    """Read a trace in Mooncake's or Qwen-Bailian's form.

    Parameters
    ----------
    path : str or Path
        JSON Lines, gzip if it ends in ``.gz``; ``-`` for standard input. Empty lines are passed over.
    skip_bad_lines : bool, default False
        Count malformed lines instead of stopping at the first.

    Returns
    -------
    Trace

    Raises
    ------
    TraceError
        The file cannot be read, has no request, or a line is malformed: file, line number and reason.
    """
    name = str(path)
    requests: list[Request] = []
    block_size = 0
    bad_lines = 0
    with _open(name) as file:
        number = 0
        while line := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            if not line.strip():
                continue
            try:
                request, size = _parse(line)
                if requests and size != block_size:
                    raise BadRecord(f"block size {size}, but the lines before have {block_size}")
                if requests and request.arrival < requests[-1].arrival:
                    raise BadRecord(
                        f"arrives at {request.arrival} s, before the line before, at {requests[-1].arrival} s"
                    )
            except BadRecord as error:
                if not skip_bad_lines:
                    raise TraceError(f"{name}:{number}: {error}") from None
                bad_lines += 1
                while len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):  # the rest of a line that is too long
                    line = file.readline(MAX_LINE_BYTES + 1)
                continue
            block_size = size
            requests.append(request)
    if not requests:
        raise TraceError(f"{name}: no requests" + (f", {bad_lines} bad lines" if bad_lines else ""))
    return Trace(name, block_size, requests, bad_lines)
