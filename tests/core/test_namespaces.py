"""Tenants that share a pool: nobody matches another's blocks, and nobody takes what another was promised."""

import random
import threading

import numpy as np
import pytest

from kvpool import (
    EVICTION_POLICIES,
    BlockPool,
    BlockPoolError,
    EvictionMode,
    ForeignHandle,
    Namespace,
    NotEnoughBlocksAvailable,
    SequenceBatch,
    router_salt_hash,
    sequence_hashes,
)


def pool_of(num_blocks, *, block_size=1, max_namespaces=4, **options):
    return BlockPool(num_blocks, block_size, max_namespaces=max_namespaces, **options)


def fill(pool, namespace, hashes):
    """Cache these blocks, each its own prompt."""
    for one in hashes:
        pool.register_blocks(pool.allocate_blocks(1, namespace=namespace), [one]).release()


def serve(pool, tokens, namespace):
    with pool.open_sequence(tokens, namespace=namespace) as sequence:
        cached = sequence.num_cached_tokens
        sequence.commit(len(tokens))
    return cached


def test_what_one_has_cached_no_other_finds():
    pool = pool_of(16, block_size=4)
    pool.namespace("acme")
    pool.namespace("beta")
    tokens = list(range(13))
    assert serve(pool, tokens, "acme") == 0
    assert serve(pool, tokens, "beta") == 0
    assert serve(pool, tokens, None) == 0
    assert serve(pool, tokens, "acme") == 12
    pool.check_invariants()


def test_hashes_of_another_are_not_found_even_when_known():
    pool = pool_of(16)
    acme, beta = pool.namespace("acme"), pool.namespace("beta")
    hashes = acme.sequence_hashes([1, 2, 3])
    pool.register_blocks(pool.allocate_blocks(3, namespace=acme), hashes).release()
    assert len(pool.match_sequence_hashes(hashes, namespace=acme)) == 3
    assert len(pool.match_sequence_hashes(hashes, namespace=beta)) == 0
    assert len(pool.match_sequence_hashes(hashes)) == 0
    assert pool.match_scattered(hashes, namespace=beta).hits.sum() == 0
    assert pool.match_scattered(hashes, namespace=acme).hits.sum() == 3
    pin = pool.pin(hashes, namespace=beta)
    assert pool.status().pinned == 0
    pin.release()


def test_hashes_of_another_cannot_be_registered():
    pool = pool_of(16)
    acme, beta = pool.namespace("acme"), pool.namespace("beta")
    fill(pool, acme, [7])
    fresh = pool.allocate_blocks(2, namespace=beta)
    with pytest.raises(ForeignHandle, match="block 1 of 2, or its hash, belongs to another namespace"):
        pool.register_blocks(fresh, [8, 7])
    assert len(pool.register_blocks(fresh, [8, 9])) == 2
    mixed = [pool.allocate_blocks(1, namespace=acme), pool.allocate_blocks(1, namespace=beta)]
    with pytest.raises(ForeignHandle, match="block 1 of 2"):
        pool.register_blocks(mixed, [20, 21])
    pool.check_invariants()


def test_a_parent_of_another_is_none():
    pool = pool_of(4)
    acme, beta = pool.namespace("acme"), pool.namespace("beta")
    fill(pool, acme, [1])
    child = pool.register_blocks(pool.allocate_blocks(1, namespace=beta), [2], parent=1)
    pool.check_invariants()
    assert acme.held_blocks == 0
    child.release()


def test_salts_are_those_of_a_router():
    pool = pool_of(16, block_size=4)
    acme = pool.namespace("acme")
    assert acme.salt_hash == router_salt_hash(salt="acme")
    lora = (router_salt_hash(lora_name="x") - 1337) % 2**64
    sequence = pool.open_sequence(range(9), namespace=acme, salt_hash=lora)
    salt = router_salt_hash(lora_name="x", salt="acme")
    assert np.array_equal(sequence.sequence_hashes, sequence_hashes(range(9), 4, salt_hash=salt))
    assert np.array_equal(acme.sequence_hashes(range(9)), sequence_hashes(range(9), 4, salt_hash=acme.salt_hash))
    assert pool.namespace("own", salt_hash=5).salt_hash == 5


