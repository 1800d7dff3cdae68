"""Files that cannot be written to their end, and files that end too early: one error, and what was there stays.

Saved indexes have theirs in tests/persistence, the standard streams of the command line in tests/cli.
"""

import gzip
import json
import os

import pytest

from kvpool.cli import main
from kvpool.replay import TraceError, read_trace

needs_full = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")


def trace_lines(n):
    return [
        json.dumps({"timestamp": i, "input_length": 1024, "output_length": 4, "hash_ids": [i % 7, 100 + i]}) + "\n"
        for i in range(n)
    ]


def test_a_dump_that_does_not_fit_leaves_the_old_one(run_python, tmp_path):
    run_python(f"""
        import os, resource
        from kvpool import BlockPool
        from kvpool.diagnosis import PoolDump

        def dump(n):
            pool = BlockPool(4096)
            pool.register_blocks(pool.allocate_blocks(n), [0x9E3779B97F4A7C15 * i % 2**64 for i in range(n)])
            return PoolDump.of(pool)

        os.chdir({str(tmp_path)!r})
        dump(10).save("dump")
        old = open("dump", "rb").read()
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(old) + 4096, len(old) + 4096))
        try:
            dump(4000).save("dump")
        except OSError as error:
            assert "File too large" in str(error), error
        else:
            raise AssertionError("it was saved")
        assert os.listdir() == ["dump"]
        assert open("dump", "rb").read() == old
        """)


def test_a_file_for_blocks_that_does_not_fit_is_not_left_behind(run_python, tmp_path):
    run_python(f"""
        import os, resource
        from kvpool.storage import FullyContiguous, LayoutConfig, MappedFileStorage

        os.chdir({str(tmp_path)!r})
        resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
        layout = FullyContiguous(LayoutConfig(1024, 2, 2, page_size=16, inner_dim=64))
        for reserve in (True, False):
            try:
                MappedFileStorage(layout, "blocks", reserve=reserve)
            except OSError:
                pass
            else:
                raise AssertionError("it was made")
            assert os.listdir() == []
        """)


@needs_full
@pytest.mark.parametrize("option", ["--report", "--png"])
def test_a_picture_that_does_not_fit_is_one_line_that_names_its_file(option, capsys):
    if option == "--png":
        pytest.importorskip("matplotlib")
    assert main(["replay", "--requests", "20", option, "/dev/full"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == "kvpool: /dev/full: No space left on device"


def test_a_compressed_trace_cut_short_anywhere_is_refused(tmp_path):
    path = tmp_path / "trace.jsonl.gz"
    data = gzip.compress("".join(trace_lines(5)).encode())
    path.write_bytes(data)
    assert len(read_trace(path).requests) == 5
    for size in range(len(data)):
        path.write_bytes(data[:size])
        with pytest.raises(TraceError):
            read_trace(path)


def test_a_trace_cut_short_anywhere_has_its_whole_lines_or_is_refused_by_line(tmp_path):
    path = tmp_path / "trace.jsonl"
    data = "".join(trace_lines(4))
    refused = []
    for size in range(1, len(data) + 1):
        path.write_text(data[:size])
        lines = data[:size].split("\n")
        if lines[-1] == "" or lines[-1].endswith("}"):
            assert len(read_trace(path).requests) == sum(bool(line) for line in lines)
        else:
            refused.append(size)
            with pytest.raises(TraceError, match=f":{len(lines)}: "):
                read_trace(path)
    assert len(data) - len(refused) == 2 * 4  # each line without its end, and with it
