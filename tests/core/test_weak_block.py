from kvpool import ImmutableBlock, WeakBlock


def test_a_weak_block_does_not_hold(pool, store):
    block = store(pool, [1])[0]
    weak = block.downgrade()
    assert isinstance(weak, WeakBlock)
    assert (weak.id, weak.sequence_hash, repr(weak)) == (0, 1, "<WeakBlock 0>")
    assert not block.released
    block.release()
    assert pool.status().active == 0


def test_a_cached_block_can_be_upgraded(pool, store):
    weak = store(pool, [1])[0].downgrade()
    block = weak.upgrade()
    assert isinstance(block, ImmutableBlock)
    assert (block.id, block.sequence_hash) == (0, 1)
    assert pool.status().active == 1
    block.release()
    assert weak.upgrade() is not None
    assert pool.status().active == 0


def test_a_held_block_can_be_upgraded_to_a_further_hold(pool, store):
    block = store(pool, [1])[0]
    again = block.downgrade().upgrade()
    block.release()
    assert pool.status().active == 1
    assert again.sequence_hash == 1
    again.release()
    assert pool.status().active == 0


def test_an_upgraded_block_holds_its_ancestors(pool, store):
    weak = store(pool, [1, 2, 3])[2].downgrade()
    again = weak.upgrade()
    assert pool.status().active == 3
    del again


def test_an_evicted_block_cannot_be_upgraded(pool, store):
    weak = store(pool, [1])[0].downgrade()
    taken = pool.allocate_blocks(16)
    assert weak.upgrade() is None
    del taken
    assert weak.upgrade() is None


def test_a_reset_block_cannot_be_upgraded(pool, store):
    weak = store(pool, [1])[0].downgrade()
    pool.reset_blocks([1])
    assert weak.upgrade() is None


def test_the_same_hash_in_the_same_block_again_is_not_the_block_that_was_meant(pool, store):
    weak = store(pool, [1])[0].downgrade()
    pool.allocate_blocks(16).release()
    again = store(pool, [1])
    for _ in range(20):
        if again.ids.tolist() == [weak.id]:
            break
        pool.allocate_blocks(1)
        again.release()
        pool.reset()
        again = store(pool, [1])
    assert (again.ids.tolist(), again.sequence_hashes.tolist()) == ([weak.id], [1])
    assert weak.upgrade() is None
    assert again[0].downgrade().upgrade() is not None


def test_the_same_hash_in_another_block_is_not_the_block_that_was_meant(pool, store):
    weak = store(pool, [1])[0].downgrade()
    pool.reset_blocks([1])
    first = pool.allocate_blocks(1)
    elsewhere = store(pool, [1])
    assert elsewhere.ids[0] != weak.id
    assert weak.upgrade() is None
    del first


def test_a_failed_upgrade_changes_nothing(pool, store, unchanged):
    weak = store(pool, [1])[0].downgrade()
    other = pool.allocate_blocks(16, owner="other")
    with unchanged(pool):
        for _ in range(100):
            assert weak.upgrade() is None
    del other


def test_a_weak_block_keeps_the_pool_alive(store):
    from kvpool import BlockPool

    pool = BlockPool(num_blocks=4)
    weak = store(pool, [1])[0].downgrade()
    del pool
    assert weak.upgrade().sequence_hash == 1


def test_a_hundred_thousand_upgrades_leave_nothing_behind(pool, store):
    weak = store(pool, [1])[0].downgrade()
    for _ in range(100_000):
        assert weak.upgrade() is not None
    assert (pool.status().active, pool.outstanding()) == (0, [])