def test_a_cap_makes_a_namespace_evict_its_own():
    pool = pool_of(10)
    acme = pool.namespace("acme", cap=3)
    fill(pool, None, range(100, 104))
    fill(pool, acme, [1, 2, 3])
    assert pool.status().empty == 3
    assert pool.allocate_blocks(1, namespace=acme).evicted.sequence_hashes.tolist() == [1]
    assert pool.contains(range(100, 104)).all()
    assert (acme.held_blocks, acme.cached_blocks) == (0, 2)


def test_a_cap_is_hard():
    pool = pool_of(10)
    acme = pool.namespace("acme", cap=3)
    held = pool.allocate_blocks(2, namespace=acme)
    assert acme.available_blocks == 1
    with pytest.raises(NotEnoughBlocksAvailable, match="requested 2 blocks, but 1 is available") as error:
        pool.allocate_blocks(2, namespace=acme)
    assert error.value.available == 1
    with pytest.raises(NotEnoughBlocksAvailable):
        pool.open_sequence([1, 2], namespace=acme)
    held.release()
    assert len(pool.allocate_blocks(3, namespace=acme)) == 3


def test_what_is_idle_can_be_borrowed_and_is_given_back():
    pool = pool_of(10)
    acme = pool.namespace("acme", floor=6)
    fill(pool, None, range(10))
    assert pool.status().cached == 10
    held = pool.allocate_blocks(6, namespace=acme)
    assert held.evicted.num_blocks == 6
    assert pool.namespaces[""].cached_blocks == 4


def test_nobody_holds_what_another_was_promised():
    pool = pool_of(10)
    acme = pool.namespace("acme", floor=6)
    fill(pool, None, range(10))
    held = pool.match_scattered(range(10))
    assert held.hits.sum() == 4
    with pytest.raises(NotEnoughBlocksAvailable):
        pool.allocate_blocks(1)
    assert len(pool.allocate_blocks(6, namespace=acme)) == 6
    pool.check_invariants()


def test_a_match_finds_no_more_than_can_be_held():
    pool = pool_of(10)
    pool.namespace("acme", floor=6)
    pool.register_blocks(pool.allocate_blocks(4), [1, 2, 3, 4]).release()
    pool.register_blocks(pool.allocate_blocks(4), [5, 6, 7, 8], parent=4).release()
    held = pool.match_sequence_hashes(range(1, 9))
    assert len(held) == 4
    pool.check_invariants()
    weak = held[3].downgrade()
    held.release()
    assert weak.upgrade() is not None


@pytest.mark.parametrize("policy", EVICTION_POLICIES)
def test_a_flood_takes_nobodys_floor(policy):
    pool = pool_of(200, block_size=4, eviction=policy)
    quiet = pool.namespace("quiet", floor=60)
    flood = pool.namespace("flood")
    prompts = [[n * 1000 + i for i in range(21)] for n in range(10)]
    for prompt in prompts:
        serve(pool, prompt, quiet)
    assert quiet.cached_blocks == 50
    dice = random.Random(1)
    running = []
    written = 0
    while written < 100 * pool.num_blocks:
        prompt = [dice.randrange(10**6) for _ in range(dice.randrange(1, 120))]
        try:
            sequence = pool.open_sequence(prompt, namespace=flood)
        except NotEnoughBlocksAvailable:
            running.pop(dice.randrange(len(running))).release()
            continue
        sequence.commit(len(prompt))
        written += sequence.num_blocks
        running.append(sequence)
        if len(running) > 3 and dice.random() < 0.5:
            running.pop(0).release()
        assert quiet.available_blocks >= 60
    assert quiet.cached_blocks == 50
    pool.check_invariants()
    assert [serve(pool, prompt, quiet) for prompt in prompts] == [20] * 10
    assert len(pool.allocate_blocks(60, namespace=quiet)) == 60


