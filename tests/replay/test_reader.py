"""Both trace formats, and every way in which a line can be wrong."""

from __future__ import annotations

import gzip
import io
import json
import sys

import pytest

from kvpool.replay import TraceError, read_trace
from kvpool.replay import reader as reader_module

GOOD = {"timestamp": 1500, "input_length": 1100, "output_length": 10, "hash_ids": [7, 8, 9]}
QWEN = {
    "chat_id": 1,
    "parent_chat_id": -1,
    "timestamp": 1.5,
    "input_length": 40,
    "output_length": 5,
    "type": "text",
    "turn": 1,
    "hash_ids": [1, 2, 3],
}


LONG_INTS = not getattr(sys, "get_int_max_str_digits", lambda: 0)()  # Python before 3.11 may have no limit


@pytest.fixture
def write(tmp_path):
    def write(*lines):
        path = tmp_path / "trace.jsonl"
        path.write_bytes(b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines))
        return path

    return write


def test_mooncake_times_are_milliseconds_and_a_partial_block_has_no_hash(write):
    trace = read_trace(write(GOOD))
    request = trace.requests[0]
    assert (trace.block_size, request.arrival, request.input_tokens, request.output_tokens) == (512, 1.5, 1100, 10)
    assert request.hashes.tolist() == [7, 8]


def test_mooncake_may_name_its_block_size(write):
    trace = read_trace(write({**GOOD, "block_size": 400}))
    assert trace.block_size == 400
    assert trace.requests[0].hashes.tolist() == [7, 8]


def test_qwen_bailian_times_are_seconds_and_blocks_have_16_tokens(write):
    trace = read_trace(write(QWEN, {**QWEN, "timestamp": 2}))
    assert (trace.block_size, trace.requests[0].arrival, trace.requests[1].arrival) == (16, 1.5, 2.0)
    assert trace.requests[0].hashes.tolist() == [1, 2]


def test_gzip_empty_lines_and_the_largest_hash_are_read(tmp_path):
    path = tmp_path / "trace.jsonl.gz"
    path.write_bytes(gzip.compress(b"\n\n" + json.dumps({**GOOD, "hash_ids": [0, 2**64 - 1]}).encode() + b"\n\n"))
    assert read_trace(path).requests[0].hashes.tolist() == [0, 2**64 - 1]


def test_standard_input_is_read(monkeypatch):
    stdin = io.TextIOWrapper(io.BytesIO(json.dumps(GOOD).encode()))
    monkeypatch.setattr("sys.stdin", stdin)
    assert len(read_trace("-").requests) == 1


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "not JSON: Expecting property name enclosed in double quotes, column "),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"timestamp": 1' + b"0" * 5000 + b"}", "timestamp = " if LONG_INTS else "a number has too many digits"),
        (b"\xff\xfe\x00", "not UTF-8 text"),
        (b"\0\0", "not JSON: Expecting value, column 1"),
        (b"[1]", "not a JSON object but list"),
        ({}, "timestamp is missing"),
        ({**GOOD, "timestamp": "x"}, "timestamp = 'x' is not a number"),
        ({**GOOD, "timestamp": True}, "timestamp = True is not a number"),
        (b'{"timestamp": NaN, "input_length": 1, "output_length": 1, "hash_ids": []}', "timestamp = nan"),
        (b'{"timestamp": 1e999, "input_length": 1, "output_length": 1, "hash_ids": []}', "timestamp = inf"),
        ({**GOOD, "timestamp": -1}, "timestamp = -1"),
        ({**GOOD, "timestamp": 10**400}, "is not in [0, 9000000000000]"),
        ({**GOOD, "timestamp": 9e12 + 1000}, "timestamp = 9000000001000.0 is not in [0, 9000000000000]"),
        ({**QWEN, "timestamp": 9e9 + 1}, "timestamp = 9000000001.0 is not in [0, 9000000000]"),
        ({**GOOD, "input_length": 1.5}, "input_length = 1.5 is not an int"),
        ({**GOOD, "input_length": -1}, "input_length = -1 is not in [0, 2147483647]"),
        ({**GOOD, "output_length": 2**31}, "output_length = 2147483648 is not in [0, 2147483647]"),
        ({**GOOD, "block_size": 0}, "block_size = 0 is not in [1, 1048576]"),
        ({**GOOD, "hash_ids": None}, "hash_ids is missing"),
        ({**GOOD, "hash_ids": "abc"}, "hash_ids is not a list"),
        ({**GOOD, "hash_ids": [1]}, "hash_ids has 1 ids, but 1100 tokens fill 2 blocks of 512"),
        ({**GOOD, "hash_ids": [1, 2, 3, 4]}, "hash_ids has 4 ids, but 1100 tokens need 3 blocks at most"),
        ({**GOOD, "hash_ids": [1, -2]}, "hash_ids[1] = -2 is not in [0, 2**64)"),
        ({**GOOD, "hash_ids": [1, 2**64]}, "hash_ids[1] = 18446744073709551616 is not in [0, 2**64)"),
        ({**GOOD, "hash_ids": [1, None]}, "hash_ids[1] = None is not an int"),
        ({**GOOD, "timestamp": 1}, "arrives at 0.001 s, before the request before, at 1.5 s"),
        (QWEN, "block size 16, but the lines before have 512"),
    ],
)
def test_a_malformed_line_stops_with_file_line_and_reason(write, line, reason):
    path = write(GOOD, b"", line)
    with pytest.raises(TraceError) as caught:
        read_trace(path)
    assert str(caught.value).startswith(f"{path}:3: ")
    assert reason in str(caught.value)


