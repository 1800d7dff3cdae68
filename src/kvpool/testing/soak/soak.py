"""Rounds of requests, and what must be left after each."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable

from kvpool import AsyncBlockPool, BlockPool
from kvpool.errors import NotEnoughBlocksAvailable
from kvpool.testing.soak.faults import Faults, InjectedError, Interruption
from kvpool.testing.soak.footprint import Footprint, fill_numpy_cache
from kvpool.testing.soak.pools import FRUGAL, make_all, make_one
from kvpool.testing.soak.traffic import Traffic

__all__ = ["LeakError", "Soak"]

ROUND = 1000
WINDOW = 18  # rounds: three of each pool
WARM_SHARE = 0.1
PATIENCE = 200
CHILD_REQUESTS = 20
COROUTINES = 8


class LeakError(AssertionError):
    """Something was left of a round of requests."""


class Soak:
    """Sends requests to pools of all kinds in turn, and looks after each thousand whether anything is left.

    To be used in the main thread of a process of its own: it takes SIGALRM and forks.

    Parameters
    ----------
    seed : int
        Gives the requests; when a signal comes, and what threads do meanwhile, it cannot give.
    faults : bool, default True
        Whether callbacks raise, allocations fail and signals come.
    forks : bool, default True
        Whether the process forks now and then, with requests under way.

    Attributes
    ----------
    requests, rounds : int
    counts : Counter
        What was made beside requests, and what went wrong on purpose.
    footprints : list of Footprint
        After warming up, and now: the least of the last rounds each. Empty before that.
    """

    def __init__(self, seed: int, *, faults: bool = True, forks: bool = True) -> None:
        self.rng = random.Random(seed)
        self.has_faults = faults
        self.has_forks = forks
        self.faults = Faults()
        self.traffic = make_all(self.rng, self.faults)
        self.kinds = list(self.traffic)
        self.requests = 0
        self.rounds = 0
        self.is_warming = False
        self.counts: Counter[str] = Counter()
        self.footprints: list[Footprint] = []
        self.window: deque[Footprint] = deque(maxlen=WINDOW)
        fill_numpy_cache()
        self.previous_hook = sys.unraisablehook
        sys.unraisablehook = self._note_unraisable

    def close(self) -> None:
        """End the pools' threads, and give signals and hooks back."""
        for traffic in self.traffic.values():
            traffic.pool.close()
        self.faults.close()
        sys.unraisablehook = self.previous_hook

    def _note_unraisable(self, unraisable: sys.UnraisableHookArgs) -> None:
        kind = unraisable.exc_type
        if not issubclass(kind, InjectedError | Interruption | MemoryError):
            self.counts[f"unraisable {kind.__name__}"] += 1
            self.previous_hook(unraisable)
        self.counts["errors without a caller"] += 1

    def run_round(self, size: int = ROUND) -> Footprint:
        """Make so many requests, and check that nothing is left of them; LeakError if something is."""
        traffic = self.traffic[self.kinds[self.rounds % len(self.kinds)]]
        target = self.requests + size
        fork_at: float = float("inf")
        if self.has_forks and self.rounds % 5 == 0:
            fork_at = self.requests + self.rng.randrange(size)
        while self.requests < target:
            self._request(traffic)
            if self.requests >= fork_at:
                fork_at = float("inf")
                self._fork(traffic)
        if self.rounds % 7 == 0:
            self._coroutines(traffic.pool)
        if self.rounds % 11 == 0:
            self._restart(traffic.pool)
        traffic.end()
        self._expect_all_back(traffic)
        self.faults.seconds += 1.0
        self.rounds += 1
        footprint = Footprint.measure()
        self._remember(footprint)
        return footprint

    def _remember(self, footprint: Footprint) -> None:
        self.window.append(footprint)
        if len(self.window) == WINDOW:
            now = Footprint.least(list(self.window))
            if self.is_warming or self.rounds < 3 * WINDOW:
                self.footprints = [now, now]
            self.footprints[1:] = [now]

    # Requests, whole or cut short

    def _request(self, traffic: Traffic) -> None:
        self.faults.seconds += 0.001
        choice = self.rng.random() if self.has_faults else 1.0
        kind, is_cut = "", False
        try:
            if choice < 0.01:
                kind, after = "signals", self.rng.random() * 3e-4
                is_cut = self.faults.with_signal(lambda: self._serve(traffic), after + 1e-6)
            elif choice < 0.02 and self.kinds[self.rounds % len(self.kinds)] in FRUGAL:
                kind, call = "failed allocations", traffic.single_call()
                is_cut = self.faults.with_shortage(call, self.rng.randrange(12))
            elif choice < 0.03:
                kind = "raising clocks"
                is_cut = self.faults.with_clock(lambda: self._serve(traffic), self.rng.randrange(4))
            elif choice < 0.04:
                kind = "raising callbacks"
                is_cut = self.faults.with_callback(lambda: self._serve(traffic), self.rng.randrange(3))
            else:
                self._serve(traffic)
        except InjectedError:
            kind, is_cut = "aborts", True
        except NotEnoughBlocksAvailable:  # of a single call
            pass
        if is_cut:
            self.counts[kind] += 1
            self.requests += 1

    def _serve(self, traffic: Traffic) -> None:
        made = traffic.serve()
        self.requests += made

    # What happens beside requests

    def _fork(self, traffic: Traffic) -> None:
        """Fork with requests under way: the child goes on with its copies for a while, and gives them back."""
        child = os.fork()
        if child == 0:
            status = 1
            try:
                signal.alarm(60)  # a hang is a failure too
                for _ in range(CHILD_REQUESTS):
                    with contextlib.suppress(InjectedError):
                        traffic.serve()
                traffic.end()
                self._expect_all_back(traffic)
                status = 0
            except BaseException:
                sys.excepthook(*sys.exc_info())
            finally:
                sys.stderr.flush()
                os._exit(status)
        _, status = os.waitpid(child, 0)
        self.counts["forks"] += 1
        if status != 0:
            raise LeakError(f"a forked child ended with status {status}")

    def _coroutines(self, pool: BlockPool) -> None:
        """Coroutines wait in turn; some are cancelled, some give up."""
        is_granted = asyncio.run(_wait_in_turn(AsyncBlockPool(pool), self.rng.getrandbits(32)))
        self.counts["coroutines"] += len(is_granted)
        self.counts["coroutines that got blocks"] += sum(is_granted)

    def _restart(self, pool: BlockPool) -> None:
        """Save what is cached, and load it into a new pool, as after a restart."""
        kind = self.kinds[self.rounds % len(self.kinds)]
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "index")
            saved = pool.save_index(path)
            other = make_one(kind, self.faults)
            loaded = other.load_index(path, elapsed=0.0)
            other.check_invariants()
            other.close()
        self.counts["restarts"] += 1
        if loaded != saved:
            raise LeakError(f"{saved} blocks were saved and {loaded} loaded")

    def _expect_all_back(self, traffic: Traffic) -> None:
        pool = traffic.pool
        gc.collect()
        pool.prefetcher.cancel_all()
        pool.status()  # a call, which gives back what tensors' deleters left
        for _ in range(PATIENCE):
            status = pool.status()
            held = pool.outstanding()
            if not any(hold.owner == "prefetch" for hold in held):
                break
            time.sleep(0.01)  # one whose end a signal cut short ends with its time
        if status.available != status.total or status.active or status.pinned or status.waiting or held:
            raise LeakError(f"round {self.rounds}: {status}, held by {held}")
        if pool.num_views:
            raise LeakError(f"round {self.rounds}: {pool.num_views} views of memory are left")
        pool.check_invariants()

    # The verdict

    def growth(self) -> Footprint:
        """Return what there is more now than after warming up."""
        if not self.footprints:
            raise ValueError(f"{self.rounds} rounds are fewer than {WINDOW}: there is nothing to compare")
        before, now = self.footprints
        return Footprint._make(b - a for a, b in zip(before, now, strict=True))

    def run(self, requests: int, seconds: float, clock: Callable[[], float], tell: Callable[[str], object]) -> None:
        """Make so many requests, or as many as there is time for, telling of them now and then.

        The first tenth is for warming up.
        """
        start = told = clock()
        while self.requests < requests and clock() - start < seconds:
            self.is_warming = max(self.requests / requests, (clock() - start) / seconds) < WARM_SHARE
            footprint = self.run_round()
            if clock() - told > 60 or self.rounds == 1:
                told = clock()
                tell(f"{self.requests:,} requests, {told - start:.0f} s: {footprint}")


async def _wait_in_turn(pool: AsyncBlockPool, seed: int) -> list[bool]:
    """Have coroutines want more than there is; some are cancelled while they wait."""
    rng = random.Random(seed)

    async def want() -> bool:
        try:
            blocks = await pool.allocate_blocks(
                rng.randrange(pool.total_blocks // 3, pool.total_blocks // 2), timeout=rng.choice((1e-4, 0.02, 0.02))
            )
        except NotEnoughBlocksAvailable:
            return False
        await asyncio.sleep(rng.random() * 1e-3)
        blocks.release()
        return True

    tasks = [asyncio.ensure_future(want()) for _ in range(COROUTINES)]
    await asyncio.sleep(0)
    for task in tasks:
        if rng.random() < 0.2:
            task.cancel()
    return [result is True for result in await asyncio.gather(*tasks, return_exceptions=True)]
