"""Arguments that are wrong: each is refused by name, value and bound, and nothing has changed."""

import array

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvpool import BlockNotComplete, BlockPool, TokenBlockSequence

HASHES = np.array([1, 2, 3], dtype=np.uint64)
STATE_COUNTS = ("total", "empty", "cached", "active", "available", "mutable", "immutable", "waiting")


class Index:
    """An integer that does something when it is read."""

    def __init__(self, value, act=lambda: None):
        self.value = value
        self.act = act

    def __index__(self):
        self.act()
        return self.value


def failing():
    raise LookupError("not today")


def float_or_huge(value):
    return "huge" if isinstance(value, int) and value.bit_length() > 64 else None


@pytest.mark.parametrize("value", [0, -1, -(2**31), 2**31 - 101, 2**31 - 1, 2**31, 2**32, 2**63, 2**64, -(2**70)])
def test_a_number_of_blocks_out_of_range_is_refused(value):
    with pytest.raises(ValueError, match=rf"num_blocks = {value} is not in \[1, 2147483545\]"):
        BlockPool(value)


@pytest.mark.parametrize("value", [0, -1, 2**20 + 1, 2**31, 2**32, 2**64, -(2**70)])
def test_a_block_size_out_of_range_is_refused(value):
    with pytest.raises(ValueError, match=rf"block_size = {value} is not in \[1, 1048576\]"):
        BlockPool(4, value)


@pytest.mark.parametrize("value", [-1, 2**32 + 1, 2**64])
def test_an_event_capacity_out_of_range_is_refused(value):
    with pytest.raises(ValueError, match=rf"event_capacity = {value} is not in \[0, 4294967296\]"):
        BlockPool(4, event_capacity=value)


NO_INTEGERS = [True, np.True_, 1.0, float("nan"), "4", b"4", [4], 4j, np.array([4, 4])]


@pytest.mark.parametrize("name", ["num_blocks", "block_size", "event_capacity"])
@pytest.mark.parametrize("value", NO_INTEGERS, ids=repr)
def test_sizes_of_a_pool_must_be_integers(name, value):
    with pytest.raises(TypeError, match=f"{name} must be an int, not {type(value).__name__}"):
        BlockPool(**{"num_blocks": 4, name: value})


@pytest.mark.parametrize("name", ["num_blocks", "block_size", "event_capacity"])
@pytest.mark.parametrize("value", [10**5000, -(10**5000)], ids=["huge", "-huge"])
def test_sizes_that_python_refuses_to_print_have_errors_that_name_the_bound(name, value):
    with pytest.raises(ValueError, match=rf"{name} = .*bits is not in \["):
        BlockPool(**{"num_blocks": 4, name: value})


@pytest.mark.parametrize(
    "value", [None, 1, True, b"share", "Share", "", ["share"], np.array(["share", "keep"])], ids=repr
)
def test_duplicates_are_shared_or_kept(value):
    with pytest.raises((TypeError, ValueError), match="duplicates"):
        BlockPool(4, duplicates=value)


@pytest.mark.parametrize("value", [0, 1.5, "now", [1]], ids=repr)
def test_a_clock_must_be_callable(value):
    with pytest.raises(TypeError, match="clock must be callable"):
        BlockPool(4, clock=value)


@pytest.mark.parametrize("value", [None, 1, b"x"], ids=repr)
def test_a_name_must_be_text(value):
    with pytest.raises(TypeError, match="name must be a str"):
        BlockPool(4, name=value)


def test_a_pool_needs_a_number_of_blocks():
    with pytest.raises(TypeError):
        BlockPool()
    with pytest.raises(TypeError):
        BlockPool(4, 16, "share")
    with pytest.raises(TypeError):
        BlockPool(4, what=1)


@pytest.mark.own_memory
def test_tables_that_do_not_fit_into_memory_are_a_memory_error(run_python):
    run_python("""
        import resource
        from kvpool import BlockPool
        resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
        for size in ({"num_blocks": 2**31 - 103}, {"num_blocks": 8, "event_capacity": 2**32}):
            try:
                BlockPool(**size)
            except MemoryError as error:
                assert str(size["num_blocks"]) in str(error)
            else:
                raise AssertionError(size)
        """)


# Counts, ids and seconds ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [-1, -(2**31), -(2**63), -(2**70)])
def test_a_negative_number_of_blocks_is_refused(pool, unchanged, value):
    with unchanged(pool), pytest.raises(ValueError, match=f"n = {value} is not at least 0"):
        pool.allocate_blocks(value)


