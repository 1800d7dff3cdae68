"""Pools with 128-bit keys: a block of another prompt with the same sequence hash is never a hit."""

import hashlib
import random

import numpy as np
import pytest

from kvpool import BlockPool, SequenceBatch, sequence_hashes

SECRET = bytes(range(16))


def new_pool(num_blocks=64, **options):
    return BlockPool(num_blocks, block_size=4, key_bits=128, key_secret=SECRET, **options)


def other_check(keys):
    """Keys with the same sequence hashes, as if of other prompts."""
    forged = keys.copy()
    forged[:, 1] += np.uint64(1)
    return forged


def fill(pool, keys):
    return pool.register_blocks(pool.allocate_blocks(len(keys)), keys)


def test_keys_are_the_sequence_hashes_and_a_check_word_for_each():
    pool = new_pool()
    tokens = np.arange(19, dtype=np.int32)
    keys = pool.sequence_keys(tokens, salt_hash=7)
    assert keys.shape == (4, 2)
    assert keys.dtype == np.uint64
    assert not keys.flags.writeable
    assert keys[:, 0].tolist() == sequence_hashes(tokens, 4, salt_hash=7).tolist()
    assert len(set(keys.ravel().tolist())) == 8
    rest = pool.sequence_keys(tokens[8:], salt_hash=7, parent=keys[1])
    assert rest.tolist() == keys[2:].tolist()
    assert pool.sequence_keys([1, 2]).shape == (0, 2)


def test_check_words_depend_on_secret_and_salt_and_every_token_before():
    pool, again = new_pool(), new_pool()
    other = BlockPool(8, block_size=4, key_bits=128)
    tokens = list(range(8))
    checks = pool.sequence_keys(tokens)[:, 1]
    assert again.sequence_keys(tokens)[:, 1].tolist() == checks.tolist()
    assert not set(other.sequence_keys(tokens)[:, 1].tolist()) & set(checks.tolist())
    assert not set(pool.sequence_keys(tokens, salt_hash=1)[:, 1].tolist()) & set(checks.tolist())
    for at in range(8):
        changed = [*tokens]
        changed[at] = 99
        assert (pool.sequence_keys(changed)[:, 1] != checks).tolist() == [at < 4, True]


def test_every_lookup_wants_both_halves():
    pool = new_pool()
    keys = pool.sequence_keys(range(16))
    fill(pool, keys).release()
    forged = other_check(keys)
    half = np.concatenate([keys[:2], forged[2:]])
    assert len(pool.match_sequence_hashes(keys)) == 4
    assert len(pool.match_sequence_hashes(half)) == 2
    assert len(pool.match_sequence_hashes(forged)) == 0
    assert pool.contains(half).tolist() == [True, True, False, False]
    assert pool.match_lengths([keys, half, forged]).tolist() == [4, 2, 0]
    assert pool.match_scattered(half[::-1]).hits.tolist() == [False, False, True, True]
    assert pool.touch(half) == 2
    assert pool.retain(forged, priority=90) == 0
    assert pool.demote(half) == 2
    assert pool.pin(forged).ids.tolist() == [-1] * 4 or len(pool.pin(forged)) == 0
    pool.protect([half, keys])
    result = pool.reset_blocks(forged)
    assert len(result.not_found) == 4
    pool.check_invariants()
    assert len(pool.reset_blocks(keys).not_found) == 0
    assert pool.available_blocks == 64


def test_registering_the_hash_of_another_key_shares_nothing():
    pool = new_pool()
    keys = pool.sequence_keys(range(16))
    first = fill(pool, keys)
    second = fill(pool, other_check(keys))
    assert not set(first.ids.tolist()) & set(second.ids.tolist())
    assert not set(first.sequence_hashes.tolist()) & set(second.sequence_hashes.tolist())
    third = fill(pool, keys)
    assert third.ids.tolist() == first.ids.tolist()
    pool.check_invariants()


def test_a_sequence_is_not_given_the_blocks_of_a_prompt_that_collides_with_it():
    pool = new_pool()
    prompt = list(range(13))
    poison = fill(pool, other_check(pool.sequence_keys(prompt)))
    with pool.open_sequence(prompt) as victim:
        assert victim.num_cached_tokens == 0
        victim.commit(13)
        assert not set(victim.block_table.tolist()) & set(poison.ids.tolist())
        victim.check_invariants()
    poison.release()
    pool.reset()
    with pool.open_sequence(prompt) as victim:
        victim.commit(13)
    with pool.open_sequence(prompt) as again:
        assert again.num_cached_tokens == 12


def test_sequences_and_raw_calls_find_each_others_blocks():
    pool = new_pool()
    prompt = list(range(100, 117))
    with pool.open_sequence(prompt, salt_hash=5) as sequence:
        sequence.commit(17)
        sequence.append_tokens([1, 2, 3])
        fork, _ = sequence.fork()
        fork.append_tokens([4, 5, 6, 7, 8])
        fork.check_invariants()
    keys = pool.sequence_keys([*prompt, 1, 2, 3, 4], salt_hash=5)
    assert pool.match_lengths([keys, pool.sequence_keys(prompt)]).tolist() == [5, 0]
    fork.release()
    fill(pool, pool.sequence_keys(range(8), salt_hash=5)).release()
    assert pool.open_sequence(range(9), salt_hash=5).num_cached_tokens == 8


