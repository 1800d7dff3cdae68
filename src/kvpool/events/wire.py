"""Batches of events as bytes that routers read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from kvpool.types.event_batch import EventBatch
from kvpool.types.pool_event import PoolEventKind

__all__ = ["EventEncoder"]

# Tokens encoded at a time, about a millisecond: other threads wait for the GIL meanwhile, and a snapshot has millions.
_TOKENS_AT_A_TIME = 65_536
_STORED, _REMOVED = int(PoolEventKind.STORED), int(PoolEventKind.REMOVED)
_ARRAY_OF_THREE = b"\x93"
# With this before it, Dynamo takes a string among the extra keys for a tenant's cache salt, not for an adapter's name.
_SALT_PREFIX = "dynamo-cache-salt:"


class EventEncoder:
    """Encodes batches of events in MessagePack, as vLLM publishes them.

    A batch is ``[timestamp, [event, ...], data_parallel_rank]``. Consecutive blocks of which each continues the one
    before it are one ``BlockStored``; a block that left is a ``BlockRemoved``. A snapshot begins with
    ``AllBlocksCleared``.

    Parameters
    ----------
    encoding : {"map", "array"}
        Whether an event is a map with its ``type``, or an array that begins with it.
    hash_format : {"int", "bytes"}
        Whether a hash is an unsigned integer, or its 8 bytes in big-endian order.
    medium : str
        Where the blocks are.
    lora_names : mapping of str to str
        The LoRA adapters whose blocks are in namespaces, by the name of the namespace. Blocks of other namespaces but
        "" carry the name as a tenant's cache salt, in their ``extra_keys``.
    data_parallel_rank : int, optional

    Attributes
    ----------
    unknown_tokens : int
        Blocks encoded without their tokens, because the pool does not know them.
    """

    def __init__(
        self,
        *,
        encoding: str,
        hash_format: str,
        medium: str,
        lora_names: Mapping[str, str],
        data_parallel_rank: int | None,
    ) -> None:
        self._encode = msgspec.msgpack.Encoder().encode
        self._is_map = encoding == "map"
        self._has_bytes = hash_format == "bytes"
        self._medium = medium
        self._lora_names = dict(lora_names)
        self._rank = self._encode(data_parallel_rank)
        self._cleared: Any = {"type": "AllBlocksCleared"} if self._is_map else ["AllBlocksCleared"]
        self.unknown_tokens = 0

    def encode(self, batch: EventBatch) -> bytes:
        """Return the payload of a message.

        Parameters
        ----------
        batch : EventBatch

        Returns
        -------
        bytes
        """
        parts = [self._encode([self._cleared])] if batch.is_snapshot else []
        count = len(parts)
        step = max(1, _TOKENS_AT_A_TIME // batch.block_size)
        for begin in range(0, len(batch), step):
            events = self._events_of(batch, slice(begin, begin + step))
            parts.append(self._encode(events))
            count += len(events)
        # One array in place of several: each part gives up its own head.
        body = parts if len(parts) == 1 else [_array_head(count), *(part[_head_length(part) :] for part in parts)]
        return b"".join((_ARRAY_OF_THREE, self._encode(batch.timestamp), *body, self._rank))

    def _events_of(self, batch: EventBatch, part: slice) -> list[Any]:
        """Return the wire events of a part of a batch, of lists and numbers."""
        kinds, hashes, parents = batch.kinds[part], batch.hashes[part], batch.parents[part]
        has_parent, spaces, has_tokens = batch.has_parent[part], batch.namespaces[part], batch.has_tokens[part]
        is_stored = kinds == _STORED
        self.unknown_tokens += int(np.count_nonzero(is_stored & ~has_tokens))

        continues = is_stored[1:] & is_stored[:-1] & has_parent[1:] & (parents[1:] == hashes[:-1])
        continues &= (spaces[1:] == spaces[:-1]) & (has_tokens[1:] == has_tokens[:-1])
        starts = [0, *(np.flatnonzero(~continues) + 1).tolist()]

        kind_list, parented, tokened = kinds.tolist(), has_parent.tolist(), has_tokens.tolist()
        space_list, names, parent_names = spaces.tolist(), self._names_of(hashes), self._names_of(parents)
        tokens: list[int] = [] if batch.tokens is None else batch.tokens[part].ravel().tolist()
        width, medium, is_map = batch.block_size, self._medium, self._is_map
        events: list[Any] = []
        for start, stop in zip(starts, [*starts[1:], len(kind_list)], strict=True):
            kind = kind_list[start]
            if kind == _STORED:
                lora_name, extra_keys = self._owner_of(batch.namespace_names[space_list[start]], stop - start)
                fields = {
                    "type": "BlockStored",
                    "block_hashes": names[start:stop],
                    "parent_block_hash": parent_names[start] if parented[start] else None,
                    "token_ids": tokens[start * width : stop * width] if tokened[start] else [],
                    "block_size": width,
                    "lora_id": None,
                    "medium": medium,
                    "lora_name": lora_name,
                }
                if extra_keys is not None:
                    fields["extra_keys"] = extra_keys
                events.append(fields if is_map else list(fields.values()))
            elif kind == _REMOVED:
                fields = {"type": "BlockRemoved", "block_hashes": [names[start]], "medium": medium}
                events.append(fields if is_map else list(fields.values()))
            else:
                events.append(self._cleared)
        return events

    def _names_of(self, hashes: NDArray[np.uint64]) -> list[Any]:
        """Return the hashes as they are on the wire."""
        if self._has_bytes:
            raw = hashes.astype(">u8").tobytes()
            return [raw[i : i + 8] for i in range(0, len(raw), 8)]
        numbers: list[Any] = hashes.tolist()
        return numbers

    def _owner_of(self, namespace: str, blocks: int) -> tuple[str | None, list[list[str] | None] | None]:
        """Return the adapter's name and the extra keys of consecutive blocks of a namespace."""
        if not namespace:
            return None, None
        lora_name = self._lora_names.get(namespace)
        if lora_name is not None:
            return lora_name, None
        # As in vLLM the salt is said once; here with the first block of each event, since that is where Dynamo looks.
        return None, [[_SALT_PREFIX + namespace], *[None] * (blocks - 1)]


def _array_head(count: int) -> bytes:
    """Return what a MessagePack array of so many elements begins with."""
    if count < 16:
        return bytes((0x90 | count,))
    if count < 65_536:
        return b"\xdc" + count.to_bytes(2, "big")
    return b"\xdd" + count.to_bytes(4, "big")


def _head_length(array: bytes) -> int:
    """Return how many bytes the head of a MessagePack array takes."""
    return {0xDC: 3, 0xDD: 5}.get(array[0], 1)