@pytest.mark.parametrize("value", [True, np.True_, None, 1.0, float("nan"), "4", [4], np.array([1, 2])], ids=repr)
def test_a_number_of_blocks_must_be_an_integer(pool, unchanged, value):
    with unchanged(pool), pytest.raises(TypeError, match=f"n must be an int, not {type(value).__name__}"):
        pool.allocate_blocks(value)


@pytest.mark.parametrize("value", [-1, 16, 2**31, 2**32, 2**64, -(2**70)])
def test_a_block_id_out_of_range_is_refused(pool, unchanged, value):
    with unchanged(pool), pytest.raises(ValueError, match=rf"block_id = {value} is not in \[0, 15\]"):
        pool.block_state(value)


@pytest.mark.parametrize("value", [-1, 2**64, -(2**70)])
def test_an_event_number_out_of_range_is_refused(pool, unchanged, value):
    with unchanged(pool), pytest.raises(ValueError, match=rf"since = {value} is not in \[0, 18446744073709551615\]"):
        pool.events(since=value)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda pool, value: pool.block_state(value), "block_id"),
        (lambda pool, value: pool.events(since=value), "since"),
        (lambda pool, value: pool.register_blocks([], [], priority=value), "priority"),
    ],
)
@pytest.mark.parametrize("value", [True, 1.0, "1", [1]], ids=repr)
def test_numbers_must_be_integers(pool, unchanged, call, name, value):
    with unchanged(pool), pytest.raises(TypeError, match=f"{name} must be an int, not {type(value).__name__}"):
        call(pool, value)


@pytest.mark.parametrize("value", [-1, -1e-9, float("nan"), float("-inf"), -(2**70), -(1 << 2000)], ids=float_or_huge)
def test_a_timeout_below_zero_is_refused(pool, unchanged, value):
    with unchanged(pool), pytest.raises(ValueError, match=r"timeout = .* is not at least 0 seconds"):
        pool.allocate_blocks(1, timeout=value)


@pytest.mark.parametrize("value", [-(2**70), -(1 << 2000)], ids=float_or_huge)
def test_a_time_to_live_far_below_zero_is_refused(pool, unchanged, value):
    fresh = pool.allocate_blocks(1)
    with unchanged(pool), pytest.raises(ValueError, match=r"ttl = .* is not above 0 seconds"):
        pool.register_blocks(fresh, [1], ttl=value)


@pytest.mark.parametrize("name", ["timeout", "ttl"])
@pytest.mark.parametrize("value", [True, "1", b"1", [1], 1j, object()], ids=lambda value: type(value).__name__)
def test_seconds_must_be_a_number(pool, unchanged, name, value):
    fresh = pool.allocate_blocks(1)
    with unchanged(pool), pytest.raises(TypeError, match=f"{name} must be a number of seconds"):
        if name == "timeout":
            pool.allocate_blocks(1, timeout=value)
        else:
            pool.register_blocks(fresh, [1], ttl=value)
    assert not fresh.released


def test_an_integer_that_fails_to_be_read_keeps_its_error(pool, unchanged):
    fresh = pool.allocate_blocks(1)
    for call in (
        lambda: pool.allocate_blocks(Index(1, failing)),
        lambda: pool.block_state(Index(1, failing)),
        lambda: pool.register_blocks(fresh, [Index(1, failing)]),
        lambda: pool.register_blocks(fresh, [1], parent=Index(1, failing)),
        lambda: pool.register_blocks(fresh, [1], priority=Index(1, failing)),
        lambda: pool.match_sequence_hashes([Index(1, failing)]),
        lambda: fresh.fill([Index(1, failing)]),
        lambda: fresh[Index(1, failing)],
    ):
        with unchanged(pool), pytest.raises(LookupError, match="not today"):
            call()
    assert not fresh.released


# Hashes ---------------------------------------------------------------------------------------------------------------

BY_HASHES = {
    "match_sequence_hashes": lambda pool, hashes: pool.match_sequence_hashes(hashes),
    "match_scattered": lambda pool, hashes: pool.match_scattered(hashes),
    "contains": lambda pool, hashes: pool.contains(hashes),
    "match_lengths": lambda pool, hashes: pool.match_lengths([hashes]),
    "touch": lambda pool, hashes: pool.touch(hashes),
    "reset_blocks": lambda pool, hashes: pool.reset_blocks(hashes),
    "register_blocks": lambda pool, hashes: pool.register_blocks(pool.allocate_blocks(3), hashes),
}

