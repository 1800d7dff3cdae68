"""Dumps: what is in them, that they come back as they were, and that nothing else is taken for one."""

from __future__ import annotations

import base64
import json
import os
import random
import stat
import tracemalloc
import zlib

import numpy as np
import pytest

from kvpool import BlockPool, BlockPoolError
from kvpool.diagnosis import DumpError, PoolDump
from kvpool.diagnosis.pool_dump import shorten

COLUMNS = ("states", "sequence_hashes", "parents", "references", "children", "levels", "generations", "namespaces")


class Unshowable:
    def __repr__(self):
        raise RuntimeError("no")


def changed(dump, change):
    """The bytes of a dump after a change of its JSON object."""
    fields = json.loads(dump.to_bytes())
    change(fields)
    return json.dumps(fields).encode()


def set_column(name, **values):
    return lambda fields: fields["columns"][name].update(values)


def packed_bomb(size):
    packed = zlib.compress(bytes(size), 9)
    return {"packed": len(packed), "data": base64.b64encode(packed).decode()}


def test_dump_has_everything_the_pool_tells(busy_pool, dump, clock):
    table = busy_pool.blocks()
    assert dump.table.status == table.status
    assert all((getattr(dump.table, name) == getattr(table, name)).all() for name in COLUMNS)
    assert dump.table.namespace_names == ("", "tenant")
    assert [(hold.owner, hold.kind, hold.blocks) for hold in dump.holds] == [
        ("'request 1'", "immutable", 3),
        ("'prompt'", "pin", 2),
        ("('request', 2)", "mutable", 1),
        ("'request 3'", "sequence", 1),
    ]
    assert (dump.name, dump.num_blocks, dump.block_size, dump.eviction) == ("busy", 16, 4, "lru")
    assert (dump.process, dump.is_quiet, dump.is_closed, dump.broken) == (os.getpid(), True, False, None)
    assert dump.events == busy_pool.event_statistics()
    assert dump.latencies["match"].num_calls == 1


def test_dump_comes_back_from_a_file_as_it_was(dump, tmp_path):
    dump.save(tmp_path / "dump")
    again = PoolDump.load(tmp_path / "dump")
    assert again.to_bytes() == dump.to_bytes()
    assert (again.table.status, again.holds, again.events) == (dump.table.status, dump.holds, dump.events)
    for name in COLUMNS:
        column, before = getattr(again.table, name), getattr(dump.table, name)
        assert column.dtype == before.dtype
        assert (column == before).all()
        assert not column.flags.writeable


def test_saved_dump_is_readable_by_its_owner_only_and_replaces_what_was_there(dump, tmp_path):
    path = tmp_path / "dump"
    path.write_bytes(b"old")
    dump.save(path)
    assert path.read_bytes() == dump.to_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["dump"]


def test_failed_save_leaves_what_was_there_and_nothing_else(dump, tmp_path):
    path = tmp_path / "dump"
    path.mkdir()
    with pytest.raises(OSError):
        dump.save(path)
    assert os.listdir(tmp_path) == ["dump"]


@pytest.mark.parametrize(
    ("owner", "shown"),
    [("x" * 500, "'" + "x" * 196 + "..."), (Unshowable(), "<Unshowable without a usable repr>"), (7, "7")],
)
def test_owner_is_shown_shortly_whatever_it_is(owner, shown):
    pool = BlockPool(4)
    blocks = pool.allocate_blocks(1, owner=owner)
    (hold,) = PoolDump.from_bytes(PoolDump.of(pool).to_bytes()).holds
    assert hold.owner == shown == shorten(owner)
    blocks.release()


def test_policy_of_the_users_is_shown_by_its_repr():
    class Deepest:
        def __repr__(self):
            return "<Deepest>"

        def rank(self, blocks):
            return blocks.positions

    assert PoolDump.of(BlockPool(4, eviction=Deepest())).eviction == "<Deepest>"


def test_dump_cut_short_at_any_byte_is_refused(dump):
    data = dump.to_bytes()
    for length in range(len(data)):
        with pytest.raises(DumpError) as caught:
            PoolDump.from_bytes(data[:length])
        assert "\n" not in str(caught.value)


