"""Whatever bytes come from files and from the network: they are read, or refused with the documented error."""

import importlib.util
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

MEGABYTE = 2**20


def load_readers():
    """Import the file beside this one, which is in no package."""
    spec = importlib.util.spec_from_file_location("readers", Path(__file__).with_name("readers.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


READERS = load_readers().READERS

# What parsers stumble over.
PIECES = [
    b"",
    b"\0",
    b"\xff" * 8,
    b"\0" * 7 + b"\x80",
    b"\xff" * 7 + b"\x7f",
    b"-1",
    b"1e999",
    b"NaN",
    b"null",
    b"true",
    b"[]",
    b"{}",
    b'"',
    b"\\ud800",
    b"\xef\xbb\xbf",
    b"[" * 3000,
    b"9" * 5000,
    b"18446744073709551616",
    b"\n",
    b"\t",
]
EDITS = st.tuples(
    st.integers(0, 2**16),
    st.one_of(st.none(), st.integers(0, 40)),  # bytes that go; None: as many as come
    st.one_of(st.sampled_from(PIECES), st.binary(max_size=12)),
)


def edited(data, edits):
    """Bytes with pieces of them replaced."""
    for place, length, piece in edits:
        start = place % (len(data) + 1)
        data = data[:start] + piece + data[start + (len(piece) if length is None else length) :]
    return data


@pytest.fixture(params=READERS)
def reader(request, tmp_path):
    """Each of the readers."""
    if request.param == "replay":
        pytest.importorskip("zmq")
    return READERS[request.param](tmp_path)


def test_good_bytes_are_read(reader):
    for seed in reader.seeds:
        assert reader(seed)


def test_bytes_cut_short_are_read_or_refused(reader):
    for seed in reader.seeds:
        for size in range(0, len(seed), 1 + len(seed) // 200):
            reader(seed[:size])


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(which=st.integers(0, 7), edits=st.lists(EDITS, min_size=1, max_size=4))
def test_damaged_bytes_are_read_or_refused(reader, which, edits):
    reader(edited(reader.seeds[which % len(reader.seeds)], edits))


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(reader, data):
    reader(data)


@pytest.mark.own_memory
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(which=st.integers(0, 7), edits=st.lists(EDITS, min_size=1, max_size=4))
def test_no_bytes_take_much_memory(reader, which, edits):
    data = edited(reader.seeds[which % len(reader.seeds)], edits)
    tracemalloc.start()
    try:
        reader(data)
        assert tracemalloc.get_traced_memory()[1] < 8 * MEGABYTE
    finally:
        tracemalloc.stop()