BAD_HASHES = {
    "None": (None, TypeError, "NoneType"),
    "an int": (5, TypeError, "not int"),
    "a float": (1.5, TypeError, "not float"),
    "text": ("123", TypeError, "not str"),
    "bytes": (b"12345678", TypeError, "not bytes"),
    "bytearray": (bytearray(8), TypeError, "not bytearray"),
    "dict": ({1: 2}, TypeError, "not dict"),
    "set": ({1}, TypeError, "not set"),
    "a function": (len, TypeError, "not builtin_function"),
    "bytes in a memoryview": (memoryview(b"12345678"), TypeError, "format 'B', not uint64"),
    "int64": (np.array([1, 2, 3]), TypeError, "dtype int64, not uint64"),
    "uint32": (np.array([1, 2, 3], dtype=np.uint32), TypeError, "dtype uint32, not uint64"),
    "float64": (np.array([1.0, np.nan, np.inf]), TypeError, "dtype float64, not uint64"),
    "bool": (np.array([True, False, True]), TypeError, "dtype bool, not uint64"),
    "objects": (np.array([1, 2, 3], dtype=object), TypeError, "dtype object, not uint64"),
    "the other order of bytes": (HASHES.astype(">u8"), TypeError, "dtype >u8, not uint64"),
    "complex": (np.array([1j]), TypeError, "dtype complex128, not uint64"),
    "signed": (array.array("q", [1, 2, 3]), TypeError, "format 'q', not uint64"),
    "doubles": (array.array("d", [1, 2, 3]), TypeError, "format 'd', not uint64"),
    "no dimension": (np.array(1, dtype=np.uint64), ValueError, "0 dimensions, not 1"),
    "a NumPy scalar": (np.uint64(1), ValueError, "0 dimensions, not 1"),
    "two dimensions": (HASHES.reshape(1, 3), ValueError, "2 dimensions, not 1"),
    "three dimensions": (np.zeros((1, 1, 1), dtype=np.uint64), ValueError, "3 dimensions, not 1"),
    "an empty array of floats": (np.array([]), TypeError, "dtype float64, not uint64"),
    "a negative hash": ([1, -2, 3], ValueError, r"\[1\] = -2 is not in \[0, 2\*\*64\)"),
    "a hash of 65 bits": ([1, 2, 2**64], ValueError, r"\[2\] = 18446744073709551616 is not in \[0, 2\*\*64\)"),
    "a hash of 20,000 bits": ([1, 1 << 19_999, 3], ValueError, r"\[1\] = an int of 20000 bits is not in"),
    "a negative NumPy integer": ([np.int64(-1)], ValueError, r"\[0\] = -1 is not in"),
    "a bool": ([1, True, 3], TypeError, r"\[1\] must be an int, not bool"),
    "a float among ints": ([1, 2.0, 3], TypeError, r"\[1\] must be an int, not float"),
    "not a number": ([float("nan")], TypeError, r"\[0\] must be an int, not float"),
    "None among ints": ((1, None, 3), TypeError, r"\[1\] must be an int, not NoneType"),
    "lists in a list": ([[1], [2], [3]], TypeError, r"\[0\] must be an int, not list"),
    "another block size": (
        TokenBlockSequence(range(24), 8),
        ValueError,
        "blocks of 8 tokens, the pool's blocks have 4",
    ),
}


@pytest.mark.parametrize("call", BY_HASHES.values(), ids=BY_HASHES)
@pytest.mark.parametrize(("hashes", "error", "message"), BAD_HASHES.values(), ids=BAD_HASHES)
def test_what_are_no_hashes_is_refused(pool, store, unchanged, call, hashes, error, message):
    held = store(pool, [1, 2])
    if hashes is None and call is BY_HASHES["register_blocks"]:
        error, message = BlockNotComplete, "give sequence_hashes"  # None stands for those of the tokens
    with unchanged(pool), pytest.raises(error, match=message):
        call(pool, hashes)
    del held


@pytest.mark.parametrize("call", BY_HASHES.values(), ids=BY_HASHES)
def test_a_released_memoryview_is_refused(pool, unchanged, call):
    view = memoryview(HASHES.copy())
    view.release()
    with unchanged(pool), pytest.raises(ValueError, match="released memoryview"):
        call(pool, view)


def test_a_generator_that_fails_keeps_its_error(pool, unchanged):
    def hashes(error):
        yield 1
        raise error

    for error in (LookupError("mine"), TypeError("mine"), ValueError("mine")):
        with unchanged(pool), pytest.raises(type(error), match="mine"):
            pool.match_sequence_hashes(hashes(error))


