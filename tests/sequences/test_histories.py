"""Random histories of requests, with an engine that remembers what it wrote into which slot.

Whatever happens to sequences and batches, the KV of every computed token must be found through the block table: that
shows a block handed out while it is held, a wrong entry of a table, a stale match, or a copy that was not asked for.
"""

import os
import random

import numpy as np
import pytest

from kvpool import BlockPool, NotEnoughBlocksAvailable, SequenceBatch

SEEDS = [int(os.environ["KVPOOL_SEED"])] if "KVPOOL_SEED" in os.environ else range(300)


class Engine:
    """KV as text: each slot holds all tokens up to its own."""

    def __init__(self, num_blocks, block_size):
        self.block_size = block_size
        self.kv = np.full((num_blocks, block_size), None, dtype=object)

    def write(self, sequence, first, last):
        """Compute the KV of tokens [first, last)."""
        tokens, table = sequence.tokens.tolist(), sequence.block_table
        for i in range(first, last):
            self.kv[table[i // self.block_size], i % self.block_size] = tuple(tokens[: i + 1])

    def copy(self, pairs):
        for source, destination in pairs:
            self.kv[destination] = self.kv[source]

    def expect(self, sequence):
        """The KV of what is computed is there."""
        tokens, table = sequence.tokens.tolist(), sequence.block_table
        for i in range(sequence.num_computed_tokens):
            assert self.kv[table[i // self.block_size], i % self.block_size] == tuple(tokens[: i + 1])


class History:
    """One pool, its sequences and a batch, and everything that can happen to them."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.block_size = self.random.randint(1, 5)
        self.num_blocks = self.random.randint(6, 40)
        self.pool = BlockPool(self.num_blocks, self.block_size, duplicates=self.random.choice(["share", "keep"]))
        self.engine = Engine(self.num_blocks, self.block_size)
        self.batch = SequenceBatch(self.pool, 4, 64)
        self.free = []  # live sequences that are in no batch
        self.preempted = []
        self.seen = set()

    def tokens(self, high=30):
        """Few different prompts, so that prefixes meet."""
        n = self.random.randint(1, high)
        return [7] * min(n, self.random.choice([0, 6, 12])) + [self.random.randint(0, 1) for _ in range(n)]

    def compute(self, sequence):
        """Write the KV of all tokens."""
        self.engine.write(sequence, sequence.num_computed_tokens, sequence.num_tokens)

    def open(self):
        self.free.append(self.pool.open_sequence(self.tokens(), lookahead=self.random.randint(0, 3)))

    def admit(self):
        for admission in self.pool.admit([self.tokens() for _ in range(3)]):
            if admission.sequence is not None:
                self.free.append(admission.sequence)
            elif admission.waits_for is not None:
                self.seen.add("waits")

    def release(self):
        if self.free:
            self.free.pop(self.random.randrange(len(self.free))).release()

    def drop(self):
        if self.free:
            del self.free[self.random.randrange(len(self.free))]

    def commit(self):
        if self.free:
            sequence = self.random.choice(self.free)
            computed = self.random.randint(sequence.num_computed_tokens, sequence.num_tokens)
            self.engine.write(sequence, sequence.num_computed_tokens, computed)
            sequence.commit(computed)

    def append(self):
        if self.free:
            sequence = self.random.choice(self.free)
            self.compute(sequence)
            sequence.append_tokens(self.tokens(6))

    def truncate(self):
        if self.free:
            sequence = self.random.choice(self.free)
            copies = sequence.truncate(self.random.randint(1, sequence.num_tokens))
            self.engine.copy(copies)
            self.seen |= {"copy of a truncated block"} if len(copies) else set()

    def fork(self):
        if self.free:
            child, copies = self.random.choice(self.free).fork()
            self.engine.copy(copies)
            self.free.append(child)

    def preempt(self):
        if self.free:
            sequence = self.free.pop(self.random.randrange(len(self.free)))
            sequence.preempt()
            self.preempted.append(sequence)

    def resume(self):
        if self.preempted:
            self.preempted[0].resume()
            self.free.append(self.preempted.pop(0))

    def join(self):
        if self.free and len(self.batch) < 4:
            sequence = self.free.pop()
            self.batch.add(sequence)

    def leave(self):
        if len(self.batch):
            self.free.append(self.batch.remove(self.random.randrange(len(self.batch))))

    def meddle(self):
        """Calls on a sequence that is a row; the next step must not need a refresh."""
        if len(self.batch):
            sequence = self.random.choice(self.batch.sequences)
            self.engine.copy(sequence.truncate(self.random.randint(1, sequence.num_tokens)))
            if self.random.random() < 0.7:
                self.borrow()
                self.compute(sequence)
                sequence.append_tokens(self.tokens(6))

    def step(self):
        if any(sequence.num_tokens > 60 for sequence in self.batch.sequences):
            return
        for sequence in self.batch.sequences:
            self.compute(sequence)
        counts = [self.random.randint(0, 3) for _ in self.batch.sequences]
        offsets = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64)
        appended = [self.random.randint(0, 1) for _ in range(int(offsets[-1]))]
        on_exhausted = self.random.choice(["raise", "report"])
        refused = self.batch.append(np.array(appended, np.int32), offsets=offsets, on_exhausted=on_exhausted)
        self.seen |= {"refused rows"} if len(refused) else set()
        if not len(refused) and all(counts):
            self.batch.check_invariants()
        for row, sequence in enumerate(self.batch.sequences):
            slots = self.batch.slot_mapping[offsets[row] : offsets[row + 1]].tolist()
            table = np.append(sequence.block_table, -1)  # an entry for a row without tokens to ask for
            positions = np.arange(sequence.num_tokens - counts[row], sequence.num_tokens)
            expected = table[positions // self.block_size] * self.block_size + positions % self.block_size
            assert slots == ([-1] * counts[row] if row in refused else expected.tolist())

    def borrow(self):
        """Somebody else uses the pool as well."""
        with self.pool.allocate_blocks(self.random.randint(0, self.num_blocks)) as blocks:
            self.engine.kv[blocks.ids] = "overwritten"

    def check(self):
        self.pool.check_invariants()
        if self.random.random() < 0.5:
            self.batch.refresh()
            self.batch.check_invariants()
        for sequence in (*self.free, *self.batch.sequences):
            sequence.check_invariants()
            self.engine.expect(sequence)
            self.seen |= {"hit"} if sequence.num_cached_tokens else set()

    def run(self, steps):
        actions = [self.open, self.open, self.admit, self.release, self.drop, self.commit, self.append, self.truncate]
        actions += [self.fork, self.preempt, self.resume, self.join, self.join, self.leave, self.borrow]
        actions += [self.step] * 6 + [self.meddle] * 3
        for _ in range(steps):
            before = self.pool.status()
            action = self.random.choice(actions)
            try:
                action()
            except NotEnoughBlocksAvailable:
                self.seen.add("shortage")
                assert self.pool.status().active >= before.active or action in (self.step, self.meddle)
            self.check()
        self.seen |= {"eviction"} if self.pool.status().evictions else set()
        while len(self.batch):
            self.batch.remove(0)
        self.free.clear()
        assert self.pool.available_blocks == self.num_blocks
        self.pool.check_invariants()


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_computed_is_found_through_the_table(seed):
    print(f"repeat with: KVPOOL_SEED={seed} pytest tests/sequences/test_histories.py")
    History(seed).run(80)


def test_the_histories_meet_what_they_are_for():
    seen = set()
    for seed in range(60):
        history = History(seed)
        history.run(80)
        seen |= history.seen
    assert seen == {"hit", "shortage", "eviction", "waits", "refused rows", "copy of a truncated block"}
