"""Mooncake's trace format: JSON Lines, times in milliseconds, blocks of 512 tokens unless a line says otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kvpool.replay.record import MAX_BLOCK_SIZE, MAX_SECONDS, make_request, number, whole
from kvpool.replay.trace import Request

__all__ = ["DEFAULT_BLOCK_SIZE", "parse_mooncake"]

DEFAULT_BLOCK_SIZE = 512


def parse_mooncake(record: Mapping[str, Any]) -> tuple[Request, int]:
    """Return the request and its block size.

    Parameters
    ----------
    record : mapping
        ``timestamp`` (ms), ``input_length``, ``output_length`` (tokens), ``hash_ids``, optionally ``block_size``.

    Raises
    ------
    BadRecord
    """
    block_size = whole(record, "block_size", 1, MAX_BLOCK_SIZE) if "block_size" in record else DEFAULT_BLOCK_SIZE
    milliseconds = number(record, "timestamp", MAX_SECONDS * 1000)
    return make_request(record, milliseconds / 1e3, block_size), block_size