def unaligned():
    room = bytearray(25)
    room[1:] = HASHES.tobytes()
    return np.ndarray((3,), np.uint64, buffer=room, offset=1)


def read_only():
    hashes = HASHES.copy()
    hashes.flags.writeable = False
    return hashes


def field_of_records():
    records = np.zeros(3, dtype=[("flag", np.uint8), ("hash", np.uint64)])
    records["hash"] = HASHES
    return records["hash"]


GOOD_HASHES = {
    "list": lambda: [1, 2, 3],
    "tuple": lambda: (1, 2, 3),
    "NumPy integers": lambda: list(HASHES),
    "range": lambda: range(1, 4),
    "generator": lambda: (h for h in (1, 2, 3)),
    "objects with __index__": lambda: [Index(1), Index(2), Index(3)],
    "array": lambda: HASHES.copy(),
    "read-only": read_only,
    "strided": lambda: np.array([1, 0, 2, 0, 3], dtype=np.uint64)[::2],
    "reversed": lambda: np.array([3, 2, 1], dtype=np.uint64)[::-1],
    "unaligned": unaligned,
    "records": field_of_records,
    "column": lambda: np.array([[1, 9], [2, 9], [3, 9]], dtype=np.uint64)[:, 0],
    "subclass": lambda: HASHES.view(np.recarray),
    "array('Q')": lambda: array.array("Q", [1, 2, 3]),
    "array('L')": lambda: array.array("L", [1, 2, 3]),
    "memoryview": lambda: memoryview(HASHES),
    "reversed memoryview": lambda: memoryview(array.array("Q", [3, 2, 1]))[::-1],
    "cast memoryview": lambda: memoryview(HASHES.tobytes()).cast("Q"),
    "longlong": lambda: np.array([1, 2, 3], dtype=np.ulonglong),
}


@pytest.mark.parametrize("call", BY_HASHES.values(), ids=BY_HASHES)
@pytest.mark.parametrize("make", GOOD_HASHES.values(), ids=GOOD_HASHES)
def test_hashes_come_in_many_forms(pool, store, call, make):
    held = store(pool, [1, 2, 3])
    result = call(pool, make())
    seen = {
        "ImmutableBlocks": lambda: result.sequence_hashes.tolist() == [1, 2, 3],
        "ScatteredBlocks": lambda: result.hits.all(),
        "ndarray": lambda: result.tolist() in ([True] * 3, [3]),
        "int": lambda: result == 3,
        "ResetBlocksResult": lambda: result.not_reset.tolist() == [1, 2, 3],
    }
    assert seen[type(result).__name__]()
    del held


@pytest.mark.parametrize("call", BY_HASHES, ids=BY_HASHES)
def test_hashes_may_come_in_a_buffer_that_has_no_strides(run_python, call):
    calls = {
        "register_blocks": "pool.register_blocks(fresh, hashes)",
        "match_lengths": "pool.match_lengths([hashes])",
    }
    program = f"""
        import ctypes
        from kvpool import BlockPool
        pool = BlockPool(num_blocks=16)
        hashes = (ctypes.c_uint64 * 3)(1, 2, 3)
        fresh = pool.allocate_blocks(3)
        {calls.get(call, f"pool.{call}(hashes)")}
        pool.check_invariants()
        """
    run_python(program)


EMPTY_HASHES = [
    [],
    (),
    range(0),
    np.array([], dtype=np.uint64),
    HASHES[3:],
    HASHES[:0:-1][:0],
    array.array("Q"),
    iter(()),
]


@pytest.mark.parametrize("hashes", EMPTY_HASHES)
def test_no_hashes_are_fine(pool, unchanged, hashes):
    with unchanged(pool):
        hashes = list(hashes) if not hasattr(hashes, "__len__") else hashes
        assert len(pool.match_sequence_hashes(hashes)) == 0
        assert len(pool.match_scattered(hashes)) == 0
        assert pool.contains(hashes).shape == (0,)
        assert pool.match_lengths([hashes]).tolist() == [0]
        assert pool.touch(hashes) == 0
        assert pool.reset_blocks(hashes).reset.num_blocks == 0
        assert len(pool.register_blocks([], hashes)) == 0


