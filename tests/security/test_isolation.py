"""What keeps tenants apart, each looked at from both sides: others miss, and the tenant itself hits."""

import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kvpool
from kvpool import BlockPool, keyed_salt_hash, router_salt_hash, sequence_hashes
from kvpool.tokens.salt import _frame

SECRET = bytes(range(32))
PROMPT = list(range(40))


def cached_tokens(pool, **who):
    with pool.open_sequence([*PROMPT, 1], **who) as sequence:
        return sequence.num_cached_tokens


def compute(pool, **who):
    with pool.open_sequence(PROMPT, **who) as sequence:
        sequence.commit(len(PROMPT))


@pytest.mark.parametrize("key_bits", [64, 128])
def test_another_salt_misses_and_the_same_salt_hits(key_bits):
    pool = BlockPool(64, block_size=4, key_bits=key_bits)
    compute(pool, salt_hash=keyed_salt_hash(SECRET, tenant="a"))
    assert cached_tokens(pool, salt_hash=keyed_salt_hash(SECRET, tenant="b")) == 0
    assert cached_tokens(pool) == 0
    assert cached_tokens(pool, salt_hash=keyed_salt_hash(SECRET, tenant="a")) == 40


@pytest.mark.parametrize("key_bits", [64, 128])
def test_another_namespace_misses_and_the_same_namespace_hits(key_bits):
    pool = BlockPool(64, block_size=4, max_namespaces=2, key_bits=key_bits)
    for name in ("a", "b"):
        pool.namespace(name)
    compute(pool, namespace="a")
    assert cached_tokens(pool, namespace="b") == 0
    assert cached_tokens(pool) == 0
    assert cached_tokens(pool, namespace="a") == 40


def test_a_namespace_misses_what_another_has_under_the_very_same_hashes():
    """As when a tenant can choose the salt: the hashes are the victim's, the blocks are still not found."""
    pool = BlockPool(64, block_size=4, max_namespaces=2)
    pool.namespace("victim", salt_hash=9)
    pool.namespace("thief", salt_hash=9)
    compute(pool, namespace="victim")
    hashes = sequence_hashes(PROMPT, 4, salt_hash=9)
    assert len(pool.match_sequence_hashes(hashes, namespace="victim")) == 10
    assert len(pool.match_sequence_hashes(hashes, namespace="thief")) == 0
    assert not pool.match_scattered(hashes, namespace="thief").hits.any()
    assert cached_tokens(pool, namespace="thief") == 0


VALUES = st.one_of(st.text(max_size=8), st.binary(max_size=8), st.integers(0, 2**64 - 1))
PARTS = st.dictionaries(st.text(string.ascii_lowercase, min_size=1, max_size=4), VALUES, min_size=1, max_size=4)


@given(st.lists(VALUES, max_size=4), st.lists(VALUES, max_size=4))
def test_no_two_lists_of_parts_have_the_same_frames(one, two):
    same = [(type(value), value) for value in one] == [(type(value), value) for value in two]
    assert (b"".join(_frame(v, "x") for v in one) == b"".join(_frame(v, "x") for v in two)) == same


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ({"tenant": "ab", "adapter": "c"}, {"tenant": "a", "adapter": "bc"}),
        ({"tenant": "a"}, {"adapter": "a"}),
        ({"tenant": "a"}, {"tenant": b"a"}),
        ({"tenant": "1"}, {"tenant": 1}),
        ({"tenant": ""}, {"tenant": b""}),
        ({"tenant": "a"}, {"tenant": "a", "adapter": ""}),
        ({"ab": "c"}, {"a": "bc"}),
    ],
)
def test_no_text_in_one_part_stands_for_a_text_in_another(one, two):
    assert keyed_salt_hash(SECRET, **one) != keyed_salt_hash(SECRET, **two)


@given(PARTS, PARTS)
def test_equal_parts_in_any_order_and_only_these_have_one_salt(one, two):
    assert keyed_salt_hash(SECRET, **one) == keyed_salt_hash(SECRET, **dict(reversed(one.items())))
    typed = [{(name, type(value), value) for name, value in parts.items()} for parts in (one, two)]
    assert (keyed_salt_hash(SECRET, **one) == keyed_salt_hash(SECRET, **two)) == (typed[0] == typed[1])


def test_the_adapter_and_the_tenant_of_a_router_are_told_apart():
    assert router_salt_hash("x", None) != router_salt_hash(None, "x")
    assert router_salt_hash("x", "y") != router_salt_hash("y", "x")
    assert router_salt_hash("xy", None) != router_salt_hash("x", "y")


@pytest.mark.parametrize(
    ("secret", "parts", "error", "message"),
    [
        (b"short", {"a": "b"}, ValueError, "secret has 5 bytes, not 16 to 64"),
        ("x" * 16, {"a": "b"}, TypeError, "secret must be bytes, not str"),
        (SECRET, {}, ValueError, "there is no part"),
        (SECRET, {"a": 1.5}, TypeError, "a must be a str, bytes or int, not float"),
        (SECRET, {"a": True}, TypeError, "a must be a str, bytes or int, not bool"),
        (SECRET, {"a": -1}, ValueError, r"a = -1 is not in \[0, 2\*\*64\)"),
    ],
)
def test_other_secrets_and_parts_are_refused(secret, parts, error, message):
    with pytest.raises(error, match=message):
        keyed_salt_hash(secret, **parts)


def test_nothing_that_is_read_is_ever_unpickled_or_executed():
    package = Path(kvpool.__file__).parent
    sources = [path for suffix in ("*.py", "*.pyx", "*.pxd") for path in package.rglob(suffix)]
    assert len(sources) > 60
    for path in sources:
        words = path.read_text().split("\n")
        for number, line in enumerate(words, 1):
            code = line.split("#")[0]
            for word in (
                "import pickle",
                "from pickle",
                "import marshal",
                "import shelve",
                "dill",
                " eval(",
                " exec(",
                "allow_pickle=True",
                "yaml.load",
                "ctypes.cast",
            ):
                assert word not in code, f"{path.name}:{number}"
