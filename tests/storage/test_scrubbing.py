"""Which blocks are filled with zeros, and that no byte of a neighbour is."""

import numpy as np
import pytest
from storage_model import config_of, content, fill_at_random, lazy, parts_of, region_bytes_of

from kvpool.storage import (
    FullyContiguous,
    LayerSeparate,
    MappedFileStorage,
    NullStorage,
    Storage,
    new_scrub_ledger,
    scrub_blocks,
)


def regions_mask(storage, blocks):
    """For each byte of each part whether it is of a region of these blocks."""
    masks = [np.zeros(storage.layout.part_bytes, bool) for _ in range(storage.layout.num_parts)]
    config = storage.layout.config
    for block in blocks:
        for layer in range(config.num_layers):
            for outer in range(config.outer_dim):
                part, offset, size = storage.layout.region(block, layer, outer)
                masks[part][offset : offset + size] = True
    return masks


@pytest.mark.parametrize("alignment", [1, 64])
@pytest.mark.parametrize("blocks", [[0], [6], [2, 3], [0, 6, 3], list(range(7))])
def test_scrubbing_fills_these_regions_and_no_other_byte(kind, alignment, blocks):
    storage = lazy(kind(config_of(alignment=alignment)))
    fill_at_random(storage, 1)
    before = parts_of(storage)
    scrub_blocks(storage, blocks)
    for now, was, mask in zip(parts_of(storage), before, regions_mask(storage, blocks), strict=True):
        assert np.array_equal(now, np.where(mask, 0, was))


def test_scrubbing_reaches_the_end_of_large_memory():
    storage = lazy(FullyContiguous(config_of(num_blocks=40_000, page_size=64, inner_dim=512)))
    assert storage.nbytes > 2**32
    for block in (39_998, 39_999):
        region_bytes_of(storage, block, 2, 1)[:] = 9
    scrub_blocks(storage, [39_999])
    assert not region_bytes_of(storage, 39_999, 2, 1).any()
    assert region_bytes_of(storage, 39_998, 2, 1).all()


def test_a_block_that_is_not_there_is_not_scrubbed(tmp_path):
    storage = lazy(FullyContiguous(config_of()))
    fill_at_random(storage, 1)
    with pytest.raises(IndexError, match=r"ids\[1\] = 7 is not in \[0, 6\]"):
        scrub_blocks(storage, [0, 7])
    assert all(part.all() for part in parts_of(storage))


def test_a_read_only_storage_is_not_scrubbed(tmp_path):
    layout = FullyContiguous(config_of())
    MappedFileStorage(layout, tmp_path / "blocks").close()
    storage = MappedFileStorage(layout, tmp_path / "blocks", "r")
    with pytest.raises(ValueError, match="read-only"):
        scrub_blocks(storage, [0])
    with pytest.raises(ValueError, match="cannot be kept: the storage is read-only"):
        new_scrub_ledger(storage)
    assert new_scrub_ledger(storage, "never").rule == "never"


class Owner:
    """Somebody who gets blocks for a namespace, looks at them, and fills them with a mark."""

    def __init__(self, ledger, storage, space, mark):
        self.ledger, self.storage, self.space, self.mark = ledger, storage, space, mark

    def take(self, blocks):
        """Return the marks that are in the blocks when they are handed out."""
        self.ledger.arriving(blocks, self.space)
        seen = [sorted(set(np.unique(content(self.storage)[block])) - {0}) for block in blocks]
        for block in blocks:
            for layer in range(3):
                for outer in range(2):
                    region_bytes_of(self.storage, block, layer, outer)[:] = self.mark
        return seen


@pytest.fixture
def storage(kind):
    return lazy(kind(config_of(alignment=64)))


def owners(storage, rule):
    ledger = new_scrub_ledger(storage, rule)
    return ledger, Owner(ledger, storage, 1, 11), Owner(ledger, storage, 2, 22)


def test_never_leaves_everything(storage):
    _, one, two = owners(storage, "never")
    assert one.take([0, 1]) == [[], []]
    assert two.take([1, 2]) == [[11], []]


def test_a_namespace_never_sees_anothers_bytes_and_keeps_its_own(storage):
    ledger, one, two = owners(storage, "namespaces")
    assert one.take([0, 1, 2]) == [[], [], []]
    ledger.leaving([0, 1, 2])
    assert one.take([1]) == [[11]]
    assert two.take([1, 3]) == [[], []]
    assert one.take([0, 1, 2, 3]) == [[11], [], [11], []]