@pytest.mark.parametrize("options", [{}, {"duplicates": "keep"}, {"eviction": "s3fifo"}, {"max_namespaces": 2}])
def test_random_requests_find_what_they_would_without_check_words(options):
    """No prompts collide: then a pool with check words does what one without does."""
    generator = random.Random(8)
    plain, checked = BlockPool(48, 4, **options), new_pool(48, **options)
    batches = [SequenceBatch(pool, 4, 16) for pool in (plain, checked)]
    for _ in range(300):
        prompt = [generator.randrange(3) for _ in range(generator.randrange(1, 40))]
        seen = []
        for pool, batch in zip((plain, checked), batches, strict=True):
            if len(batch) == 4:
                batch.remove(int(batch.sequence_lengths[:4].argmax())).release()
            sequence = pool.open_sequence(prompt)
            sequence.commit(len(prompt))
            batch.add(sequence)
            batch.append([7] * len(batch))
            batch_state = (batch.block_tables.tolist(), batch.sequence_lengths.tolist())
            seen.append((sequence.num_cached_tokens, batch_state, pool.status().cached))
            pool.check_invariants()
            sequence.check_invariants()
        assert seen[0] == seen[1]


def test_waiting_prompts_are_admitted_by_their_keys():
    pool = new_pool()
    prompts = [list(range(10)), list(range(10)), list(range(50, 60))]
    first, second, third = pool.admit(prompts)
    assert first.sequence is not None
    assert second.sequence is None  # the first computes its blocks right now
    assert third.sequence is not None
    first.sequence.commit(10)
    (again,) = pool.admit([prompts[1]])
    assert again.sequence.num_cached_tokens == 8


def test_a_prefetch_goes_by_keys():
    pool = new_pool()
    loaded = []
    pool.prefetcher.loader = lambda blocks, keys: loaded.append(keys.tolist()) or len(blocks)
    keys = pool.sequence_keys(range(16))
    fill(pool, keys[:2]).release()
    prefetch = pool.prefetch(keys)
    assert prefetch.wait(60)
    assert loaded == [keys[2:].tolist()]
    assert len(pool.match_sequence_hashes(keys)) == 4
    pool.close()


def test_digests_are_keys():
    pool = new_pool()
    digests = [hashlib.sha256(bytes([i])).digest() for i in range(5)]
    filled = pool.register_blocks(pool.allocate_blocks(5), digests)
    as_array = np.frombuffer(b"".join(digest[:16] for digest in digests), "<u8").reshape(-1, 2)
    assert pool.match_sequence_hashes(as_array).ids.tolist() == filled.ids.tolist()
    assert len(pool.match_sequence_hashes(as_array.tolist())) == 5
    assert len(pool.match_sequence_hashes([])) == 0


@pytest.mark.parametrize(
    ("keys", "error", "message"),
    [
        (np.zeros(3, np.uint64), TypeError, r"hashes is an array of uint64 and shape \(3,\): a pool with 128-bit keys"),
        (np.zeros((3, 3), np.uint64), TypeError, r"shape \(3, 3\)"),
        (np.zeros((3, 2), np.int64), TypeError, "array of int64"),
        ([1, 2], TypeError, r"hashes\[0\] must be a pair of ints, or at least 16 bytes, not 1"),
        ([(1, 2), (1, 2**64)], ValueError, r"hashes\[1\] = 18446744073709551616"),
        ([(1, 2), b"x" * 15], TypeError, r"hashes\[1\] must be a pair of ints, or at least 16 bytes"),
        ("abc", TypeError, "hashes is str"),
        (None, TypeError, "hashes is NoneType"),
    ],
)
def test_what_is_no_key_is_refused(keys, error, message):
    pool = new_pool()
    with pytest.raises(error, match=message):
        pool.match_sequence_hashes(keys)
    assert pool.available_blocks == 64


def test_what_a_pool_of_long_keys_does_not_do_says_so(tmp_path):
    pool = new_pool()
    with pytest.raises(ValueError, match="an index of 128-bit keys cannot be saved"):
        pool.save_index(tmp_path / "index")
    with pytest.raises(ValueError, match="an index of 128-bit keys cannot be loaded"):
        pool.load_index(tmp_path / "index")
    blocks = pool.allocate_blocks(1)
    blocks.fill([1, 2, 3, 4])
    with pytest.raises(ValueError, match="sequence_hashes must be given, as keys"):
        pool.register_blocks(blocks)
    assert len(pool.register_blocks(blocks, pool.sequence_keys([1, 2, 3, 4]))) == 1
    with pytest.raises(ValueError, match="was made without key_bits=128"):
        BlockPool(4).sequence_keys([1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"key_bits": 96}, "key_bits = 96 is neither 64 nor 128"),
        ({"key_bits": True}, "key_bits = True"),
        ({"key_secret": SECRET}, "key_secret is given, but key_bits is not 128"),
        ({"key_bits": 128, "key_secret": b"short"}, "key_secret must be 16 bytes, not bytes of length 5"),
        ({"key_bits": 128, "key_secret": "text"}, "key_secret must be 16 bytes, not str"),
    ],
)
def test_other_sizes_of_keys_and_secrets_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        BlockPool(4, **options)


def test_a_pool_says_how_long_its_keys_are_but_not_their_secret():
    pool = new_pool()
    assert (pool.key_bits, BlockPool(4).key_bits) == (128, 64)
    shown = repr(pool) + repr(pool.status()) + " ".join(dir(pool))
    assert "secret" not in shown
    assert SECRET.hex() not in shown
