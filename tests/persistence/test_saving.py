"""Writing an index: the file has the old one or the new one, whatever happens in between."""

import errno
import fcntl
import os
import stat

import pytest

from kvpool.persistence import replacement


@pytest.fixture
def pool(empty, store):
    """A pool whose index is another one than `saved`."""
    pool = empty()
    store(pool, [1, 2])
    return pool


def leave_behind(path, name="0123abcd"):
    """What a save that was killed leaves."""
    leftover = path.with_name(f".{path.name}.{name}.saving")
    leftover.write_bytes(b"half an index")
    return leftover


def test_nothing_but_the_file_is_left(saved, path, pool):
    pool.save_index(path)
    assert os.listdir(path.parent) == [path.name]
    assert path.read_bytes() != saved


@pytest.mark.parametrize("function", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "no space"), KeyboardInterrupt()], ids=["error", "interrupt"])
def test_a_save_that_fails_leaves_the_old_file_alone(function, error, saved, path, pool, monkeypatch):
    def fail(*args):
        raise error

    monkeypatch.setattr(os, function, fail)
    with pytest.raises(type(error)):
        pool.save_index(path)
    assert os.listdir(path.parent) == [path.name]
    assert path.read_bytes() == saved


def test_a_full_disk_leaves_the_old_file(saved, path, pool, monkeypatch):
    temporary = str(path.with_name("full"))
    monkeypatch.setattr(replacement, "_make_file", lambda *args: (os.open("/dev/full", os.O_RDWR), temporary))
    with pytest.raises(OSError, match="No space left on device"):
        pool.save_index(path)
    assert path.read_bytes() == saved


def test_a_limit_on_the_size_of_files_leaves_the_old_file(run_python, tmp_path):
    run_python(f"""
        import os, resource
        from kvpool import BlockPool

        def fill(n):
            pool = BlockPool(1024)
            pool.register_blocks(pool.allocate_blocks(n), range(n))
            return pool

        os.chdir({str(tmp_path)!r})
        fill(10).save_index("index")
        old = open("index", "rb").read()
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        try:
            fill(1000).save_index("index")
        except OSError as error:
            assert "File too large" in str(error), error
        else:
            raise AssertionError("it was saved")
        assert os.listdir() == ["index"]
        assert open("index", "rb").read() == old
        fill(20).save_index("index")
        assert BlockPool(1024).load_index("index") == 20
    """)


def test_what_is_no_file_is_not_replaced(tmp_path, pool):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        before = os.lstat(tmp_path / name)
        with pytest.raises(FileExistsError, match="is there, and is not a file"):
            pool.save_index(tmp_path / name)
        assert os.lstat(tmp_path / name) == before
    with pytest.raises(FileExistsError):
        pool.save_index("")
    with pytest.raises(FileNotFoundError):
        pool.save_index(tmp_path / "nowhere" / "index")
    assert sorted(os.listdir(tmp_path)) == ["folder", "pipe"]