def test_eviction_on_request_leaves_floors_alone():
    pool = pool_of(10)
    acme = pool.namespace("acme", floor=3)
    fill(pool, acme, [1, 2, 3])
    fill(pool, None, range(10, 17))
    pool.trigger_eviction(EvictionMode.AGGRESSIVE)
    assert acme.cached_blocks == 3
    assert pool.namespaces[""].cached_blocks == 0
    pool.check_invariants()


def test_an_aggressive_eviction_passes_over_who_has_only_what_it_retains():
    pool = pool_of(12)
    acme = pool.namespace("acme")
    fill(pool, acme, range(6))
    fill(pool, None, range(10, 13))
    pool.retain(range(6), priority=80)
    assert sorted(pool.trigger_eviction(EvictionMode.AGGRESSIVE).sequence_hashes.tolist()) == [10, 11, 12]
    assert acme.cached_blocks == 6


@pytest.mark.parametrize("duplicates", ["share", "keep"])
@pytest.mark.parametrize("how", ["parent", "hint", "duplicate"])
def test_nobody_holds_anothers_floor_by_continuing_a_long_prompt(duplicates, how):
    pool = pool_of(100, duplicates=duplicates)
    flood = pool.namespace("flood")
    pool.register_blocks(pool.allocate_blocks(95, namespace=flood), range(1, 96)).release()
    if how == "hint":
        assert len(pool.match_sequence_hashes(range(1, 97), namespace=flood)) == 95
    quiet = pool.namespace("quiet", floor=60)
    mine = pool.allocate_blocks(1, namespace=flood)
    mine = pool.register_blocks(mine, [95 if how == "duplicate" else 96], parent=95 if how == "parent" else None)
    pool.check_invariants()
    assert flood.held_blocks == 1
    assert len(pool.allocate_blocks(60, namespace=quiet)) == 60
    mine.release()
    pool.check_invariants()


def test_a_shortage_is_told_of_the_namespace_even_when_the_pool_is_too_small():
    pool = pool_of(10)
    acme = pool.namespace("acme", cap=3)
    with pytest.raises(NotEnoughBlocksAvailable, match="requested 11 blocks, but 3 are available") as error:
        pool.allocate_blocks(11, namespace=acme)
    assert error.value.available == 3
    with pytest.raises(ValueError, match="namespace = 'beta' is not one of the pool's"):
        pool.allocate_blocks(11, namespace="beta")


def test_a_batch_refuses_the_rows_of_those_who_have_no_room():
    pool = pool_of(12, block_size=2)
    small, large = pool.namespace("small", cap=2), pool.namespace("large", floor=8)
    batch = SequenceBatch(pool, 4, 8)
    for namespace in (small, large, small):
        batch.add(pool.open_sequence([1, 2], namespace=namespace))
    with pytest.raises(NotEnoughBlocksAvailable) as error:
        batch.append(np.array([7, 8, 9]))
    assert error.value.rows == (0, 2)
    assert batch.append(np.array([7, 8, 9]), on_exhausted="report").tolist() == [0, 2]
    assert batch.sequence_lengths[:3].tolist() == [2, 3, 2]
    pool.check_invariants()


def test_who_waits_for_its_own_cap_keeps_no_other_waiting():
    pool = pool_of(10)
    capped = pool.namespace("capped", cap=2)
    mine = pool.allocate_blocks(2, namespace=capped)
    rest = pool.allocate_blocks(8)
    got = []

    def wait(n, namespace):
        with pool.allocate_blocks(n, timeout=60, namespace=namespace):
            got.append(namespace)

    first = threading.Thread(target=wait, args=(1, capped))
    first.start()
    while pool.status().waiting < 1:
        pass
    second = threading.Thread(target=wait, args=(3, None))
    second.start()
    while pool.status().waiting < 2:
        pass
    rest.release()
    second.join(60)
    assert got == [None]
    mine.release()
    first.join(60)
    assert got == [None, capped]


