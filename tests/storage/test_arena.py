import os

import pytest

from kvpool._core.arena import Arena


def test_an_arena_is_a_buffer_of_its_bytes():
    arena = Arena(1000, 64)
    view = memoryview(arena)
    assert (len(arena), len(view), view.readonly) == (1000, 1000, False)
    assert arena.address % 64 == 0
    view[999] = 7
    assert bytes(arena)[998:] == b"\0\7"


def test_a_buffer_keeps_the_memory():
    view = memoryview(Arena(1000))
    view[:] = b"\5" * 1000
    assert bytes(view) == b"\5" * 1000


def test_a_file_that_may_not_be_written_is_a_read_only_buffer(tmp_path):
    (tmp_path / "file").write_bytes(b"x" * 5000)
    fd = os.open(tmp_path / "file", os.O_RDONLY)
    arena = Arena(5000, fd=fd, is_writable=False, populate=True)
    os.close(fd)
    assert memoryview(arena).readonly
    assert bytes(arena) == b"x" * 5000
    arena.sync()


@pytest.mark.parametrize(
    "arguments", [{"nbytes": 0}, {"nbytes": 2**63}, {"alignment": 3}, {"alignment": 0}, {"fd": -2}]
)
def test_a_number_out_of_its_bounds_is_named(arguments):
    (name,) = arguments
    with pytest.raises(ValueError, match=f"{name} = "):
        Arena(**{"nbytes": 4096, **arguments})


def test_what_the_system_refuses_says_why():
    with pytest.raises(OSError, match="Bad file descriptor: 4096 bytes of descriptor 100000"):
        Arena(4096, fd=100000)
    with pytest.raises(MemoryError, match=f"no memory for {2**61} bytes"):
        Arena(2**61)
    with pytest.raises(MemoryError, match=f"aligned to {2**62}"):
        Arena(4096, 2**62)
