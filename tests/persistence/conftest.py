"""Indexes of pools, and files that look like them: written here by the description of the format alone."""

import struct

import numpy as np
import pytest
import xxhash

from kvpool import BlockPool

HEADER = struct.Struct("<8sIIQQIIQqQQQQ")
FIELDS = (
    "magic",
    "version",
    "header_size",
    "num_blocks",
    "block_size",
    "flags",
    "num_namespaces",
    "num_entries",
    "saved_at",
    "namespaces_size",
    "payload_size",
    "payload_checksum",
    "header_checksum",
)
COLUMNS = {
    "hashes": "<u8",
    "lifetimes": "<i8",
    "ids": "<i4",
    "parents": "<i4",
    "elders": "<i4",
    "tokens": "<u4",
    "levels": "|u1",
    "spaces": "|u1",
    "is_parked": "|u1",
    "has_tokens": "|u1",
}
FLAGS = {"lifetimes": 1, "elders": 2, "tokens": 4, "has_tokens": 4}


class IndexBytes:
    """The bytes of an index, taken apart."""

    def __init__(self, data):
        self.fields = dict(zip(FIELDS, HEADER.unpack_from(data), strict=True))
        self.columns, offset = {}, HEADER.size
        for name, kind in COLUMNS.items():
            if self.fields["flags"] & FLAGS.get(name, 0) == FLAGS.get(name, 0):
                size = self.fields["num_entries"] * (self.fields["block_size"] if name == "tokens" else 1)
                self.columns[name] = np.frombuffer(data, kind, size, offset).copy()
                offset += self.columns[name].nbytes
        self.namespaces = data[offset:]

    def to_bytes(self, **wrong):
        """The bytes again, with sizes and checksums that are right unless they are given."""
        payload = b"".join([column.tobytes() for column in self.columns.values()] + [self.namespaces])
        fields = {**self.fields, "namespaces_size": len(self.namespaces), "payload_size": len(payload)}
        fields["payload_checksum"] = xxhash.xxh3_64_intdigest(payload)
        fields = {**fields, **wrong}
        header = HEADER.pack(*fields.values())[:-8]
        checksum = wrong.get("header_checksum", xxhash.xxh3_64_intdigest(header))
        return header + struct.pack("<Q", checksum) + payload


@pytest.fixture
def take_apart():
    """Take the bytes of an index apart: the function that does it."""
    return IndexBytes


@pytest.fixture
def path(tmp_path):
    """Where an index is saved."""
    return tmp_path / "pool.index"


@pytest.fixture
def saved(store, path, clock):
    """Bytes of an index, at `path`, of a pool as `empty` makes them: two chains that fork, and one more block."""
    pool = BlockPool(16, 4, clock=clock)
    store(pool, [11, 12, 13])
    store(pool, [14, 15], parent=12)
    store(pool, [21], priority=50)
    pool.save_index(path)
    return path.read_bytes()


@pytest.fixture
def empty(clock):
    """Make pools that can load `saved`: the function that does it."""

    def make(**options):
        return BlockPool(**{"num_blocks": 16, "block_size": 4, "clock": clock, "event_capacity": 4096, **options})

    return make


@pytest.fixture
def registry():
    """Return what is registered in a pool, block for block: the function that does it."""

    def tell(pool):
        table = pool.blocks()
        is_registered = table.states >= 4
        columns = (table.sequence_hashes, table.parents, table.levels, table.namespaces)
        return {int(block): tuple(int(column[block]) for column in columns) for block in np.flatnonzero(is_registered)}

    return tell
