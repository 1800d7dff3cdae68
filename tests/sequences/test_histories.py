"""Random histories of requests, with an engine that remembers what it wrote into which slot.

Whatever happens to sequences and batches, the KV of every computed token must be found through the block table: that
shows a block handed out while it is held, a wrong entry of a table, a stale match, or a copy that was not asked for.
"""

import os
import random

import numpy as np
import pytest

from kvpool import (
    EVICTION_POLICIES,
    BlockPool,
    EvictionMode,
    NotEnoughBlocksAvailable,
    PinLimitExceeded,
    SequenceBatch,
)

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
        self.pool = self.make_pool()
        self.spaces = [None, *(self.pool.namespace(name) for name in "ab"[: self.pool.max_namespaces])]
        self.engine = Engine(self.num_blocks, self.block_size)
        self.batch = SequenceBatch(self.pool, 4, 64)
        self.free = []  # live sequences that are in no batch
        self.space_of = {}  # by id of each sequence
        self.preempted = []
        self.pins = []
        self.more = []  # actions
        self.seen = set()

    def make_pool(self):
        return BlockPool(self.num_blocks, self.block_size, duplicates=self.random.choice(["share", "keep"]))

    @property
    def space(self):
        return self.random.choice(self.spaces)

    def tokens(self, high=30):
        """Few different prompts, so that prefixes meet."""
        n = self.random.randint(1, high)
        return [7] * min(n, self.random.choice([0, 6, 12])) + [self.random.randint(0, 1) for _ in range(n)]

    def compute(self, sequence):
        """Write the KV of all tokens."""
        self.engine.write(sequence, sequence.num_computed_tokens, sequence.num_tokens)

    def take_in(self, sequence, space):
        self.free.append(sequence)
        self.space_of[id(sequence)] = space

    def open(self):
        space = self.space
        lookahead = self.random.randint(0, 3)
        self.take_in(self.pool.open_sequence(self.tokens(), lookahead=lookahead, namespace=space), space)

    def admit(self):
        space = self.space
        for admission in self.pool.admit([self.tokens() for _ in range(3)], namespace=space):
            if admission.sequence is not None:
                self.take_in(admission.sequence, space)
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
            sequence = self.random.choice(self.free)
            child, copies = sequence.fork()
            self.engine.copy(copies)
            self.take_in(child, self.space_of[id(sequence)])

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
        with self.pool.allocate_blocks(self.random.randint(0, self.num_blocks), namespace=self.space) as blocks:
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
        actions += [self.step] * 6 + [self.meddle] * 3 + self.more
        for _ in range(steps):
            before = self.pool.status()
            action = self.random.choice(actions)
            try:
                action()
            except PinLimitExceeded:
                self.seen.add("too many pins")
            except NotEnoughBlocksAvailable:
                self.seen.add("shortage")
                assert self.pool.status().active >= before.active or action in (self.step, self.meddle)
            self.check()
        self.seen |= {"eviction"} if self.pool.status().evictions else set()
        while len(self.batch):
            self.batch.remove(0)
        self.free.clear()
        self.pins.clear()
        assert self.pool.available_blocks == self.num_blocks
        self.pool.check_invariants()


class HistoryOfAll(History):
    """The same in pools of all kinds, with all that keeps blocks or lets them go beside sequences."""

    def make_pool(self):
        return BlockPool(
            self.num_blocks,
            self.block_size,
            duplicates=self.random.choice(["share", "keep"]),
            eviction=self.random.choice(EVICTION_POLICIES),
            max_namespaces=self.random.choice([0, 2]),
            key_bits=self.random.choice([64, 128]),
        )

    def some(self):
        """A namespace, and the tokens and the keys of some full blocks that a sequence of it begins with."""
        sequence = self.random.choice(self.free)
        n = self.random.randint(0, sequence.num_tokens // self.block_size)
        tokens = sequence.tokens[: n * self.block_size]
        space = self.space_of[id(sequence)]
        if self.pool.key_bits == 64:
            return space, tokens, sequence.sequence_hashes[:n]
        return space, tokens, self.pool.sequence_keys(tokens, salt_hash=0 if space is None else space.salt_hash)

    def pin(self):
        if self.free:
            space, _, keys = self.some()
            self.pins.append(self.pool.pin(keys, namespace=space))

    def unpin(self):
        if self.pins:
            del self.pins[self.random.randrange(len(self.pins))]

    def retain(self):
        if self.free:
            self.pool.retain(self.some()[2], priority=self.random.choice([0, 35, 36, 90]))

    def protect(self):
        if self.free:
            self.pool.protect([self.some()[2] for _ in range(self.random.randint(0, 3))])

    def evict(self):
        if self.random.random() < 0.5:
            self.pool.evict_ahead(self.random.randint(0, self.num_blocks))
        else:
            self.pool.trigger_eviction(self.random.choice(list(EvictionMode)))

    def set_quota(self):
        if len(self.spaces) > 1:
            cap = self.random.randint(self.num_blocks // 4, self.num_blocks)
            try:
                self.pool.namespace(self.random.choice("ab"), floor=self.random.randint(0, cap // 3), cap=cap)
            except ValueError:
                self.seen.add("floor refused")

    def compute_again(self):
        """Somebody else computed the same prefix, block by block, and registers it."""
        if self.free:
            space, tokens, keys = self.some()
            n = len(tokens) // self.block_size
            first = self.random.randint(0, n)
            blocks = self.pool.allocate_blocks(n - first, namespace=space)
            for i, block in enumerate(blocks.ids.tolist(), first):
                for at in range(self.block_size):
                    self.engine.kv[block, at] = tuple(tokens[: i * self.block_size + at + 1].tolist())
            self.pool.register_blocks(blocks, keys[first:])

    def run(self, steps):
        self.more = [self.pin, self.unpin, self.retain, self.protect, self.evict, self.set_quota]
        self.more += [self.compute_again] * 3
        super().run(steps)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_computed_is_found_through_the_table(seed):
    print(f"repeat with: KVPOOL_SEED={seed} pytest tests/sequences/test_histories.py")
    History(seed).run(80)


@pytest.mark.parametrize("seed", SEEDS)
def test_it_is_in_pools_of_all_kinds(seed):
    print(f"repeat with: KVPOOL_SEED={seed} pytest tests/sequences/test_histories.py")
    HistoryOfAll(seed).run(120)


@pytest.mark.parametrize(("kind", "more"), [(History, set()), (HistoryOfAll, {"floor refused", "too many pins"})])
def test_the_histories_meet_what_they_are_for(kind, more):
    seen = set()
    for seed in range(200):
        history = kind(seed)
        history.run(80)
        seen |= history.seen
    assert seen == {"hit", "shortage", "eviction", "waits", "refused rows", "copy of a truncated block"} | more
