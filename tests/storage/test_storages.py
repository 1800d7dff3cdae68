"""What all storages have in common, and the one without memory."""

import copy
import pickle

import numpy as np
import pytest
from storage_model import config_of, lazy

from kvpool.storage import FullyContiguous, HostStorage, LayerSeparate, NullStorage, Storage


def test_a_storage_says_where_it_is(kind):
    storage = lazy(kind(config_of()))
    assert (storage.device, storage.is_host, storage.is_writable, storage.is_zeroed) == ((1, 0), True, True, True)
    assert (storage.num_blocks, storage.nbytes) == (7, storage.layout.nbytes)
    assert len(storage.memory.bases) == storage.layout.num_parts
    assert "bytes on device (1, 0)" in repr(storage)


def test_a_closed_storage_answers_no_questions_about_memory():
    with lazy(FullyContiguous(config_of())) as storage:
        assert not storage.is_closed
    assert storage.is_closed
    assert "closed" in repr(storage)
    assert storage.nbytes == storage.layout.nbytes
    for ask in (lambda: storage.memory, lambda: storage.address(0, 0, 0), lambda: storage.device):
        with pytest.raises(ValueError, match="HostStorage is closed"):
            ask()
    storage.close()


def test_memory_that_somebody_has_outlives_the_storage():
    storage = lazy(FullyContiguous(config_of()))
    view = np.frombuffer(storage.memory.owner[0], np.uint8)
    view[:] = 7
    storage.close()
    del storage
    assert view.sum() == 7 * len(view)


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_storage_cannot_be_copied_or_pickled(make):
    storage = lazy(FullyContiguous(config_of()))
    for thing in (storage, storage.memory, storage.layout.geometry, storage.memory.owner[0]):
        with pytest.raises(TypeError, match="cannot be copied or pickled"):
            make(thing)


def test_a_storage_of_your_own_needs_an_address_for_each_part():
    layout = LayerSeparate(config_of())
    room = np.zeros(layout.nbytes, np.uint8)
    bases = [room.ctypes.data + part * layout.part_bytes for part in range(3)]
    assert Storage(layout, bases, room).address(0, 2, 0) == bases[2]
    with pytest.raises(ValueError, match="2 addresses are given for 3 parts"):
        Storage(layout, bases[:2], room)
    with pytest.raises(ValueError, match="two parts overlap"):
        Storage(layout, [bases[0], bases[1], bases[1] + 1], room)
    with pytest.raises(ValueError, match="wraps around"):
        Storage(layout, [bases[0], bases[1], 2**64 - 1], room)
    with pytest.raises(ValueError, match="wraps around"):
        Storage(layout, [0, bases[1], bases[2]], room)
    with pytest.raises(ValueError, match="base = -1"):
        Storage(layout, [-1, bases[1], bases[2]], room)


def test_a_null_storage_has_addresses_and_no_memory(kind):
    storage = NullStorage(kind(config_of(alignment=4096)), device=(2, 1))
    assert (storage.device, storage.is_host) == ((2, 1), False)
    assert storage.address(6, 2, 1) % 4096 == 0
    assert len(set(storage.memory.bases)) == storage.layout.num_parts


def test_an_idle_storage_of_any_size_takes_a_fixed_time_and_memory():
    """Nothing is done for a block: two thousand million blocks are as quick as one."""
    storage = NullStorage(FullyContiguous(config_of(num_blocks=2**31 - 103)))
    assert storage.memory.__sizeof__() == NullStorage(FullyContiguous(config_of())).memory.__sizeof__()
    assert storage.address(2**31 - 104, 2, 1) - storage.address(0, 0, 0) == (2**31 - 104) * 480 + 5 * 80


def test_host_memory_is_zero_aligned_and_writable(kind):
    for alignment in (1, 256, 65536):
        for populate in (True, False):
            storage = HostStorage(kind(config_of(alignment=alignment)), populate=populate)
            assert all(base % max(alignment, 256) == 0 for base in storage.memory.bases)
            for part in storage.memory.owner:
                view = np.frombuffer(part, np.uint8)
                assert not view.any()
                view[:] = 255
                assert view.all()
