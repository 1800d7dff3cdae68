"""Arrays in JSON: base64 of zlib of little-endian numbers, with their sizes."""

from __future__ import annotations

import base64
import binascii
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kvpool.diagnosis.dump_error import DumpError
from kvpool.diagnosis.json_fields import JsonFields

__all__ = ["pack_column", "unpack_column"]

# Hashes do not get smaller, the other columns do at any level: the quickest one.
_LEVEL = 1


def pack_column(values: NDArray[Any], kind: str) -> dict[str, object]:
    """Return an array as a JSON object.

    Parameters
    ----------
    values : array
    kind : str
        NumPy's name of the little-endian type, for example ``"<u8"``.
    """
    raw = np.ascontiguousarray(values, dtype=kind).tobytes()
    packed = zlib.compress(raw, _LEVEL)
    return {"type": kind, "bytes": len(raw), "packed": len(packed), "data": base64.b64encode(packed).decode("ascii")}


def unpack_column(fields: JsonFields, kind: str, length: int, name: str) -> NDArray[Any]:
    """Return the array of a JSON object.

    Every size is checked before anything is unpacked, and no more is unpacked than was announced.

    Parameters
    ----------
    fields : JsonFields
        What :func:`pack_column` returned.
    kind : str
        The type that it must have.
    length : int
        The numbers that it must have.
    name : str
        What errors call it.

    Raises
    ------
    DumpError
        It is something else.
    """
    if fields.text("type") != kind:
        raise DumpError(f"column {name} is of type {fields.text('type')[:20]!r}, not {kind!r}")
    size = length * np.dtype(kind).itemsize
    if fields.count("bytes") != size:
        raise DumpError(f"column {name} has {fields.count('bytes')} bytes, but {length} blocks need {size}")
    text, packed_size = fields.text("data"), fields.count("packed")
    if len(text) != -(-packed_size // 3) * 4:
        raise DumpError(f"column {name} has {len(text)} characters, but {packed_size} packed bytes are other than that")
    try:
        packed = base64.b64decode(text, validate=True)
        unpacker = zlib.decompressobj()
        raw = unpacker.decompress(packed, size)
        # A stream of just this size has its check sum to come, and nothing else.
        rest = unpacker.decompress(unpacker.unconsumed_tail, 1)
    except (binascii.Error, ValueError, zlib.error) as error:
        raise DumpError(f"column {name} cannot be unpacked: {error}") from None
    if len(packed) != packed_size or len(raw) != size or rest or not unpacker.eof or unpacker.unused_data:
        raise DumpError(f"column {name} does not unpack to the {size} bytes that were announced")
    values: NDArray[Any] = np.frombuffer(raw, dtype=kind).astype(np.dtype(kind).newbyteorder("="), copy=False)
    values.flags.writeable = False
    return values
