"""Requests of all kinds and lengths, on one pool."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from kvpool import BlockPool, EvictionMode, sequence_hashes
from kvpool._core.block_sequence import BlockSequence
from kvpool._core.sequence_batch import SequenceBatch
from kvpool.errors import NotEnoughBlocksAvailable, PinLimitExceeded, StaleHandle
from kvpool.testing.soak.faults import InjectedError

__all__ = ["Traffic"]

BLOCK_SIZE = 16
LONGEST = 8192
CONVERSATIONS = 48
MAX_RUNNING = 12
MAX_HELD = 6
ROWS = 4

# Which requests there are, and how often.
KINDS = (
    ("sequence",) * 8 + ("raw",) * 5 + ("batch", "wait", "scatter", "keep", "look", "tidy", "ahead", "view", "abort")
)


class Traffic:
    """Makes requests of a pool; what it holds is in `running` and `held`.

    Parameters
    ----------
    rng : random.Random
    pool : BlockPool
    namespaces : tuple of str, optional
        Whose requests they are, at random.
    """

    def __init__(self, rng: random.Random, pool: BlockPool, namespaces: tuple[str, ...] = ()) -> None:
        self.rng = rng
        self.pool = pool
        self.options: list[dict[str, Any]] = [{"namespace": name} for name in namespaces] or [{}]
        tokens = np.random.default_rng(rng.getrandbits(32))
        self.conversations = [tokens.integers(0, 2**17, LONGEST, dtype=np.uint32) for _ in range(CONVERSATIONS)]
        self.running: list[BlockSequence] = []
        self.held: list[Any] = []
        self.next_event = 0
        self.refusals = 0

    def serve(self) -> int:
        """Make one request, or a batch of them; returns how many."""
        try:
            made: int = getattr(self, "_" + self.rng.choice(KINDS))()
        except NotEnoughBlocksAvailable:
            self.refusals += 1
            self._end_some(0)
            made = 1
        except (PinLimitExceeded, StaleHandle):
            self.refusals += 1
            made = 1
        if len(self.running) > MAX_RUNNING or len(self.held) > MAX_HELD:
            self._end_some(MAX_HELD // 2)
        return made

    def single_call(self) -> Callable[[], Any]:
        """Return a request of one call: what is allocated in it, the library allocates."""
        rng, pool, option = self.rng, self.pool, self._option()
        hashes = self._hashes(option)
        if self.running and rng.random() < 0.4:
            sequence = rng.choice(self.running)
            if sequence.is_preempted:
                return sequence.resume
            n = sequence.num_tokens
            return rng.choice(
                (
                    sequence.fork,
                    partial(sequence.append_tokens, [1, 2, 3]),
                    partial(sequence.commit, n),
                    sequence.preempt,
                )
            )
        if rng.random() < 0.3 and pool.available_blocks >= len(hashes):
            return partial(pool.register_blocks, pool.allocate_blocks(len(hashes), **option), hashes)
        calls = (
            partial(pool.allocate_blocks, 1 + rng.randrange(9), **option),
            partial(pool.match_sequence_hashes, hashes, **option),
            partial(pool.match_scattered, hashes, **option),
            partial(pool.open_sequence, self._prompt(), **option),
            partial(pool.touch, hashes),
            partial(pool.read_events, 0, 20),
            pool.status,
            pool.outstanding,
        )
        return rng.choice(calls)

    def end(self) -> None:
        """Drop or release everything, in any order."""
        self.pool.prefetcher.cancel_all()  # one that was cut short is held by nobody else
        self.rng.shuffle(self.running)
        while self.running:
            self._finish(self.running.pop())
        self.rng.shuffle(self.held)
        self.held.clear()

    def _end_some(self, kept: int) -> None:
        self.rng.shuffle(self.running)
        while len(self.running) > kept:
            self._finish(self.running.pop())
        del self.held[kept:]

    def _finish(self, sequence: BlockSequence) -> None:
        if self.rng.random() < 0.5:
            sequence.release()

    # What is asked for

    def _length(self) -> int:
        """Tokens: below, at and above whole blocks; now and then thousands."""
        rng = self.rng
        choice = rng.random()
        if choice < 0.3:
            return BLOCK_SIZE * rng.randrange(1, 5) + rng.choice((-1, 0, 1))
        if choice < 0.5:
            return rng.randrange(1, BLOCK_SIZE)
        return rng.randrange(1, LONGEST // 2) if choice > 0.985 else rng.randrange(1, 250)

    def _prompt(self) -> Any:
        """Tokens that begin as others do, sometimes with an end of their own."""
        prompt = self.rng.choice(self.conversations)[: self._length()]
        if self.rng.random() < 0.2:
            prompt = prompt.copy()
            prompt[self.rng.randrange(len(prompt)) :] = self.rng.getrandbits(16)
        return prompt

    def _hashes(self, option: dict[str, Any], prompt: Any = None) -> Any:
        prompt = self._prompt() if prompt is None else prompt
        return sequence_hashes(prompt, BLOCK_SIZE, salt_hash=self._salt(option))

    def _salt(self, option: dict[str, Any]) -> int:
        return self.pool.namespaces[option["namespace"]].salt_hash if option else 0

    def _option(self) -> dict[str, Any]:
        return self.rng.choice(self.options)

    # Requests

    def _sequence(self) -> int:
        rng = self.rng
        sequence = self.pool.open_sequence(
            self._prompt(),
            lookahead=rng.choice((0, 0, 1, 20)),
            commit_on_append=rng.random() < 0.8,
            owner=rng.choice((None, "soak")),
            **self._option(),
        )
        self.running.append(sequence)
        for _ in range(rng.randrange(4)):
            if self.running:
                self._live(rng.randrange(len(self.running)))
        return 1

    def _live(self, i: int) -> None:
        """One thing that happens to a running sequence."""
        rng, sequence = self.rng, self.running[i]
        choice = rng.randrange(16)
        if choice < 3:
            self._finish(self.running.pop(i))
        elif sequence.is_preempted:
            sequence.resume()
        elif choice < 6:
            sequence.commit(rng.randint(sequence.num_computed_tokens, sequence.num_tokens))
        elif choice < 10:
            sequence.append_tokens([rng.randrange(1000)])
        elif choice == 10:
            sequence.append_tokens(rng.choice(self.conversations)[: rng.randrange(60)])
        elif choice == 11:
            sequence.truncate(rng.randint(1, sequence.num_tokens))
        elif choice == 12:
            sequence.reserve(rng.randrange(40))
        elif choice < 15:
            self.running.append(sequence.fork()[0])
        else:
            sequence.preempt()

    def _batch(self) -> int:
        rng = self.rng
        batch = SequenceBatch(self.pool, ROWS, 2 * LONGEST // BLOCK_SIZE)
        prompts = [self._prompt() for _ in range(ROWS)]
        admissions = self.pool.admit(prompts, lookahead=1, wait_for_running=rng.random() < 0.5, **self._option())
        for admission in admissions:
            if admission.sequence is not None:
                admission.sequence.commit(admission.sequence.num_tokens)
                batch.add(admission.sequence)
        for _ in range(rng.randrange(8)):
            batch.append([rng.randrange(1000)] * len(batch), on_exhausted=rng.choice(("raise", "report")))
            if len(batch) and rng.random() < 0.2:
                self.running.append(batch.remove(rng.randrange(len(batch))))
        return len(prompts)

    def _raw(self) -> int:
        rng = self.rng
        prompt, option = self._prompt(), self._option()
        hashes = self._hashes(option, prompt)
        cached = self.pool.match_sequence_hashes(hashes, owner="raw", **option)
        fresh = self.pool.allocate_blocks(len(hashes) - len(cached), **option)
        if rng.random() < 0.1:
            raise InjectedError("aborted between allocation and registration")
        if rng.random() < 0.3:
            rest = prompt[len(cached) * BLOCK_SIZE : len(hashes) * BLOCK_SIZE]
            fresh.fill(rest, **({"parent": cached} if len(cached) else {"salt_hash": self._salt(option)}))
            filled = self.pool.register_blocks(fresh)
        else:
            retention: dict[str, Any] = {"priority": rng.randrange(101), "ttl": 3.0} if rng.random() < 0.1 else {}
            filled = self.pool.register_blocks(
                fresh, hashes[len(cached) :], parent=cached if len(cached) else None, **retention
            )
        if rng.random() < 0.3:
            self.held.append(cached + filled)
        elif rng.random() < 0.3:
            self.held.append(filled[: len(filled) // 2])
        elif rng.random() < 0.5:
            filled.release()
        return 1

    def _wait(self) -> int:
        n = min(self.pool.available_blocks + self.rng.randrange(3), self.pool.total_blocks)
        self.pool.allocate_blocks(n, timeout=self.rng.choice((0.0, 1e-6, 2e-5)), **self._option())
        return 1

    def _scatter(self) -> int:
        option = self._option()
        hashes = self._hashes(option)
        found = self.pool.match_scattered(hashes[:: self.rng.choice((1, 2, 3))], **option)
        if len(found) and found[0] is not None:
            block = found[0]
            weak = block.downgrade()
            if self.rng.random() < 0.5:
                del block
            self.held.append(weak.upgrade())
        return 1

    def _keep(self) -> int:
        rng, pool, option = self.rng, self.pool, self._option()
        hashes = self._hashes(option)
        choice = rng.randrange(5)
        if choice == 0:
            self.held.append(pool.pin(hashes, **option))
        elif choice == 1:
            pool.retain(hashes, priority=rng.randrange(101), ttl=rng.choice((None, 1.0, 50.0)))
        elif choice == 2:
            pool.demote(hashes)
        elif choice == 3:
            pool.protect([hashes, self._hashes(option)])
        else:
            pool.touch(hashes)
        return 1

    def _look(self) -> int:
        option = self._option()
        self.pool.contains(self._hashes(option))
        self.pool.match_lengths([self._hashes(option), self._hashes(option)])
        if self.rng.random() < 0.3:
            batch = self.pool.read_events(self.next_event, limit=500)
            self.next_event = batch.first + len(batch)
        if self.rng.random() < 0.05:
            self.pool.snapshot()
        self.pool.status()
        self.pool.outstanding()
        return 1

    def _tidy(self) -> int:
        choice = self.rng.randrange(20)
        if choice == 0:
            self.pool.evict_ahead(self.rng.randrange(self.pool.total_blocks // 2))
        elif choice == 1:
            self.pool.trigger_eviction(self.rng.choice((EvictionMode.NORMAL, EvictionMode.AGGRESSIVE)))
        elif choice == 2:
            self.end()
            if self.pool.available_blocks == self.pool.total_blocks:  # else a cycle may have what an abort left
                self.pool.reset()
        else:
            self.pool.reset_blocks(self._hashes(self._option())[:3])
        return 1

    def _ahead(self) -> int:
        option = self._option()
        prefetch = self.pool.prefetch(self._hashes(option), hold=self.rng.choice((0.002, 0.02)), **option)
        if self.rng.random() < 0.5:
            prefetch.cancel()
        elif self.rng.random() < 0.5:
            self.held.append(prefetch.take())
        else:
            with prefetch:
                pass
        return 1

    def _view(self) -> int:
        if self.pool.storage is None:
            return self._raw()
        blocks = self.pool.allocate_blocks(1 + self.rng.randrange(3), **self._option())
        view = blocks[0].block_view()
        array = np.asarray(view)
        if self.rng.random() < 0.5:
            del blocks
        self.held.append(array[..., :1])
        return 1

    def _abort(self) -> int:
        """End a request by an exception, with all its handles in frames."""
        sequence = self.pool.open_sequence(self._prompt(), **self._option())
        other, _ = sequence.fork()
        sequence.append_tokens([1, 2, 3])
        raise InjectedError(f"aborted with {other.num_blocks} blocks")