def test_a_link_is_replaced_and_not_followed(saved, path, pool, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(path)
    pool.save_index(link)
    assert not link.is_symlink()
    assert path.read_bytes() == saved


def test_leftovers_of_a_killed_save_are_removed_by_the_next_one(saved, path, pool):
    leftover = leave_behind(path)
    others = [leave_behind(path.with_name("other.index")), path.with_name(f".{path.name}.mine")]
    others[1].write_bytes(b"")
    pool.save_index(path)
    assert not leftover.exists()
    assert all(other.exists() for other in others)


def test_what_another_process_still_writes_is_not_removed(saved, path, pool):
    leftover = leave_behind(path)
    with open(leftover, "rb+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        pool.save_index(path)
        assert leftover.exists()
    pool.save_index(path)
    assert not leftover.exists()


def test_what_only_looks_like_a_leftover_stays(saved, path, pool, tmp_path):
    target = tmp_path / "target"
    target.write_bytes(b"precious")
    link = path.with_name(f".{path.name}.00000000.saving")
    link.symlink_to(target)
    pipe = path.with_name(f".{path.name}.11111111.saving")
    os.mkfifo(pipe)
    pool.save_index(path)
    assert link.is_symlink()
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert target.read_bytes() == b"precious"


def test_a_save_begins_anew_when_its_file_is_taken_for_a_leftover(saved, path, pool, monkeypatch):
    lock, calls = fcntl.flock, []

    def steal(descriptor, operation):
        calls.append(descriptor)
        if len(calls) == 1:
            raise BlockingIOError
        if len(calls) == 2:
            os.unlink(os.readlink(f"/proc/self/fd/{descriptor}"))
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", steal)
    pool.save_index(path)
    assert len(calls) == 3
    assert path.read_bytes() != saved


def test_a_file_system_without_locks_keeps_its_leftovers(saved, path, pool, monkeypatch):
    def refuse(descriptor, operation):
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", refuse)
    leftover = leave_behind(path)
    pool.save_index(path)
    assert path.read_bytes() != saved
    assert leftover.exists()


@pytest.mark.parametrize(("number", "is_raised"), [(errno.EINVAL, False), (errno.EIO, True)])
def test_a_folder_that_cannot_be_brought_to_the_disk_is_told_of_if_it_should(
    number, is_raised, saved, path, pool, monkeypatch
):
    sync = os.fsync

    def fail(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, "no")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fail)
    if is_raised:
        with pytest.raises(OSError, match="no"):
            pool.save_index(path)
    else:
        pool.save_index(path)
    assert path.read_bytes() != saved
    assert os.listdir(path.parent) == [path.name]


def test_taken_names_are_passed_over_until_there_are_too_many(saved, path, pool, monkeypatch):
    names = iter(["0" * 8, "1" * 8])
    monkeypatch.setattr(replacement.secrets, "token_hex", lambda size: next(names))
    with open(leave_behind(path, "0" * 8), "rb+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        pool.save_index(path)
        assert path.read_bytes() != saved
        monkeypatch.setattr(replacement.secrets, "token_hex", lambda size: "0" * 8)
        with pytest.raises(FileExistsError, match="100 names of temporary files"):
            pool.save_index(path)


def test_a_save_killed_at_any_moment_leaves_the_old_index_or_the_new_one(run_python, tmp_path):
    output = run_python(f"""
        import os, random, signal, time
        from kvpool import BlockPool

        def fill(first):
            pool = BlockPool(20_000)
            pool.register_blocks(pool.allocate_blocks(20_000), range(first, first + 20_000))
            return pool

        os.chdir({str(tmp_path)!r})
        pools = fill(0), fill(100_000)
        start = time.perf_counter()
        for pool in pools * 3:
            pool.save_index("index")
        span = (time.perf_counter() - start) / 6
        current, random = 1, random.Random(1)
        outcomes, leftovers = [0, 0], 0
        for _ in range(200):
            told, tell = os.pipe()
            child = os.fork()
            if child == 0:
                os.write(tell, b"!")
                pools[1 - current].save_index("index")
                os._exit(0)
            os.read(told, 1)
            end = time.perf_counter() + random.uniform(0, span)
            while time.perf_counter() < end:
                pass
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            os.close(told)
            os.close(tell)
            loaded = BlockPool(20_000)
            assert loaded.load_index("index") == 20_000
            is_new = loaded.contains([100_000 * (1 - current) + 17]).item()
            assert is_new != loaded.contains([100_000 * current + 17]).item()
            loaded.check_invariants()
            outcomes[is_new] += 1
            span *= 0.9 if is_new else 1.1  # a child may take longer than its parent did: both come to pass
            current = 1 - current if is_new else current
            left = [name for name in os.listdir() if name != "index"]
            assert len(left) <= 1, left
            leftovers += len(left)
        pools[0].save_index("index")
        assert os.listdir() == ["index"]
        print(*outcomes, leftovers)
    """)
    old, new, leftovers = map(int, output.split())
    assert old + new == 200
    assert min(old, new, leftovers) > 0