@pytest.mark.parametrize(
    "change",
    [
        list.clear,
        lambda hashes: hashes.__delitem__(slice(1, None)),
        lambda hashes: hashes.append(7),
        lambda hashes: hashes.extend([7] * 100_000),
        lambda hashes: hashes.__setitem__(2, 8),
        lambda hashes: hashes.__setitem__(1, None),
    ],
    ids=["clear", "shorten", "append", "extend", "replace", "replace the one being read"],
)
@pytest.mark.parametrize("call", BY_HASHES.values(), ids=BY_HASHES)
def test_a_list_that_changes_while_it_is_read_does_no_harm(pool, store, call, change):
    held = store(pool, [1, 2, 3])
    hashes = [1]
    hashes += [Index(2, lambda: change(hashes)), 3]
    try:
        call(pool, hashes)
    except ValueError as error:
        assert "changed its length while it was read" in str(error)  # noqa: PT017
    pool.check_invariants()
    assert pool.status().active == 3
    del held


@pytest.mark.parametrize("call", BY_HASHES.values(), ids=BY_HASHES)
def test_hashes_that_use_the_pool_while_they_are_read_do_no_harm(pool, store, call):
    held = [store(pool, [1, 2, 3])]

    def meddle():
        held.clear()
        pool.reset_blocks([1])
        pool.allocate_blocks(pool.available_blocks).release()

    with_meddling = [1, Index(2, meddle), 3]
    call(pool, with_meddling)
    pool.check_invariants()
    assert pool.status().active == 0


@pytest.mark.parametrize("call", BY_HASHES.values(), ids=BY_HASHES)
def test_a_callers_buffer_is_free_again_after_the_call(pool, call):
    hashes = array.array("Q", [1, 2, 3])
    call(pool, hashes)
    hashes.append(4)  # BufferError if it were still exported
    bad = array.array("d", [1.0])
    with pytest.raises(TypeError):
        call(pool, bad)
    bad.append(2.0)


@given(
    st.one_of(
        st.lists(
            st.one_of(st.integers(-5, 5), st.integers(2**64 - 3, 2**64 + 3), st.booleans(), st.floats(), st.none())
        ),
        st.binary(),
        st.text(),
        st.integers(),
        st.lists(st.floats()).map(np.array),
    )
)
def test_whatever_is_given_as_hashes_the_pool_stays_intact(hashes):
    pool = BlockPool(num_blocks=4, block_size=4)
    held = pool.register_blocks(pool.allocate_blocks(1), [1])
    for call in BY_HASHES.values():
        before = [getattr(pool.status(), name) for name in STATE_COUNTS]
        try:
            call(pool, hashes)
        except (TypeError, ValueError):
            assert [getattr(pool.status(), name) for name in STATE_COUNTS] == before
        pool.check_invariants()
    del held


# Blocks, parents and owners -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("blocks", [None, 3, "ab", [1], [None], {1}, object(), (b for b in ()), np.array([0])])
def test_what_are_no_blocks_is_refused(pool, unchanged, blocks):
    with unchanged(pool), pytest.raises(TypeError, match="blocks must be MutableBlocks, a MutableBlock"):
        pool.register_blocks(blocks, [1])


def test_immutable_blocks_cannot_be_registered(pool, store, unchanged):
    blocks = store(pool, [1])
    for immutable in (blocks, blocks[0], [blocks], pool.match_scattered([1]), blocks[0].downgrade()):
        with unchanged(pool), pytest.raises(TypeError, match=f"not {type(immutable).__name__}|not ImmutableBlocks"):
            pool.register_blocks(immutable, [1])


@pytest.mark.parametrize(
    "parent",
    [-1, 2**64, 10**5000, True, 1.0, "1", [1], b"12345678"],
    ids=lambda p: repr(p)[:10] if not isinstance(p, int) or p < 2**65 else "huge",
)
def test_what_is_no_parent_is_refused(pool, unchanged, parent):
    fresh = pool.allocate_blocks(1)
    for call in (
        lambda: pool.register_blocks(fresh, [1], parent=parent),
        lambda: fresh.fill([1], parent=parent),
        lambda: fresh[0].init_sequence(parent=parent),
    ):
        with unchanged(pool), pytest.raises((TypeError, ValueError), match="parent"):
            call()
    assert not fresh.released
    assert fresh[0].num_tokens == 0


def test_mutable_blocks_are_no_parent(pool, unchanged):
    fresh = pool.allocate_blocks(2)
    for parent in (fresh, fresh[1]):
        with unchanged(pool), pytest.raises(TypeError, match="parent"):
            pool.register_blocks(fresh[0], [1], parent=parent)