def test_dump_with_wrong_bytes_is_refused_or_read_but_nothing_else(dump):
    data = dump.to_bytes()
    rng = random.Random(5)
    refused = []
    for _ in range(3000):
        wrong = bytearray(data)
        for _ in range(rng.choice((1, 1, 4))):
            wrong[rng.randrange(len(wrong))] = rng.randrange(256)
        try:
            PoolDump.from_bytes(wrong)
        except DumpError as error:
            refused.append(str(error))
    assert len(refused) > 1000
    assert not [message for message in refused if "\n" in message]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda fields: fields.update(format="trace"), 'its format is "trace"'),
        (lambda fields: fields.pop("format"), "its format is null"),
        (lambda fields: fields.update(version=2), "version 2, but only 1"),
        (lambda fields: fields.update(version=True), "version true, but only 1"),
        (lambda fields: fields.update(num_blocks=0), "num_blocks = 0 is not an int in [1, "),
        (lambda fields: fields.update(num_blocks=2**63), "num_blocks = 9223372036854775808 is not"),
        (lambda fields: fields.update(num_blocks=10**60), "num_blocks = an int of 200 bits is not"),
        (lambda fields: fields.update(num_blocks=2**31 - 1), "more than max_bytes"),
        (lambda fields: fields.update(num_blocks=15), "of 15 blocks, but its status of 16"),
        (lambda fields: fields["status"].update(total=17), "of 16 blocks, but its status of 17"),
        (lambda fields: fields["status"].pop("empty"), "status has no empty"),
        (lambda fields: fields["status"].update(empty=-1), "empty = -1 is not an int in [0, "),
        (lambda fields: fields["status"].update(empty=1.5), "empty = 1.5 is not an int"),
        (lambda fields: fields.update(status=[]), "status is not a JSON object"),
        (lambda fields: fields.update(time="now"), 'time = "now" is not a finite number'),
        (lambda fields: fields.update(time=1e300), "time = 1e+300 is not a time in [0, "),
        (lambda fields: fields.update(time=-1), "time = -1.0 is not a time in [0, "),
        (lambda fields: fields.update(is_quiet=1), "is_quiet = 1 is not true or false"),
        (lambda fields: fields.update(name=None), "name = null is not a text"),
        (lambda fields: fields.update(namespace_names=["", 3]), "namespace_names = 3 is not a list of texts"),
        (lambda fields: fields.update(holds={}), "holds = a dict is not a list"),
        (lambda fields: fields["holds"].append(3), "a hold of the dump is not a JSON object"),
        (lambda fields: fields["holds"][0].update(kind="borrowed"), "kind = 'borrowed', which is none of"),
        (lambda fields: fields["holds"][0].update(owner=3), "owner = 3 is not a text"),
        (lambda fields: fields["latencies"]["match"].update(counts=[1]), "counts has 1 entries, not 40"),
        (lambda fields: fields["columns"].pop("parents"), "columns has no parents"),
        (set_column("parents", type="<i8"), "column parents is of type '<i8', not '<i4'"),
        (set_column("parents", bytes=68), "column parents has 68 bytes, but 16 blocks need 64"),
        (set_column("parents", packed=3), "column parents has"),
        (set_column("parents", packed=2**63), "packed bytes are other than that"),
        (set_column("parents", packed=3, data="AAA?"), "column parents cannot be unpacked"),
        (set_column("parents", packed=3, data="AAAA"), "column parents cannot be unpacked"),
        (set_column("parents", **packed_bomb(63)), "does not unpack to the 64 bytes"),
        (set_column("parents", **packed_bomb(65)), "does not unpack to the 64 bytes"),
    ],
)
def test_dump_that_contradicts_itself_is_refused_by_name(dump, change, words):
    with pytest.raises(DumpError) as caught:
        PoolDump.from_bytes(changed(dump, change))
    assert words in str(caught.value)
    assert len(str(caught.value)) < 200
    assert isinstance(caught.value, BlockPoolError)


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"null", b"\xff", b"\x1f\x8b", b"[" * 200_000, b'{"format": NaN}', b"1" * 10_000]
)
def test_what_is_no_dump_is_refused(data):
    with pytest.raises(DumpError):
        PoolDump.from_bytes(data)


def test_text_behind_the_packed_numbers_is_refused(dump):
    def append(fields):
        column = fields["columns"]["parents"]
        packed = base64.b64decode(column["data"]) + b"more"
        column.update(packed=len(packed), data=base64.b64encode(packed).decode())

    with pytest.raises(DumpError, match="does not unpack to the 64 bytes"):
        PoolDump.from_bytes(changed(dump, append))


@pytest.mark.own_memory
def test_bomb_is_not_unpacked(dump):
    data = changed(dump, set_column("parents", **packed_bomb(200_000_000)))
    assert len(data) < 1_000_000
    tracemalloc.start()
    with pytest.raises(DumpError, match="does not unpack"):
        PoolDump.from_bytes(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * len(data)


def test_dump_larger_than_max_bytes_is_refused_before_it_is_read(dump, tmp_path):
    path = tmp_path / "dump"
    dump.save(path)
    size = path.stat().st_size
    assert PoolDump.load(path, max_bytes=size).num_blocks == 16
    with pytest.raises(DumpError, match=f"more than max_bytes = {size - 1} bytes"):
        PoolDump.load(path, max_bytes=size - 1)


def test_unpacked_columns_count_against_max_bytes():
    data = PoolDump.of(BlockPool(1_000_000)).to_bytes()
    assert len(data) < 1_000_000
    with pytest.raises(DumpError, match="1000000 blocks take 27000000 bytes, more than max_bytes = 26999999"):
        PoolDump.from_bytes(data, max_bytes=26_999_999)
    assert PoolDump.from_bytes(data, max_bytes=27_000_000).num_blocks == 1_000_000


def test_counts_that_older_versions_did_not_have_may_be_missing(dump):
    again = PoolDump.from_bytes(changed(dump, lambda fields: fields["status"].pop("truncations")))
    assert again.table.status == dump.table.status


def test_largest_hash_and_count_come_back(tmp_path):
    pool = BlockPool(2)
    blocks = pool.register_blocks(pool.allocate_blocks(1), np.array([2**64 - 1], dtype=np.uint64))
    assert PoolDump.from_bytes(PoolDump.of(pool).to_bytes()).table.sequence_hashes.tolist() == [2**64 - 1, 0]
    blocks.release()
