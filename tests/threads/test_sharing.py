"""One object that several threads use at once."""

import contextlib

import numpy as np

from kvpool import BlockPool, BlockPoolError, InvalidMutableBlock, NotEnoughBlocksAvailable, SequenceBatch, StaleHandle


def test_what_is_made_when_it_is_first_asked_for_is_the_same_for_all_that_ask(run_together):
    pool = BlockPool(num_blocks=4096, block_size=4)
    hashes = list(range(2048))
    handles = [pool.register_blocks(pool.allocate_blocks(2), [i, 10_000 + i]) for i in hashes]
    blocks = [handle[1] for handle in handles]
    seen = [[], [], [], []]

    def ask(found):
        for handle, block in zip(handles, blocks, strict=True):
            ids, sequence_hashes = handle.ids, handle.sequence_hashes
            found.append((ids.tolist(), sequence_hashes.tolist(), block.id, block.sequence_hash))

    run_together(*(lambda found=found: ask(found) for found in seen))
    assert seen[0] == seen[1] == seen[2] == seen[3]
    assert [row[1][0] for row in seen[0]] == hashes
    assert all(handle.ids is handle.ids for handle in handles)


def test_a_block_takes_no_more_tokens_than_it_has_room_for_from_all_threads_together(run_together):
    pool = BlockPool(num_blocks=512, block_size=64)
    blocks = list(pool.allocate_blocks(64))
    for block in blocks:
        block.init_sequence()
    taken = [[] for _ in range(4)]

    def add(me):
        for at, block in enumerate(blocks):
            for i in range(20):
                with contextlib.suppress(ValueError):
                    block.add_token(me * 100 + i)
                    taken[me].append((at, me * 100 + i))
                assert len(block.tokens) <= 64

    run_together(*(lambda me=me: add(me) for me in range(4)))
    for at, block in enumerate(blocks):
        assert sorted(block.tokens.tolist()) == sorted(token for own in taken for place, token in own if place == at)
        assert block.num_tokens == 64
        block.commit()


def test_blocks_that_four_threads_fill_at_once_are_filled_by_one(run_together):
    pool = BlockPool(num_blocks=400, block_size=4)
    handles = [pool.allocate_blocks(2) for _ in range(200)]
    winners = [[] for _ in handles]

    def fill(me):
        for handle, won in zip(handles, winners, strict=True):
            with contextlib.suppress(InvalidMutableBlock):
                handle.fill([me] * 8)
                won.append(me)

    run_together(*(lambda me=me: fill(me) for me in range(4)))
    for handle, won in zip(handles, winners, strict=True):
        assert len(won) == 1
        assert handle[0].tokens.tolist() == handle[1].tokens.tolist() == won * 4
        assert len(pool.register_blocks(handle)) == 2


def test_tokens_that_change_while_their_block_is_registered_are_those_of_its_hash(run_beside):
    pool = BlockPool(num_blocks=8, block_size=4, event_capacity=4096, event_tokens=True)
    expected = {}
    for token in (1, 2):
        block = pool.allocate_blocks(1)[0]
        block.init_sequence()
        block.add_tokens([token] * 4)
        block.commit()
        expected[block.sequence_hash] = [token] * 4
    current = [pool.allocate_blocks(1)]
    current[0].fill([1] * 4)

    def refill():
        block = current[0][0]
        for token in (1, 2):
            with contextlib.suppress(BlockPoolError, ValueError):
                block.reset()
                block.init_sequence()
                block.add_tokens([token] * 4)
                block.commit()

    def register():
        done = 0
        while done < 100:  # it may be in the middle of being filled
            with contextlib.suppress(BlockPoolError):
                pool.register_blocks(current[0]).release()
                pool.reset_blocks(list(expected))
                current[0] = pool.allocate_blocks(1)
                done += 1
        current[0].release()

    run_beside([register], [refill])
    stored = [(event.sequence_hash, event.token_ids) for event in pool.events() if event.token_ids is not None]
    assert len(stored) == 100
    for sequence_hash, tokens in stored:
        assert list(tokens) == expected[sequence_hash]


