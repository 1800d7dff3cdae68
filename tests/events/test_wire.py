"""What goes over the wire, compared with what msgspec makes of vLLM's own structures."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

msgspec = pytest.importorskip("msgspec", reason="msgspec is not installed: pip install 'kvpool[events]'")

from kvpool.events.wire import EventEncoder  # noqa: E402 - after the check that it can be imported

BIG = 2**64 - 1


def structures(is_array):
    """The structures that vLLM publishes, with events as maps or, before June 2026, as arrays."""

    class Event(msgspec.Struct, array_like=is_array, omit_defaults=True, gc=False, tag=True):
        pass

    class BlockStored(Event):
        block_hashes: list[int | bytes]
        parent_block_hash: int | bytes | None
        token_ids: list[int]
        block_size: int
        lora_id: int | None
        medium: str | None
        lora_name: str | None

    class BlockRemoved(Event):
        block_hashes: list[int | bytes]
        medium: str | None

    class AllBlocksCleared(Event):
        pass

    class Batch(msgspec.Struct, array_like=True, omit_defaults=True, gc=False):
        ts: float
        events: list[BlockStored | BlockRemoved | AllBlocksCleared]
        data_parallel_rank: int | None = None

    return Batch, BlockStored, BlockRemoved, AllBlocksCleared


class LaterBlockStored(msgspec.Struct, omit_defaults=True, tag="BlockStored"):
    """What reads the events today, with the fields that were added since."""

    block_hashes: list[int | bytes]
    parent_block_hash: int | bytes | None
    token_ids: list[int]
    block_size: int
    lora_id: int | None
    medium: str | None
    lora_name: str | None
    event_version: int = 1
    extra_keys: list[tuple[Any, ...] | None] | None = None
    group_idx: int | None = None


def encoder_of(**options):
    chosen = {"encoding": "map", "hash_format": "int", "medium": "GPU", "lora_names": {}, "data_parallel_rank": None}
    return EventEncoder(**chosen | options)


def events_of(batch, **options):
    return msgspec.msgpack.decode(encoder_of(**options).encode(batch))[1]


@pytest.mark.parametrize("rank", [None, 0, 3])
@pytest.mark.parametrize("encoding", ["map", "array"])
def test_a_batch_has_the_bytes_that_msgspec_gives_to_vllms_structures(make_batch, encoding, rank):
    batch_type, stored, removed, cleared = structures(encoding == "array")
    batch = make_batch(
        ("stored", 11, None, [1, 2, 3, 4]),
        ("stored", BIG, 11, [5, 6, 7, 2**32 - 1]),
        ("removed", BIG),
        ("removed", 11),
        ("cleared",),
        ("stored", 21, 20, None),
    )
    expected = batch_type(
        1234.5,
        [
            stored([11, BIG], None, [1, 2, 3, 4, 5, 6, 7, 2**32 - 1], 4, None, "GPU", None),
            removed([BIG], "GPU"),
            removed([11], "GPU"),
            cleared(),
            stored([21], 20, [], 4, None, "GPU", None),
        ],
        rank,
    )
    payload = encoder_of(encoding=encoding, data_parallel_rank=rank).encode(batch)
    assert payload == msgspec.msgpack.encode(expected)
    assert msgspec.msgpack.decode(payload, type=batch_type) == expected


@pytest.mark.parametrize("encoding", ["map", "array"])
def test_a_hash_can_be_eight_bytes(make_batch, encoding):
    batch_type, stored, removed, _ = structures(encoding == "array")
    batch = make_batch(("stored", 258, BIG, [1, 2, 3, 4]), ("removed", 1), ("stored", 3, None, [5, 6, 7, 8]))
    first, second, third, parent = bytes((0,) * 6 + (1, 2)), bytes((0,) * 7 + (1,)), bytes((0,) * 7 + (3,)), b"\xff" * 8
    expected = [
        stored([first], parent, [1, 2, 3, 4], 4, None, "CPU", None),
        removed([second], "CPU"),
        stored([third], None, [5, 6, 7, 8], 4, None, "CPU", None),
    ]
    payload = encoder_of(encoding=encoding, hash_format="bytes", medium="CPU").encode(batch)
    assert payload == msgspec.msgpack.encode(batch_type(1234.5, expected))


@pytest.mark.parametrize(
    "second",
    [
        ("stored", 2, 9, [5, 6, 7, 8], ""),
        ("stored", 2, None, [5, 6, 7, 8], ""),
        ("stored", 2, 1, None, ""),
        ("stored", 2, 1, [5, 6, 7, 8], "acme"),
    ],
    ids=["another parent", "no parent", "no tokens", "another namespace"],
)
def test_a_block_that_does_not_continue_the_one_before_is_an_event_of_its_own(make_batch, second):
    first = ("stored", 1, None, [1, 2, 3, 4], "")
    assert len(events_of(make_batch(first, ("stored", 2, 1, [5, 6, 7, 8], "")))) == 1
    events = events_of(make_batch(first, second))
    assert [event["block_hashes"] for event in events] == [[1], [2]]
    assert events[1]["parent_block_hash"] == second[2]


def test_blocks_without_tokens_are_told_and_counted(make_batch):
    encoder = encoder_of()
    batch = make_batch(
        ("stored", 1, None, None), ("stored", 2, 1, None), ("removed", 2), ("stored", 3, 1, [1, 2, 3, 4])
    )
    events = msgspec.msgpack.decode(encoder.encode(batch))[1]
    assert [event.get("token_ids") for event in events] == [[], None, [1, 2, 3, 4]]
    assert encoder.unknown_tokens == 2
    encoder.encode(make_batch(("stored", 1, None, None)))
    assert encoder.unknown_tokens == 3


def test_a_snapshot_begins_by_clearing_everything(make_batch):
    assert events_of(make_batch(is_snapshot=True)) == [{"type": "AllBlocksCleared"}]
    events = events_of(make_batch(("stored", 1, None, None), is_snapshot=True), encoding="array")
    assert [event[0] for event in events] == ["AllBlocksCleared", "BlockStored"]


def test_blocks_of_an_adapter_carry_its_name(make_batch):
    batch = make_batch(("stored", 1, None, [1, 2, 3, 4], "tuned"), ("removed", 1, None, None, "tuned"))
    stored, removed = events_of(batch, lora_names={"tuned": "adapter-7"})
    assert stored["lora_name"] == "adapter-7"
    assert "extra_keys" not in stored
    assert removed == {"type": "BlockRemoved", "block_hashes": [1], "medium": "GPU"}
    assert events_of(batch, lora_names={"tuned": "adapter-7"}, encoding="array")[0][7:] == ["adapter-7"]


def test_blocks_of_a_tenant_carry_its_name_as_a_salt(make_batch):
    batch = make_batch(("stored", 1, None, [1, 2, 3, 4], "acme"), ("stored", 2, 1, [5, 6, 7, 8], "acme"))
    (event,) = events_of(batch, lora_names={"tuned": "adapter-7"})
    assert event["extra_keys"] == [["dynamo-cache-salt:acme"], None]
    assert event["lora_name"] is None
    assert events_of(batch, encoding="array")[0][8:] == [event["extra_keys"]]
    read = msgspec.convert(event, LaterBlockStored)
    assert (read.block_hashes, read.extra_keys) == ([1, 2], [("dynamo-cache-salt:acme",), None])


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 16_383, 16_384, 16_385, 65_535, 65_536])
def test_a_batch_of_any_size_is_one_array(make_batch, count):
    batch = make_batch(*[("removed", i) for i in range(count)])
    assert [event["block_hashes"] for event in events_of(batch)] == [[i] for i in range(count)]


def test_a_long_chain_that_is_encoded_in_parts_stays_a_chain(make_batch):
    count = 300
    rows = [[i] * 4 for i in range(count)]
    batch = make_batch(*[("stored", i + 1, i or None, rows[i]) for i in range(count)], block_size=4)
    whole = events_of(batch)
    assert len(whole) == 1
    wide = make_batch(*[("stored", i + 1, i or None, i) for i in range(count)], block_size=1024)
    parts = events_of(wide)
    assert 1 < len(parts) < 10
    assert [name for event in parts for name in event["block_hashes"]] == whole[0]["block_hashes"]
    assert [event["parent_block_hash"] for event in parts[1:]] == [event["block_hashes"][-1] for event in parts[:-1]]
    assert [token for event in parts for token in event["token_ids"]] == [i for i in range(count) for _ in range(1024)]


def told_one_by_one(described):
    """The events as they should be told, from their descriptions: one by one, joined where one continues the other."""
    told = []
    for event in described:
        if event[0] == "cleared":
            told.append({"type": "AllBlocksCleared"})
        elif event[0] == "removed":
            told.append({"type": "BlockRemoved", "block_hashes": [event[1]], "medium": "GPU"})
        else:
            _, name, parent, tokens, space = event
            last = told[-1] if told else {}
            is_next = last.get("type") == "BlockStored" and parent == last["block_hashes"][-1]
            if is_next and last["space"] == space and bool(last["token_ids"]) == (tokens is not None):
                last["block_hashes"].append(name)
                last["token_ids"] += tokens or []
                continue
            told.append(
                {
                    "type": "BlockStored",
                    "block_hashes": [name],
                    "parent_block_hash": parent,
                    "token_ids": list(tokens or []),
                    "block_size": 4,
                    "lora_id": None,
                    "medium": "GPU",
                    "lora_name": "adapter-7" if space == "tuned" else None,
                    "space": space,
                }
            )
    for event in told:
        if event.pop("space", None) == "acme":
            event["extra_keys"] = [["dynamo-cache-salt:acme"], *[None] * (len(event["block_hashes"]) - 1)]
    return told


few = st.integers(0, 3)
one_event = st.one_of(
    st.tuples(
        st.just("stored"),
        few,
        st.none() | few,
        st.none() | st.lists(st.integers(0, 2**32 - 1), min_size=4, max_size=4),
        st.sampled_from(["", "", "acme", "tuned"]),
    ),
    st.tuples(st.just("removed"), few),
    st.tuples(st.just("cleared")),
)


@settings(max_examples=200)
@given(described=st.lists(one_event, max_size=12))
def test_any_batch_is_told_as_its_events_are_one_by_one(make_batch, described):
    assert events_of(make_batch(*described), lora_names={"tuned": "adapter-7"}) == told_one_by_one(described)