def test_bad_lines_are_counted_when_they_are_to_be_skipped(write):
    trace = read_trace(write(b"junk", GOOD, b"{", {**GOOD, "timestamp": 2000}), skip_bad_lines=True)
    assert (len(trace.requests), trace.bad_lines) == (2, 2)


def test_a_line_that_is_too_long_is_refused_and_can_be_skipped_whole(write, monkeypatch):
    monkeypatch.setattr(reader_module, "MAX_LINE_BYTES", 200)
    path = write(GOOD, b"[" + b" " * 1000 + b"]", {**GOOD, "timestamp": 2000})
    with pytest.raises(TraceError, match=r":2: the line is longer than 200 bytes"):
        read_trace(path)
    trace = read_trace(path, skip_bad_lines=True)
    assert (len(trace.requests), trace.bad_lines) == (2, 1)


def test_a_trace_without_requests_is_an_error(write):
    with pytest.raises(TraceError, match="no requests"):
        read_trace(write(b""))
    with pytest.raises(TraceError, match=r"no requests, 1 bad line$"):
        read_trace(write(b"x"), skip_bad_lines=True)


def test_what_cannot_be_opened_is_named(tmp_path):
    with pytest.raises(TraceError, match=r"nothing: No such file"):
        read_trace(tmp_path / "nothing")
    with pytest.raises(TraceError, match="Is a directory"):
        read_trace(tmp_path)
    broken = tmp_path / "broken.gz"
    broken.write_bytes(gzip.compress(json.dumps(GOOD).encode())[:-12])
    with pytest.raises(TraceError, match=r"broken\.gz"):
        read_trace(broken)


def test_what_a_hostile_line_says_is_not_repeated_at_length(write):
    for value in (["x" * 1000] * 1000, "y" * 100_000, {"z" * 1000: 1}):
        with pytest.raises(TraceError) as caught:
            read_trace(write({**GOOD, "input_length": value}))
        assert len(str(caught.value)) < 500


def test_a_blank_line_that_is_too_long_is_one_bad_line(write, monkeypatch):
    monkeypatch.setattr(reader_module, "MAX_LINE_BYTES", 200)
    path = write(b" " * 1000, GOOD, b"{")
    with pytest.raises(TraceError, match=r":1: the line is longer than 200 bytes"):
        read_trace(path)
    trace = read_trace(path, skip_bad_lines=True)
    assert (len(trace.requests), trace.bad_lines) == (1, 2)


def test_a_line_as_long_as_allowed_is_read(write, monkeypatch):
    line = json.dumps(GOOD).encode()
    monkeypatch.setattr(reader_module, "MAX_LINE_BYTES", len(line))
    assert len(read_trace(write(line, line)).requests) == 2
    with pytest.raises(TraceError, match=r":2: the line is longer"):
        read_trace(write(line, line + b" "))


def test_standard_input_has_a_name_in_errors(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"{")))
    with pytest.raises(TraceError, match=r"^<stdin>:1: not JSON"):
        read_trace("-")
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(TraceError, match=r"^<stdin>: it is closed"):
        read_trace("-")


def test_a_byte_order_mark_is_passed_over(write):
    assert len(read_trace(write(b"\xef\xbb\xbf" + json.dumps(GOOD).encode())).requests) == 1


def test_reading_tells_its_progress(write):
    steps = []
    read_trace(write(*[{**GOOD, "timestamp": time} for time in range(600)]), progress=steps.append)
    assert steps == [256, 256]
