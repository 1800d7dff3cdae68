import numpy as np
import pytest
import xxhash
from storage_model import config_of, content, fill_at_random, lazy, region_bytes_of

from kvpool import CorruptionError
from kvpool.storage import BlockChecksums, FullyContiguous, NullStorage, block_checksums, gather_blocks


@pytest.fixture
def storage(kind):
    storage = lazy(kind(config_of(alignment=64)))
    fill_at_random(storage, 1)
    return storage


def test_a_checksum_is_xxh3_of_the_gathered_bytes(storage):
    expected = [xxhash.xxh3_64_intdigest(block.tobytes()) for block in gather_blocks(storage, range(7))]
    assert block_checksums(storage, range(7)).tolist() == expected
    assert block_checksums(storage, [3, 3]).tolist() == [expected[3]] * 2
    assert block_checksums(storage, []).tolist() == []


def test_every_flipped_bit_is_found_and_blamed_on_its_block(storage):
    checksums = BlockChecksums(storage)
    checksums.record(range(7))
    generator = np.random.default_rng(2)
    for _ in range(200):
        block, layer, outer = (int(generator.integers(n)) for n in (7, 3, 2))
        region = region_bytes_of(storage, block, layer, outer)
        byte, bit = int(generator.integers(len(region))), np.uint8(1 << generator.integers(8))
        region[byte] ^= bit
        assert checksums.find_changed().tolist() == [block]
        with pytest.raises(CorruptionError, match=f"1 immutable blocks were written into: {block}"):
            checksums.verify()
        region[byte] ^= bit
    assert checksums.find_changed().dtype == np.int32
    checksums.verify()


def test_gaps_between_regions_are_nobodys(storage):
    checksums = BlockChecksums(storage)
    checksums.record(range(7))
    before = content(storage)
    for part in storage.memory.owner:
        view = np.frombuffer(part, np.uint8)
        view[80:128] ^= 255
    assert np.array_equal(content(storage), before)
    checksums.verify()


def test_only_recorded_blocks_are_looked_at():
    storage = lazy(FullyContiguous(config_of()))
    fill_at_random(storage, 1)
    checksums = BlockChecksums(storage)
    checksums.verify()
    checksums.record([1, 2, 3])
    for block in (0, 2, 3):
        region_bytes_of(storage, block, 0, 0)[0] ^= 1
    assert checksums.find_changed().tolist() == [2, 3]
    assert checksums.find_changed([3, 0, 1]).tolist() == [3]
    checksums.forget([3])
    assert checksums.find_changed().tolist() == [2]
    checksums.record([2])
    checksums.verify([2, 3])


def test_many_changed_blocks_are_counted_and_some_named():
    storage = lazy(FullyContiguous(config_of(num_blocks=50)))
    checksums = BlockChecksums(storage)
    checksums.record(range(50))
    fill_at_random(storage, 1)
    with pytest.raises(CorruptionError, match=r"50 immutable blocks were written into: 0, 1, .*9, \.\.\.$"):
        checksums.verify()


def test_a_block_that_is_not_there_has_no_checksum():
    storage = lazy(FullyContiguous(config_of()))
    checksums = BlockChecksums(storage)
    for call in (checksums.record, checksums.forget, checksums.find_changed, lambda ids: block_checksums(storage, ids)):
        with pytest.raises(IndexError, match=r"ids\[0\] = 7 is not in \[0, 6\]"):
            call([7])


def test_a_device_has_no_checksums():
    device = NullStorage(FullyContiguous(config_of()), device=(2, 0))
    for call in (lambda: BlockChecksums(device), lambda: block_checksums(device, [0])):
        with pytest.raises(ValueError, match=r"device \(2, 0\) is not the host's"):
            call()
