"""``kvpool doctor`` as its users run it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from kvpool import BlockPool
from kvpool.cli import main
from kvpool.diagnosis import PoolDump, serve


@pytest.fixture
def pool(clock):
    """Eight blocks, two of which a request holds, and one a pin."""
    pool = BlockPool(8, 16, clock=clock, name="decode")
    held = pool.allocate_blocks(2, owner="request 7")
    pool.register_blocks(pool.allocate_blocks(1), [5]).release()
    pin = pool.pin([5], owner="prompt")
    yield pool
    held.release()
    pin.release()


@pytest.fixture
def dump_file(pool, tmp_path):
    path = tmp_path / "decode.dump"
    PoolDump.of(pool).save(path)
    return path


def broken(dump):
    children = dump.table.children.copy()
    children[2] = 9
    return replace(dump, table=replace(dump.table, children=children))


def test_healthy_dump_is_shown_with_its_holders_and_exit_code_0(dump_file, capsys):
    assert main(["doctor", str(dump_file)]) == 0
    text = capsys.readouterr().out
    assert text.startswith("decode, process ")
    assert "  8 blocks of 16 tokens, eviction lru, duplicates share\n" in text
    rows = [line.split() for line in text.splitlines()]
    for row in (
        ["mutable", "2", "25.0%"],
        ["immutable", "1", "12.5%"],
        ["empty", "5", "62.5%"],
        ["'request", "7'", "mutable", "1", "2", "0.0", "s"],
        ["'prompt'", "pin", "1", "1", "0.0", "s"],
    ):
        assert row in rows
    assert rows.index(["'request", "7'", "mutable", "1", "2", "0.0", "s"]) < rows.index(
        ["'prompt'", "pin", "1", "1", "0.0", "s"]
    )
    assert text.endswith("All is well: counts and links agree, nothing is held for long.\n")


def test_leak_is_named_and_exit_code_1(pool, clock, dump_file, capsys):
    clock.seconds = 400.0
    PoolDump.of(pool).save(dump_file)
    assert main(["doctor", str(dump_file)]) == 1
    assert capsys.readouterr().out.endswith(
        "warning: 'request 7' holds 2 blocks (mutable) since 400 s\nnote: 'prompt' pins 1 block since 400 s\n"
    )
    assert main(["doctor", str(dump_file), "--max-age", "400"]) == 0
    assert main(["doctor", str(dump_file), "--max-age", "inf"]) == 0


def test_notes_alone_are_no_illness(pool, dump_file, capsys):
    replace(PoolDump.of(pool), is_quiet=False).save(dump_file)
    assert main(["doctor", str(dump_file)]) == 0
    assert "note: the pool was busy" in capsys.readouterr().out


def test_broken_dump_is_named_and_exit_code_1(pool, dump_file, capsys):
    broken(PoolDump.of(pool)).save(dump_file)
    assert main(["doctor", str(dump_file)]) == 1
    text = capsys.readouterr().out
    assert "error: 1 block: children miscounted; it is block 2 (children 9, counted 0)\n" in text


def test_json_has_all_of_it(pool, dump_file, capsys):
    broken(PoolDump.of(pool)).save(dump_file)
    assert main(["doctor", str(dump_file), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["healthy"] is False
    (found,) = report["pools"]
    assert (found["name"], found["num_blocks"], found["block_size"]) == ("decode", 8, 16)
    assert found["status"]["mutable"] == 2
    assert found["holders"][0] == {"owner": "'request 7'", "kind": "mutable", "holds": 1, "blocks": 2, "age": 0.0}
    assert [finding["kind"] for finding in found["findings"]] == ["children"]
    assert found["findings"][0]["numbers"] == {"blocks": 1, "block": 2, "children": 9, "counted": 0}


def test_every_key_of_the_json_is_in_the_help(dump_file, capsys):
    assert main(["doctor", str(dump_file), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    with pytest.raises(SystemExit):
        main(["doctor", "--help"])
    text = capsys.readouterr().out
    assert all(f'"{key}"' in text for key in [*report, *report["pools"][0]])


def test_all_pools_of_a_server_are_examined_or_the_one_that_is_named(pool, capsys):
    other = BlockPool(4)
    with serve({"decode": pool, "other": other}) as server:
        assert main(["doctor", server.url]) == 0
        text = capsys.readouterr().out
        assert "decode, process" in text
        assert "other, process" in text
        assert main(["doctor", server.url, "--pool", "other", "--json"]) == 0
        assert [found["name"] for found in json.loads(capsys.readouterr().out)["pools"]] == ["other"]
        assert main(["doctor", server.url, "--pool", "x"]) == 2
        assert capsys.readouterr().err == "kvpool: there is no pool x: there are decode, other\n"


def test_dump_of_a_server_can_be_kept(pool, tmp_path, capsys):
    path = tmp_path / "kept"
    with serve(pool) as server:
        assert main(["doctor", server.url, "--save", str(path)]) == 0
    kept = PoolDump.load(path)
    assert [hold.owner for hold in kept.holds] == ["'request 7'", "'prompt'"]
    first = capsys.readouterr().out
    assert main(["doctor", str(path)]) == 0
    assert capsys.readouterr().out == first


def test_only_one_dump_can_be_kept(pool, tmp_path, capsys):
    other = BlockPool(4)
    with serve({"decode": pool, "other": other}) as server:
        assert main(["doctor", server.url, "--save", str(tmp_path / "kept")]) == 2
        assert capsys.readouterr().err == "kvpool: --save keeps one dump: choose by --pool, there are decode, other\n"
        assert main(["doctor", server.url, "--pool", "other", "--save", str(tmp_path / "no" / "kept")]) == 2
        assert capsys.readouterr().err == f"kvpool: {tmp_path}/no/kept: No such file or directory\n"


@pytest.mark.parametrize("option", ["--pool", "--save"])
def test_options_for_servers_are_refused_for_files(option, dump_file, capsys):
    assert main(["doctor", str(dump_file), option, "x"]) == 2
    assert capsys.readouterr().err == "kvpool: --pool and --save are for the URL of a pool server\n"


def test_server_without_pools_cannot_be_examined(capsys):
    with serve([]) as server:
        assert main(["doctor", server.url]) == 2
    assert capsys.readouterr().err == "kvpool: --pool NAME is needed: there is none\n"


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("http://127.0.0.1:1", "http://127.0.0.1:1/pools: no answer (Connection refused)"),
        ("http://127.0.0.1:x", "http://127.0.0.1:x is not an address http://HOST:PORT"),
        ("/nonexistent/dump", "/nonexistent/dump: No such file or directory"),
        ("/", "/: Is a directory"),
    ],
)
def test_target_that_is_not_there_is_one_line_and_exit_code_2(target, said, capsys):
    assert main(["doctor", target]) == 2
    assert capsys.readouterr() == ("", f"kvpool: {said}\n")


@pytest.mark.parametrize("data", [b"", b"garbage", b"{}", b"\x00" * 100])
def test_garbage_is_one_line_and_exit_code_2(data, tmp_path, capsys):
    path = tmp_path / "garbage"
    path.write_bytes(data)
    assert main(["doctor", str(path)]) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert captured.err.startswith(f"kvpool: {path}: the dump is not ")


@pytest.mark.parametrize("max_age", ["-1", "nan", "old"])
def test_max_age_that_is_no_age_is_refused(max_age, dump_file, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["doctor", str(dump_file), f"--max-age={max_age}"])
    assert caught.value.code == 2
    assert "--max-age" in capsys.readouterr().err


def test_owners_of_any_name_are_shown_whole_and_the_largest_first(capsys, tmp_path):
    pool = BlockPool(100)
    held = [pool.allocate_blocks(number, owner=f"[b]{number:02}[/] :x: \n" + "long " * 30) for number in range(1, 13)]
    PoolDump.of(pool).save(tmp_path / "dump")
    assert main(["doctor", str(tmp_path / "dump")]) == 0
    text = capsys.readouterr().out
    assert max(len(line) for line in text.splitlines()) <= 79
    assert "[b]12[/] :x: \\n" + "long " * 3 in text
    assert text.index("[b]12[/]") < text.index("[b]11[/]") < text.index("[b]03[/]")
    assert "[b]02[/]" not in text
    assert "and 2 more holders\n" in text
    for blocks in held:
        blocks.release()


def test_many_findings_are_counted_and_only_the_first_shown(clock, capsys, tmp_path):
    pool = BlockPool(100, clock=clock)
    held = [pool.allocate_blocks(1, owner=number) for number in range(30)]
    clock.seconds = 1000.0
    PoolDump.of(pool).save(tmp_path / "dump")
    assert main(["doctor", str(tmp_path / "dump")]) == 1
    text = capsys.readouterr().out
    assert text.count("warning: ") == 21
    assert text.endswith("warning: and 10 more (--json has them all)\n")
    for blocks in held:
        blocks.release()


def test_doctor_needs_no_rich(dump_file):
    program = "import sys; sys.modules['rich'] = None; from kvpool.cli import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", program, "doctor", str(dump_file)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "All is well" in done.stdout
