"""Qwen-Bailian's trace format: one JSON object a line, times in seconds, blocks of 16 tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kvpool.replay.record import MAX_SECONDS, make_request, number
from kvpool.replay.trace import Request

__all__ = ["BLOCK_SIZE", "is_qwen_bailian", "parse_qwen_bailian"]

BLOCK_SIZE = 16


def is_qwen_bailian(record: Mapping[str, Any]) -> bool:
    """Whether a record is of this format: it names its chat."""
    return "chat_id" in record


def parse_qwen_bailian(record: Mapping[str, Any]) -> tuple[Request, int]:
    """Return the request and its block size.

    Parameters
    ----------
    record : mapping
        ``chat_id``, ``parent_chat_id``, ``timestamp`` (s), ``input_length``, ``output_length`` (tokens), ``type``,
        ``turn``, ``hash_ids``.

    Raises
    ------
    BadRecord
    """
    return make_request(record, number(record, "timestamp", MAX_SECONDS), BLOCK_SIZE), BLOCK_SIZE
