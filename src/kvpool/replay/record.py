"""Fields of one line of a trace, checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from kvpool.replay.trace import Request

__all__ = ["MAX_TOKENS", "BadRecord", "make_request", "number", "whole"]

MAX_TOKENS = 2**31 - 1
"""Tokens of a prompt or an answer, at most."""


class BadRecord(ValueError):
    """A line is not a request; says why."""


def number(record: Mapping[str, Any], key: str) -> float:
    """Return a finite number >= 0, or raise BadRecord."""
    value = record.get(key)
    if value is None:
        raise BadRecord(f"{key} is missing")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadRecord(f"{key} = {value!r} is not a number")
    try:
        result = float(value)
    except OverflowError:
        result = math.inf
    if not math.isfinite(result) or result < 0:
        raise BadRecord(f"{key} = {value} is not a finite number of at least 0")
    return result


def whole(record: Mapping[str, Any], key: str, low: int = 0, high: int = MAX_TOKENS) -> int:
    """Return an int in [low, high], or raise BadRecord."""
    value = record.get(key)
    if value is None:
        raise BadRecord(f"{key} is missing")
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadRecord(f"{key} = {value!r} is not an int")
    if not low <= value <= high:
        raise BadRecord(f"{key} = {value} is not in [{low}, {high}]")
    return value


def make_request(record: Mapping[str, Any], arrival: float, block_size: int) -> Request:
    """Return the request of a record whose arrival (seconds) and block size (tokens) are known."""
    input_tokens = whole(record, "input_length")
    output_tokens = whole(record, "output_length")
    hash_ids = record.get("hash_ids")
    if not isinstance(hash_ids, list):
        raise BadRecord("hash_ids is missing" if hash_ids is None else "hash_ids is not a list")
    full = input_tokens // block_size
    if len(hash_ids) < full:
        raise BadRecord(
            f"hash_ids has {len(hash_ids)} ids, but {input_tokens} tokens fill {full} blocks of {block_size}"
        )
    if len(hash_ids) > full + 1:
        raise BadRecord(f"hash_ids has {len(hash_ids)} ids, but {input_tokens} tokens need {full + 1} blocks at most")
    for position, hash_id in enumerate(hash_ids):
        if isinstance(hash_id, bool) or not isinstance(hash_id, int):
            raise BadRecord(f"hash_ids[{position}] = {hash_id!r} is not an int")
        if not 0 <= hash_id < 2**64:
            raise BadRecord(f"hash_ids[{position}] = {hash_id} is not in [0, 2**64)")
    return Request(arrival, input_tokens, output_tokens, np.array(hash_ids[:full], dtype=np.uint64))