def test_quotas_can_be_changed():
    pool = pool_of(10)
    acme = pool.namespace("acme", floor=2, cap=5)
    assert (acme.floor, acme.cap) == (2, 5)
    assert pool.namespace("acme", floor=4).cap == 5
    assert acme.floor == 4
    fill(pool, acme, range(5))
    pool.namespace("acme", floor=0, cap=2)
    assert acme.cached_blocks == 2
    assert pool.contains(range(5)).tolist() == [False, False, False, True, True]
    pool.check_invariants()
    assert pool.namespace("").cap == 10
    assert pool.namespace("", cap=7).name == ""
    with pytest.raises(NotEnoughBlocksAvailable):
        pool.allocate_blocks(8)


def test_a_reset_keeps_the_namespaces():
    pool = pool_of(10)
    acme = pool.namespace("acme", floor=2)
    fill(pool, acme, [1, 2, 3])
    pool.reset_blocks([2])
    assert acme.cached_blocks == 2
    pool.reset()
    assert (acme.cached_blocks, acme.floor) == (0, 2)
    pool.check_invariants()


def test_mistakes_are_named():
    pool = pool_of(10, max_namespaces=2)
    acme = pool.namespace("acme", floor=4)
    for arguments, error, message in [
        ({"name": 3}, TypeError, "name must be a str, not int"),
        ({"name": "b", "floor": 7}, ValueError, "floor = 7 is more than the other namespaces leave of 10 blocks"),
        ({"name": "b", "floor": 5, "cap": 4}, ValueError, "floor = 5 is more than cap = 4"),
        ({"name": "b", "cap": 11}, ValueError, r"cap = 11 is not in \[0, 10\]"),
        ({"name": "b", "floor": -1}, ValueError, r"floor = -1 is not in \[0, 10\]"),
        ({"name": "acme", "salt_hash": 1}, ValueError, "salt_hash = 1 is not that of namespace 'acme'"),
    ]:
        with pytest.raises(error, match=message):
            pool.namespace(**arguments)
    assert set(pool.namespaces) == {"", "acme"}
    pool.namespace("b")
    with pytest.raises(BlockPoolError, match="namespace 'c' would be number 3, but max_namespaces = 2"):
        pool.namespace("c")
    with pytest.raises(ValueError, match="namespace = 'd' is not one of the pool's"):
        pool.allocate_blocks(1, namespace="d")
    with pytest.raises(TypeError, match="namespace must be a Namespace or a name, not int"):
        pool.match_sequence_hashes([1], namespace=1)
    with pytest.raises(ForeignHandle, match="namespace 'acme' is of another pool"):
        pool_of(10).open_sequence([1], namespace=acme)
    with pytest.raises(BlockPoolError, match="make it with max_namespaces="):
        BlockPool(10).namespace("a")
    with pytest.raises(ValueError, match=r"max_namespaces = 256 is not in \[0, 255\]"):
        pool_of(10, max_namespaces=256)
    with pytest.raises(TypeError, match=r"made by BlockPool\.namespace"):
        Namespace()


def test_no_namespaces_with_a_policy_of_ones_own():
    class Policy:
        def rank(self, blocks):
            return blocks.positions

    with pytest.raises(ValueError, match="max_namespaces = 1 is not 0"):
        pool_of(10, max_namespaces=1, eviction=Policy())


