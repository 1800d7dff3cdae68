"""What a step that runs, or a transfer, still needs: who holds a handle keeps its blocks, whoever else lets go."""

import random

import pytest

from kvpool import BlockPool, NotEnoughBlocksAvailable
from kvpool.storage import FullyContiguous, HostStorage, LayoutConfig, gather_blocks, scatter_blocks

NUM_BLOCKS = 24


class Engine:
    """Requests that begin and end, and steps and transfers that end after them, in any order."""

    def __init__(self, seed):
        self.chance = random.Random(seed)
        layout = FullyContiguous(LayoutConfig(NUM_BLOCKS, 1, 1, page_size=4, inner_dim=4, dtype="uint8"))
        self.storage = HostStorage(layout, huge_pages=False)
        self.pool = BlockPool(NUM_BLOCKS, 4)
        self.pool.attach_storage(self.storage, scrub="never")
        self.requests = []
        self.flights = []  # (what holds the blocks, their ids, what they must contain at the end)
        self.number = 0
        self.num_refused = 0

    def begin(self):
        """Allocate, write, and start a step on it."""
        try:
            blocks = self.pool.allocate_blocks(self.chance.randint(1, 4))
        except NotEnoughBlocksAvailable:
            self.num_refused += 1
            return
        flying = {block for _, ids, _ in self.flights for block in ids}
        assert not flying & set(blocks.ids.tolist()), "a block was handed out while somebody was still at it"
        self.number += 1
        content = bytes([self.number % 251]) * (len(blocks) * self.storage.layout.block_bytes)
        scatter_blocks(self.storage, blocks, content)
        if self.chance.random() < 0.5:
            first = self.chance.randrange(50) * 10
            held = self.pool.register_blocks(blocks, range(first, first + len(blocks)))
            content = gather_blocks(self.storage, held).tobytes()  # it may be another block's that was there first
            blocks = held
        self.requests.append((blocks, content))

    def fly(self):
        """Start a step, or a transfer, with a hold of its own."""
        if not self.requests:
            return
        blocks, content = self.chance.choice(self.requests)
        if self.chance.random() < 0.5 or not hasattr(blocks, "sequence_hashes"):
            hold = [blocks[i].block_view() for i in range(len(blocks))]
        else:
            hold = blocks[:] if self.chance.random() < 0.5 else self.pool.match_sequence_hashes(blocks.sequence_hashes)
        self.flights.append((hold, blocks.ids.tolist(), content))

    def end(self):
        """Let go of a request, which may have steps in flight."""
        if self.requests:
            blocks, _ = self.requests.pop(self.chance.randrange(len(self.requests)))
            if self.chance.random() < 0.5:
                blocks.release()

    def land(self):
        """End a step: what it worked on is as it was."""
        if self.flights:
            hold, ids, content = self.flights.pop(self.chance.randrange(len(self.flights)))
            assert gather_blocks(self.storage, ids).tobytes() == content
            del hold


@pytest.mark.parametrize("seed", range(8))
def test_no_block_is_handed_out_before_the_last_step_or_transfer_has_ended_in_whatever_order(seed):
    engine = Engine(seed)
    acts = [engine.begin, engine.fly, engine.end, engine.land]
    for _ in range(1500):
        engine.chance.choice(acts)()
        engine.pool.check_invariants()
    assert engine.num_refused > 0
    engine.requests.clear()
    while engine.flights:
        engine.land()
    assert (engine.pool.outstanding(), engine.pool.available_blocks) == ([], NUM_BLOCKS)


def test_a_sequence_is_kept_by_who_computes_it_after_its_request_was_aborted():
    pool = BlockPool(8, 4)
    sequence = pool.open_sequence(range(30))
    in_flight = [sequence]
    table = sequence.block_table.tolist()
    del sequence  # the abort: the engine's own reference goes, that of the step stays
    with pytest.raises(NotEnoughBlocksAvailable):
        pool.allocate_blocks(1)
    assert [hold.kind for hold in pool.outstanding()] == ["sequence"]
    in_flight.clear()
    assert pool.allocate_blocks(8).ids.tolist() == table


def test_requests_of_every_length_leave_no_block_behind():
    """Shorter than a block, a block, one token more, and any other; ended, aborted, cut, forked, in any order."""
    chance = random.Random(5)
    pool = BlockPool(64, 4)
    for _ in range(30):
        live = []
        for _ in range(100):
            length = chance.choice([1, 2, 3, 4, 5, 7, 8, 9, chance.randint(1, 60)])
            try:
                sequence = pool.open_sequence(
                    [chance.randrange(2) for _ in range(length)], lookahead=chance.randrange(3)
                )
                live.append(sequence)
                sequence.append_tokens(range(chance.randrange(6)))
                sequence.commit(chance.randint(sequence.num_computed_tokens, sequence.num_tokens))
                if chance.random() < 0.2:
                    live.append(sequence.fork()[0])
                if chance.random() < 0.2:
                    sequence.truncate(chance.randint(1, sequence.num_tokens))
            except NotEnoughBlocksAvailable:
                pass
            while live and (len(live) > 8 or chance.random() < 0.3):
                ended = live.pop(chance.randrange(len(live)))
                chance.choice([ended.release, ended.preempt, lambda: None])()
                del ended
        sequence = None
        live.clear()
        pool.check_invariants()
        assert (pool.available_blocks, pool.outstanding()) == (64, [])
