import os

import numpy as np
import pytest
from storage_model import config_of

from kvpool.storage import FullyContiguous, LayoutConfig, MappedFileStorage, gather_blocks, scatter_blocks


def pattern(layout, n):
    return np.random.default_rng(n).integers(0, 256, (n, layout.block_bytes), dtype=np.uint8)


def test_a_file_has_its_blocks_again_when_it_is_reopened(kind, tmp_path):
    layout, path = kind(config_of(alignment=64)), tmp_path / "blocks"
    with MappedFileStorage(layout, path) as storage:
        assert storage.is_zeroed
        scatter_blocks(storage, [6, 0, 3], pattern(layout, 3))
        storage.sync()
    for mode in ("r", "r+"):
        with MappedFileStorage(layout, path, mode) as storage:
            assert not storage.is_zeroed
            assert np.array_equal(gather_blocks(storage, [6, 0, 3]), pattern(layout, 3))
            assert not gather_blocks(storage, [1, 2, 4, 5]).any()


def test_a_file_is_nothing_but_the_parts_one_behind_the_other(kind, tmp_path):
    layout, path = kind(config_of(page_size=16, inner_dim=8, dtype="uint8")), tmp_path / "blocks"
    with MappedFileStorage(layout, path) as storage:
        written = pattern(layout, 7)
        scatter_blocks(storage, range(7), written)
        offsets = [base - storage.memory.bases[0] for base in storage.memory.bases]
    data = path.read_bytes()
    assert offsets == sorted(offsets)
    for layer in range(3):
        for outer in range(2):
            part, offset, size = layout.region(4, layer, outer)
            at = offsets[part] + offset
            first = (layer * 2 + outer) * size
            assert data[at : at + size] == written[4, first : first + size].tobytes()


def test_two_storages_of_a_file_see_each_other(tmp_path):
    layout = FullyContiguous(config_of())
    with MappedFileStorage(layout, tmp_path / "blocks") as one:
        two = MappedFileStorage(layout, tmp_path / "blocks", "r")
        scatter_blocks(one, [2], pattern(layout, 1))
        assert np.array_equal(gather_blocks(two, [2]), pattern(layout, 1))


def test_an_existing_file_is_not_overwritten(tmp_path):
    path = tmp_path / "blocks"
    path.write_bytes(b"precious")
    with pytest.raises(FileExistsError):
        MappedFileStorage(FullyContiguous(config_of()), path)
    assert path.read_bytes() == b"precious"


def test_a_file_of_another_size_is_refused_with_both_sizes_and_left_alone(tmp_path):
    path = tmp_path / "blocks"
    path.write_bytes(b"precious")
    for mode in ("r", "r+"):
        with pytest.raises(ValueError, match=r"has 8 bytes, not the 3584 of <FullyContiguous"):
            MappedFileStorage(FullyContiguous(config_of()), path, mode)
    assert path.read_bytes() == b"precious"


def test_a_file_that_is_not_there_is_not_made_to_read_it(tmp_path):
    for mode in ("r", "r+"):
        with pytest.raises(FileNotFoundError):
            MappedFileStorage(FullyContiguous(config_of()), tmp_path / "blocks", mode)
    assert os.listdir(tmp_path) == []
    with pytest.raises(ValueError, match="mode = 'w'"):
        MappedFileStorage(FullyContiguous(config_of()), tmp_path / "blocks", "w")


def test_a_file_opened_to_read_is_not_written(tmp_path):
    layout = FullyContiguous(config_of())
    MappedFileStorage(layout, tmp_path / "blocks").close()
    with MappedFileStorage(layout, tmp_path / "blocks", "r") as storage:
        assert not storage.is_writable
        with pytest.raises(ValueError, match="read-only"):
            scatter_blocks(storage, [0], pattern(layout, 1))


def test_an_attempt_that_fails_leaves_no_file(tmp_path):
    layout = FullyContiguous(config_of(page_size=2**50, inner_dim=1))
    with pytest.raises((OSError, MemoryError)):
        MappedFileStorage(layout, tmp_path / "blocks")
    assert os.listdir(tmp_path) == []


def test_a_file_of_five_gigabytes_takes_room_for_what_is_written(tmp_path):
    layout = FullyContiguous(LayoutConfig(40_000, 2, 2, page_size=16, inner_dim=1024))
    path = tmp_path / "blocks"
    with MappedFileStorage(layout, path, reserve=False) as storage:
        scatter_blocks(storage, [39_999], pattern(layout, 1))
        assert np.array_equal(gather_blocks(storage, [39_999]), pattern(layout, 1))
        storage.sync()
    assert path.stat().st_size == layout.nbytes > 2**32
    assert path.stat().st_blocks * 512 < 2**24
    with MappedFileStorage(layout, path, "r") as storage:
        assert np.array_equal(gather_blocks(storage, [39_999]), pattern(layout, 1))


def test_a_reserved_file_has_its_room_from_the_beginning(tmp_path):
    layout = FullyContiguous(LayoutConfig(64, 2, 2, page_size=16, inner_dim=1024))
    MappedFileStorage(layout, tmp_path / "blocks").close()
    assert (tmp_path / "blocks").stat().st_blocks * 512 >= layout.nbytes


def test_a_closed_file_cannot_be_synced(tmp_path):
    storage = MappedFileStorage(FullyContiguous(config_of()), tmp_path / "blocks")
    storage.close()
    with pytest.raises(ValueError, match="closed"):
        storage.sync()
