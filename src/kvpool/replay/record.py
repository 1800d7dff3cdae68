"""Fields of one line of a trace, checked."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from kvpool.replay.trace import Request

__all__ = ["MAX_BLOCK_SIZE", "MAX_SECONDS", "MAX_TOKENS", "BadRecord", "make_request", "number", "whole"]

MAX_TOKENS = 2**31 - 1
"""Tokens of a prompt or an answer, at most."""
MAX_BLOCK_SIZE = 2**20
"""Tokens of a block, at most."""
MAX_SECONDS = 9_000_000_000
"""The latest arrival: a pool's clock goes no further."""


class BadRecord(ValueError):
    """A line is not a request; says why, in a few words even if the line is long."""


def number(record: Mapping[str, Any], key: str, high: int) -> float:
    """Return a number in [0, high], or raise BadRecord."""
    value = record.get(key)
    if value is None:
        raise BadRecord(f"{key} is missing")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadRecord(f"{key} = {reprlib.repr(value)} is not a number")
    if isinstance(value, float) and not math.isfinite(value):
        raise BadRecord(f"{key} = {value} is not a finite number")
    if not 0 <= value <= high:
        raise BadRecord(f"{key} = {reprlib.repr(value)} is not in [0, {high}]")
    return float(value)


def whole(record: Mapping[str, Any], key: str, low: int = 0, high: int = MAX_TOKENS) -> int:
    """Return an int in [low, high], or raise BadRecord."""
    value = record.get(key)
    if value is None:
        raise BadRecord(f"{key} is missing")
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadRecord(f"{key} = {reprlib.repr(value)} is not an int")
    if not low <= value <= high:
        raise BadRecord(f"{key} = {reprlib.repr(value)} is not in [{low}, {high}]")
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
            raise BadRecord(f"hash_ids[{position}] = {reprlib.repr(hash_id)} is not an int")
        if not 0 <= hash_id < 2**64:
            raise BadRecord(f"hash_ids[{position}] = {reprlib.repr(hash_id)} is not in [0, 2**64)")
    return Request(arrival, input_tokens, output_tokens, np.array(hash_ids[:full], dtype=np.uint64))