def test_on_free_a_block_is_empty_once_it_is_given_back(storage):
    ledger, one, two = owners(storage, "free")
    one.take([0, 1, 2])
    ledger.leaving([0, 1])
    assert not content(storage)[[0, 1]].any()
    assert content(storage)[2].all()
    assert two.take([0, 1, 2]) == [[], [], []]  # the last one was evicted, or reset


def test_on_allocate_nobody_sees_anything(storage):
    ledger, one, _ = owners(storage, "allocate")
    one.take([0, 1])
    ledger.leaving([0, 1])
    assert content(storage)[[0, 1]].all()
    assert one.take([0, 1]) == [[], []]


@pytest.mark.parametrize("rule", ["namespaces", "free", "allocate"])
def test_a_random_history_leaks_no_byte_and_touches_no_neighbour(storage, rule):
    generator = np.random.default_rng(5)
    ledger, *both = owners(storage, rule)
    holds = {}
    for _ in range(120):
        who = both[generator.integers(2)]
        block = int(generator.integers(7))
        before = content(storage)
        if block in holds:
            if generator.integers(2):
                ledger.leaving([block])
            del holds[block]
        else:
            (seen,) = who.take([block])
            assert seen == [] or (rule == "namespaces" and seen == [who.mark])
            holds[block] = who.mark
        after = content(storage)
        others = [b for b in range(7) if b != block]
        assert np.array_equal(before[others], after[others])
        for held, mark in holds.items():
            assert (after[held] == mark).all()


def test_memory_that_was_used_before_is_dirty_for_everybody(kind):
    layout = kind(config_of())
    room = lazy(layout)
    fill_at_random(room, 3)
    storage = Storage(layout, room.memory.bases, room.memory)
    before = content(room)
    ledger = new_scrub_ledger(storage)
    ledger.arriving([2, 4])
    after = content(room)
    assert not after[[2, 4]].any()
    assert np.array_equal(after[[0, 1, 3, 5, 6]], before[[0, 1, 3, 5, 6]])


def test_a_rule_is_one_of_four():
    storage = lazy(FullyContiguous(config_of()))
    for rule in ("always", "", None, 1):
        with pytest.raises(ValueError, match=r"rule = .* is not one of"):
            new_scrub_ledger(storage, rule)
    assert new_scrub_ledger(storage).rule == "namespaces"


@pytest.mark.parametrize(("space", "error"), [(256, ValueError), (-1, ValueError), (True, TypeError)])
def test_a_namespace_number_is_checked(space, error):
    with pytest.raises(error, match="space"):
        new_scrub_ledger(lazy(FullyContiguous(config_of()))).arriving([0], space)


def test_blocks_of_a_device_are_filled_by_its_hook_when_they_are_handed_out():
    device = NullStorage(LayerSeparate(config_of()), device=(2, 0))
    with pytest.raises(ValueError, match=r"needs a scrub_hook for memory of device \(2, 0\)"):
        new_scrub_ledger(device)
    with pytest.raises(ValueError, match=r"device \(2, 0\) needs the scrub_hook"):
        scrub_blocks(device, [0])
    calls = []
    device.scrub_hook = lambda storage, ids: calls.append((storage, ids.tolist()))
    scrub_blocks(device, [3])
    ledger = new_scrub_ledger(device, "free")
    ledger.arriving([0, 1])
    ledger.leaving([0, 1])
    ledger.arriving([1, 0], 5)
    assert calls == [(device, [3]), (device, [0, 1]), (device, [1, 0])]


def test_a_hook_that_fails_leaves_the_blocks_dirty():
    device = NullStorage(LayerSeparate(config_of()), device=(2, 0))
    answers = iter([RuntimeError("the device is gone"), None])

    def scrub(storage, ids):
        answer = next(answers)
        if answer is not None:
            raise answer

    device.scrub_hook = scrub
    ledger = new_scrub_ledger(device)
    with pytest.raises(RuntimeError, match="the device is gone"):
        ledger.arriving([0])
    ledger.arriving([0])
    with pytest.raises(StopIteration):
        next(answers)