@pytest.mark.parametrize("policy", ["lru", "adaptive", "arc", "sieve"])
@pytest.mark.parametrize("duplicates", ["share", "keep"])
@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_the_counts_agree(policy, duplicates, seed):
    dice = random.Random(seed)
    pool = pool_of(48, block_size=2, eviction=policy, duplicates=duplicates, max_namespaces=3)
    spaces = [None, pool.namespace("a", floor=10), pool.namespace("b", floor=6, cap=20), pool.namespace("c", cap=12)]
    held = []
    for _ in range(400):
        space = dice.choice(spaces)
        family = dice.randrange(4) * 100
        tokens = [family + i // 3 * dice.randrange(1, 3) for i in range(dice.randrange(1, 30))]
        hashes = sequence_hashes(tokens, 2, salt_hash=space.salt_hash if space else 0)
        try:
            match dice.randrange(10):
                case 0 | 1:
                    sequence = pool.open_sequence(tokens, namespace=space)
                    sequence.commit(dice.randrange(sequence.num_cached_tokens, len(tokens) + 1))
                    held.append(sequence)
                case 2:
                    held.append(pool.match_sequence_hashes(hashes, namespace=space))
                case 3:
                    held.append(pool.match_scattered(hashes, namespace=space))
                case 4:
                    fresh = pool.allocate_blocks(len(hashes), namespace=space)
                    held.append(pool.register_blocks(fresh, hashes))
                case 5:
                    held.append(pool.pin(hashes, namespace=space))
                case 6:
                    pool.touch(hashes)
                    pool.protect([hashes])
                case 7:
                    pool.retain(hashes, priority=dice.randrange(101))
                case 8:
                    pool.reset_blocks(hashes)
                case 9:
                    pool.evict_ahead(dice.randrange(1, 5))
        except BlockPoolError:
            pass
        for _ in range(dice.randrange(3)):
            if held:
                held.pop(dice.randrange(len(held))).release()
        pool.check_invariants()
        for name, floor in (("a", 10), ("b", 6)):
            namespace = pool.namespaces[name]
            assert namespace.available_blocks + namespace.held_blocks >= floor
    for handle in held:
        handle.release()
    pool.check_invariants()
    assert sum(space.cached_blocks for space in pool.namespaces.values()) == pool.status().cached


def test_the_default_namespace_of_a_pool_without_others_has_everything():
    pool = BlockPool(10)
    pool.register_blocks(pool.allocate_blocks(2), [1, 2]).release()
    held = pool.allocate_blocks(3)
    space = pool.namespaces[""]
    assert (space.floor, space.cap, space.held_blocks, space.cached_blocks) == (0, 10, len(held), 2)


@pytest.mark.parametrize("hold", ["match_sequence_hashes", "prefetch"])
def test_a_look_into_the_middle_of_anothers_prefix_holds_nothing(hold):
    pool = BlockPool(16, max_namespaces=1)
    space = pool.namespace("acme")
    pool.register_blocks(pool.allocate_blocks(3, namespace=space), [1, 2, 3]).release()
    with getattr(pool, hold)([2, 3]):
        assert space.held_blocks == 0
        pool.check_invariants()
    assert pool.status().cached == 3
    pool.close()
    pool.check_invariants()


@pytest.mark.parametrize("cap", [1, 2, 3, 6, 7])
def test_a_sequence_beyond_a_lowered_cap_cannot_be_cut_into_what_is_shared(cap):
    pool = BlockPool(24, block_size=2, max_namespaces=1)
    space = pool.namespace("acme")
    first = pool.open_sequence(range(9), namespace=space)
    first.commit(8)
    second = pool.open_sequence(range(9), namespace=space)
    pool.namespace("acme", cap=cap)
    held = space.held_blocks
    if cap >= held:  # its own partial block makes room for the copy
        assert len(first.truncate(3)) == 1
    else:
        with pytest.raises(NotEnoughBlocksAvailable):
            first.truncate(3)
        assert (first.num_tokens, space.held_blocks) == (9, held)
    pool.check_invariants()
    first.release()
    second.release()
    pool.check_invariants()