def test_a_sequence_that_four_threads_append_to_has_the_tokens_of_all(run_together):
    pool = BlockPool(num_blocks=256, block_size=4)
    request = pool.open_sequence([9999])

    def append(me):
        for i in range(200):
            request.append_tokens([me * 1000 + i])
            assert request.num_computed_tokens < request.num_tokens
            if i % 20 == 0:
                request.check_invariants()
                full = len(request.sequence_hashes)  # first: meanwhile the table grows
                assert len(request.block_table) >= full

    run_together(*(lambda me=me: append(me) for me in range(4)))
    request.check_invariants()
    tokens = request.tokens.tolist()
    assert len(tokens) == 801
    for me in range(4):  # those of each in their order
        assert [token for token in tokens if token // 1000 == me] == [me * 1000 + i for i in range(200)]
    request.release()
    pool.check_invariants()
    assert pool.status().active == 0


def test_a_sequence_goes_through_whatever_four_threads_do_to_it_at_once(run_together):
    pool = BlockPool(num_blocks=128, block_size=4)
    request = pool.open_sequence(range(10))

    def use(me):
        for i in range(300):
            with contextlib.suppress(StaleHandle, NotEnoughBlocksAvailable, ValueError):
                if me == 0:
                    request.append_tokens([i, i])
                elif me == 1:
                    request.truncate(max(request.num_tokens // 2, 1))
                elif me == 2:
                    request.preempt()
                    request.resume()
                else:
                    child, copies = request.fork()
                    assert child.num_blocks * 4 >= child.num_tokens
                    assert len(copies) <= child.num_blocks
                    child.check_invariants()
                    request.reserve(i % 9)
                    request.commit(request.num_tokens)
            request.check_invariants()
            assert repr(request).startswith("<BlockSequence of")

    run_together(*(lambda me=me: use(me) for me in range(4)))
    request.release()
    pool.check_invariants()
    assert pool.status().active == 0


def test_a_batch_goes_through_whatever_four_threads_do_to_it_and_its_sequences(run_together):
    pool = BlockPool(num_blocks=256, block_size=4)
    batch = SequenceBatch(pool, max_sequences=8, max_blocks_per_sequence=16)

    def step():
        for _ in range(300):
            with contextlib.suppress(ValueError, NotEnoughBlocksAvailable, StaleHandle):
                batch.append([7] * len(batch))

    def come_and_go(seed):
        for i in range(150):
            request = pool.open_sequence([seed, i, 3])
            with contextlib.suppress(ValueError, StaleHandle):  # the other may have taken it out already
                batch.add(request)
                request.append_tokens([1, 2])
                request.release()
            with contextlib.suppress(ValueError, IndexError):
                batch.remove(0).release()

    def look():
        for _ in range(300):
            assert len(batch.sequences) <= 8
            assert repr(batch).startswith("<SequenceBatch of")
            assert batch.slot_mapping.size <= batch.max_tokens_per_step
            with contextlib.suppress(ValueError, StaleHandle):
                batch.refresh()

    run_together(step, lambda: come_and_go(1), lambda: come_and_go(2), look)
    batch.refresh()
    batch.check_invariants()
    for row in range(len(batch)):
        batch.sequences[row].check_invariants()
    while len(batch):
        batch.remove(0)
    pool.check_invariants()
    assert pool.status().active == 0


def test_lists_and_arrays_that_change_while_they_are_read_harm_nothing(run_beside):
    pool = BlockPool(num_blocks=64, block_size=4, duplicates="share")
    hashes, tokens = list(range(40)), list(range(160))
    array = np.arange(40, dtype=np.uint64)
    offsets = np.arange(5, dtype=np.int64)
    batch = SequenceBatch(pool, max_sequences=4, max_blocks_per_sequence=4)
    for i in range(4):
        batch.add(pool.open_sequence([10**6 + i]))

    def change():
        for size in (3, 40):
            hashes[size:] = []
            hashes.extend(range(10**9 + len(hashes), 10**9 + 40))
            tokens[4 * size :] = []
            tokens.extend(range(10**6 + len(tokens), 10**6 + 160))
        array[:] = array[::-1].copy()
        offsets[2] = 10**15
        offsets[2] = 2

    def read():
        for _ in range(2000):
            pool.match_sequence_hashes(hashes)
            pool.contains(tuple(hashes))
            pool.match_scattered(array)
            with contextlib.suppress(ValueError, BlockPoolError):
                pool.register_blocks(pool.allocate_blocks(40), array).release()
            with contextlib.suppress(ValueError):
                pool.open_sequence(tokens)
            with contextlib.suppress(ValueError, NotEnoughBlocksAvailable):
                batch.append([1, 2, 3, 4], offsets=offsets)
                batch.sequences[0].truncate(1)

    run_beside([read], [change])
    pool.check_invariants()
