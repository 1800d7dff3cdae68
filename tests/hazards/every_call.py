"""Every public call of kvpool once: what the hazards of this folder are tried on.

Methods are named here, each with a call that works. Properties and operators are found by looking. So a method that is
added is missed by test_every_call.py until it has its line here.
"""

import contextlib
import enum

import numpy as np

import kvpool
from kvpool import AsyncBlockPool, BackgroundEvictor, Backoff, BlockPool, BlockPoolError, EvictionMode, SequenceBatch

NO_CALLS = {"__init__", "__new__", "__delattr__", "__setattr__", "__getstate__", "__setstate__", "__getnewargs__"}
NO_CALLS |= {"__post_init__", "__replace__", "__init_subclass__", "__copy__", "__radd__", "__pyx_capi__"}


class World:
    """A pool, and a way to each kind of thing that its users hold."""

    def __init__(self, pool=None):
        if pool is None:
            pool = BlockPool(64, 4, event_capacity=64, max_namespaces=3, reuse_sampling=1.0, name="world")
        self.pool = pool
        if self.pool.max_namespaces:
            self.pool.namespace("tenant", cap=32)
        self.owner = ["somebody"]

    def fresh(self, n=2):
        return self.pool.allocate_blocks(n, owner=self.owner)

    def stored(self, hashes=(1, 2, 3)):
        return self.pool.register_blocks(self.fresh(len(hashes)), hashes)

    def one(self):
        """Return a block in which tokens can be put."""
        block = self.fresh(1)[0]
        block.init_sequence()
        return block

    def request(self, n=6, commit=True):
        request = self.pool.open_sequence(range(n), owner=self.owner, namespace=self.name)
        if commit:
            request.commit(n)
        return request

    def batch(self):
        batch = SequenceBatch(self.pool, 4, 8)
        batch.add(self.request())
        return batch

    @property
    def name(self):
        return "tenant" if self.pool.max_namespaces else None

    def error(self, call):
        try:
            call()
        except BlockPoolError as error:
            return error.with_traceback(None)
        raise AssertionError("it should have failed")

    @contextlib.contextmanager
    def small_pool(self, **options):
        """Yield a pool of its own, for what ends a pool or its thread."""
        with BlockPool(8, 4, event_capacity=16, **options) as pool:
            yield pool

    @contextlib.contextmanager
    def subscription(self):
        with self.pool.subscribe(lambda batch: None) as subscription:
            yield subscription

    @contextlib.contextmanager
    def prefetch(self):
        with self.pool.prefetch([1, 2, 80], hold=3600) as prefetch:
            yield prefetch

    @contextlib.contextmanager
    def evictor(self):
        with BackgroundEvictor(self.pool, reserve=1) as evictor:
            yield evictor


def finish(coroutine):
    """Run a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    finally:
        coroutine.close()
    raise AssertionError("it waits")


def finish_async(call):
    return lambda w: finish(call(AsyncBlockPool(w.pool), w))


def using(resource, call):
    """Make a call with something that ends after it."""

    def run(w):
        with getattr(w, resource)() as thing:
            return call(w, thing)

    return run


def never(pool):
    """Be a chore that has nothing to do."""
    return False


def tokens_of(n):
    return kvpool.TokenBlockSequence(range(n), 4)


def candidates(n=2):
    columns = [
        np.arange(n, dtype=dtype) for dtype in (np.int32, np.uint64, np.float64, np.uint32, np.uint32, np.uint32)
    ]
    return kvpool.Candidates(*columns)


def shortage(w):
    return w.error(lambda: w.pool.allocate_blocks(w.pool.total_blocks + 1))


METHODS = {
    "BlockPool.__enter__": using("small_pool", lambda w, pool: pool.__enter__()),
    "BlockPool.__exit__": using("small_pool", lambda w, pool: pool.__exit__(None, None, None)),
    "BlockPool.admit": lambda w: w.pool.admit([range(5), range(9)], namespace=w.name, owners=[1, w.owner]),
    "BlockPool.allocate_blocks": lambda w: [w.fresh(), w.pool.allocate_blocks(2, timeout=0.5)],
    "BlockPool.block_state": lambda w: w.pool.block_state(3),
    "BlockPool.block_states": lambda w: w.pool.block_states(),
    "BlockPool.blocks": lambda w: w.pool.blocks(),
    "BlockPool.check_invariants": lambda w: w.pool.check_invariants(),
    "BlockPool.close": using("small_pool", lambda w, pool: pool.close()),
    "BlockPool.contains": lambda w: w.pool.contains(range(9)),
    "BlockPool.demote": lambda w: w.pool.demote([1, 2]),
    "BlockPool.event_statistics": lambda w: w.pool.event_statistics(),
    "BlockPool.events": lambda w: w.pool.events(),
    "BlockPool.evict_ahead": lambda w: w.pool.evict_ahead(2),
    "BlockPool.latencies": lambda w: w.pool.latencies(),
    "BlockPool.match_lengths": lambda w: w.pool.match_lengths([[1, 2], [9], range(3)]),
    "BlockPool.match_scattered": lambda w: [w.stored(), w.pool.match_scattered([1, 9, 2], owner=w.owner)],
    "BlockPool.match_sequence_hashes": lambda w: [w.stored(), w.pool.match_sequence_hashes([1, 2, 3], owner=w.owner)],
    "BlockPool.namespace": lambda w: w.name and w.pool.namespace(w.name, cap=40),
    "BlockPool.open_sequence": lambda w: [w.request(), w.request(13, commit=False)],
    "BlockPool.outstanding": lambda w: [w.fresh(), w.stored(), w.pool.outstanding()],
    "BlockPool.pin": lambda w: [w.stored(), w.pool.pin([1, 2], owner=w.owner)],
    "BlockPool.prefetch": lambda w: w.pool.prefetch([1, 2, 77], hold=3600).cancel(),
    "BlockPool.protect": lambda w: w.pool.protect([[1, 2], range(3), np.arange(3, dtype=np.uint64)]),
    "BlockPool.read_events": lambda w: w.pool.read_events(0, 8),
    "BlockPool.register_blocks": lambda w: [w.stored(), w.pool.register_blocks(w.fresh(2).fill(range(8)), ttl=9)],
    "BlockPool.reset": lambda w: w.pool.reset(),
    "BlockPool.reset_blocks": lambda w: w.pool.reset_blocks([1, 99]),
    "BlockPool.retain": lambda w: w.pool.retain([1, 2], priority=70, ttl=5),
    "BlockPool.reuse_statistics": lambda w: w.pool.reuse_statistics(reset=True),
    "BlockPool.snapshot": lambda w: w.pool.snapshot(),
    "BlockPool.status": lambda w: w.pool.status(),
    "BlockPool.subscribe": using("subscription", lambda w, subscription: w.stored([1])),
    "BlockPool.time_calls": lambda w: w.pool.time_calls(3),
    "BlockPool.touch": lambda w: w.pool.touch([1, 2, 9]),
    "BlockPool.trigger_eviction": lambda w: w.pool.trigger_eviction(EvictionMode.AGGRESSIVE),
    "BlockPool.unpin": lambda w: w.pool.unpin(w.pool.pin([1])),
    "BlockPool.wake_below": lambda w: w.pool.wake_below(0, print),
    "MutableBlocks.fill": lambda w: w.fresh().fill(range(6)),
    "MutableBlocks.release": lambda w: w.fresh().release(reuse_hint=1),
    "MutableBlock.add_token": lambda w: w.one().add_token(7),
    "MutableBlock.add_tokens": lambda w: w.one().add_tokens([7, 8]),
    "MutableBlock.apply_token_block": lambda w: w.fresh(1)[0].apply_token_block(tokens_of(4).blocks[0]),
    "MutableBlock.commit": lambda w: [(block := w.one()), block.add_tokens(range(4)), block.commit()],
    "MutableBlock.init_sequence": lambda w: w.fresh(1)[0].init_sequence(salt_hash=3, parent=5),
    "MutableBlock.pop_token": lambda w: [(block := w.one()), block.add_token(7), block.pop_token()],
    "MutableBlock.pop_tokens": lambda w: [(block := w.one()), block.add_tokens([7, 8]), block.pop_tokens(2)],
    "MutableBlock.release": lambda w: w.fresh(1)[0].release(),
    "MutableBlock.reset": lambda w: w.one().reset(),
    "ImmutableBlocks.release": lambda w: w.stored().release(),
    "ImmutableBlock.release": lambda w: w.stored()[0].release(),
    "ImmutableBlock.downgrade": lambda w: w.stored()[0].downgrade(),
    "WeakBlock.upgrade": lambda w: w.stored()[0].downgrade().upgrade(),
    "ScatteredBlocks.release": lambda w: w.pool.match_scattered([1, 9]).release(),
    "Pin.release": lambda w: w.pool.pin([1, 2]).release(),
    "Namespace.sequence_hashes": lambda w: w.name and w.pool.namespaces["tenant"].sequence_hashes(range(9)),
    "BlockSequence.append_tokens": lambda w: w.request().append_tokens([7, 8, 9]),
    "BlockSequence.check_invariants": lambda w: w.request().check_invariants(),
    "BlockSequence.commit": lambda w: w.request(9, commit=False).commit(8),
    "BlockSequence.fork": lambda w: w.request(9).fork(owner=w.owner),
    "BlockSequence.preempt": lambda w: w.request().preempt(),
    "BlockSequence.release": lambda w: w.request().release(reuse_hint=True),
    "BlockSequence.reserve": lambda w: w.request().reserve(9),
    "BlockSequence.resume": lambda w: [(request := w.request()), request.preempt(), request.resume()],
    "BlockSequence.truncate": lambda w: [w.request(10), w.request(10).truncate(6)],
    "SequenceBatch.add": lambda w: w.batch().add(w.request(3)),
    "SequenceBatch.append": lambda w: [w.batch().append([7]), w.batch().append([1, 2], offsets=[0, 2])],
    "SequenceBatch.check_invariants": lambda w: w.batch().check_invariants(),
    "SequenceBatch.refresh": lambda w: w.batch().refresh(),
    "SequenceBatch.remove": lambda w: w.batch().remove(0),
    "AsyncBlockPool.allocate_blocks": finish_async(lambda pool, w: pool.allocate_blocks(2, owner=w.owner)),
    "AsyncBlockPool.match_scattered": finish_async(lambda pool, w: pool.match_scattered([1, 9])),
    "AsyncBlockPool.match_sequence_hashes": finish_async(lambda pool, w: pool.match_sequence_hashes([1, 9])),
    "AsyncBlockPool.prefetch": lambda w: finish(AsyncBlockPool(w.pool).prefetch([1, 78], hold=3600)).cancel(),
    "AsyncBlockPool.register_blocks": finish_async(lambda pool, w: pool.register_blocks(w.fresh(), [1, 2])),
    "AsyncBlockPool.reset": finish_async(lambda pool, w: pool.reset()),
    "AsyncBlockPool.reset_blocks": finish_async(lambda pool, w: pool.reset_blocks([2])),
    "AsyncBlockPool.status": finish_async(lambda pool, w: pool.status()),
    "AsyncBlockPool.touch": finish_async(lambda pool, w: pool.touch([2])),
    "TokenBlockSequence.append": lambda w: tokens_of(7).append(7),
    "TokenBlockSequence.copy": lambda w: tokens_of(7).copy(),
    "TokenBlockSequence.extend": lambda w: tokens_of(7).extend(range(9)),
    "TokenBlockSequence.pop": lambda w: tokens_of(7).pop(),
    "TokenBlockSequence.truncate": lambda w: tokens_of(7).truncate(3),
    "TokenBlockSequence.unwind": lambda w: tokens_of(7).unwind(3),
    "Prefetch.add_done_callback": using(
        "prefetch", lambda w, prefetch: prefetch.add_done_callback(lambda prefetch: None)
    ),
    "Prefetch.cancel": using("prefetch", lambda w, prefetch: prefetch.cancel()),
    "Prefetch.take": using("prefetch", lambda w, prefetch: prefetch.take()),
    "Prefetch.wait": using("prefetch", lambda w, prefetch: prefetch.wait(0)),
    "Prefetcher.cancel_all": lambda w: w.pool.prefetcher.cancel_all(),
    "Prefetcher.prefetch": lambda w: w.pool.prefetcher.prefetch([1, 79], hold=3600).cancel(),
    "Prefetcher.statistics": lambda w: w.pool.prefetcher.statistics(),
    "BackgroundEvictor.stop": using("evictor", lambda w, evictor: evictor.stop()),
    "BackgroundEvictor.wait_until_idle": using("evictor", lambda w, evictor: evictor.wait_until_idle(0)),
    "ProgressEngine.add_chore": lambda w: w.pool.progress_engine.add_chore(never),
    "ProgressEngine.call_later": lambda w: w.pool.progress_engine.call_later(0, int),
    "ProgressEngine.close": using("small_pool", lambda w, pool: pool.progress_engine.close(5)),
    "ProgressEngine.event_statistics": lambda w: w.pool.progress_engine.event_statistics(0),
    "ProgressEngine.is_current_thread": lambda w: w.pool.progress_engine.is_current_thread(),
    "ProgressEngine.remove_chore": lambda w: w.pool.progress_engine.remove_chore(never),
    "ProgressEngine.ring": lambda w: w.pool.progress_engine.ring(),
    "ProgressEngine.start": lambda w: w.pool.progress_engine.start(),
    "ProgressEngine.subscribe": using(
        "small_pool", lambda w, pool: pool.progress_engine.subscribe(kvpool.NullEventManager(), 0, False).close()
    ),
    "Subscription.close": using("subscription", lambda w, subscription: subscription.close()),
    "Subscription.fileno": using("subscription", lambda w, subscription: subscription.fileno()),
    "EventManager.open": lambda w: kvpool.NullEventManager().open(w.pool),
    "CallbackEventManager.publish": lambda w: kvpool.CallbackEventManager(len).publish(w.pool.snapshot()),
    "EventManager.publish": lambda w: kvpool.EventManager.publish(kvpool.NullEventManager(), w.pool.snapshot()),
    "EventManager.fileno": lambda w: kvpool.NullEventManager().fileno(),
    "EventManager.service": lambda w: kvpool.NullEventManager().service(),
    "EventManager.close": lambda w: kvpool.NullEventManager().close(),
    "ListEventManager.publish": lambda w: kvpool.ListEventManager().publish(w.pool.snapshot()),
    "NullEventManager.publish": lambda w: kvpool.NullEventManager().publish(w.pool.snapshot()),
    "EvictionPolicy.should_evict": lambda w: kvpool.EvictionPolicy.should_evict(None, None),
    "Candidates.each": lambda w: list(candidates().each()),
    "AgeHistogram.quantile": lambda w: w.pool.reuse_statistics().lifetimes.quantile(0.5),
    "LatencyHistogram.quantile": lambda w: [w.fresh(), w.pool.latencies()["allocate"].quantile(0.5)],
    "ReuseStatistics.hit_ratio": lambda w: w.pool.reuse_statistics().hit_ratio(1.0),
    "ReuseStatistics.hits_gained": lambda w: w.pool.reuse_statistics().hits_gained(0.1),
    "NotEnoughBlocksAvailable.describe_holders": lambda w: [w.fresh(), shortage(w).describe_holders()],
    "block_hashes": lambda w: kvpool.block_hashes(range(9), 4),
    "positional_lineage_hashes": lambda w: kvpool.positional_lineage_hashes([1, 2, 3]),
    "router_salt_hash": lambda w: kvpool.router_salt_hash(lora_name="a", salt="b"),
    "sequence_hashes": lambda w: [kvpool.sequence_hashes(range(9), 4), kvpool.sequence_hashes(np.arange(9), 4)],
}


# One of each class that has properties or operators.
SAMPLES = {
    "Admission": lambda w: w.pool.admit([range(5)])[0],
    "AgeHistogram": lambda w: w.pool.reuse_statistics().lifetimes,
    "AllocationTimeout": lambda w: kvpool.AllocationTimeout(3, 2, 1, [], 2),
    "AsyncBlockPool": lambda w: AsyncBlockPool(w.pool),
    "Backoff": lambda w: Backoff(2),
    "BlockPool": lambda w: w.pool,
    "BlockSequence": lambda w: w.request(),
    "CloseReport": lambda w: kvpool.CloseReport((), 0),
    "BlockTable": lambda w: w.pool.blocks(),
    "CallbackEventManager": lambda w: kvpool.CallbackEventManager(len),
    "Candidate": lambda w: next(candidates().each()),
    "Candidates": lambda w: candidates(),
    "EventBatch": lambda w: [w.stored(), w.pool.snapshot()][1],
    "EventManager": lambda w: kvpool.NullEventManager(),
    "EventStatistics": lambda w: w.pool.event_statistics(),
    "EvictedBlocks": lambda w: w.pool.evict_ahead(3),
    "EvictionPolicy": lambda w: kvpool.EvictionPolicy,
    "Hold": lambda w: [w.fresh(), w.pool.outstanding()[-1]][1],
    "ImmutableBlock": lambda w: w.stored()[1],
    "ImmutableBlocks": lambda w: w.stored(),
    "LatencyHistogram": lambda w: [w.pool.time_calls(1), w.pool.latencies()["allocate"]][1],
    "ListEventManager": lambda w: kvpool.ListEventManager(),
    "MutableBlock": lambda w: w.fresh(1).fill(range(4))[0],
    "MutableBlocks": lambda w: w.fresh(),
    "Namespace": lambda w: w.pool.namespaces[w.name or ""],
    "NotEnoughBlocksAvailable": lambda w: [w.fresh(), shortage(w)][1],
    "NullEventManager": lambda w: kvpool.NullEventManager(),
    "Pin": lambda w: w.pool.pin([1, 2]),
    "PinLimitExceeded": lambda w: kvpool.PinLimitExceeded(3, 2, 1, []),
    "PoolEvent": lambda w: kvpool.PoolEvent(1, kvpool.PoolEventKind.STORED, 2, None, 3, 0),
    "PoolStatus": lambda w: w.pool.status(),
    "PrefetchStatistics": lambda w: w.pool.prefetcher.statistics(),
    "Prefetcher": lambda w: w.pool.prefetcher,
    "ProgressEngine": lambda w: w.pool.progress_engine,
    "ResetBlocksResult": lambda w: w.pool.reset_blocks([1, 99]),
    "ReuseStatistics": lambda w: w.pool.reuse_statistics(),
    "ScatteredBlocks": lambda w: [w.stored(), w.pool.match_scattered([1, 9])][1],
    "SequenceBatch": lambda w: w.batch(),
    "TokenBlock": lambda w: tokens_of(9).blocks[1],
    "TokenBlockSequence": lambda w: tokens_of(9),
    "WeakBlock": lambda w: w.stored()[0].downgrade(),
}
# Those that end by themselves: they are made for each call, and closed.
ENDING = {"BackgroundEvictor": "evictor", "Prefetch": "prefetch", "Subscription": "subscription"}

OPERATORS = {
    "__add__": lambda x: x + x[:0],
    "__copy__": lambda x: x.__copy__(),
    "__enter__": lambda x: x.__enter__(),
    "__eq__": lambda x: x == x,
    "__exit__": lambda x: x.__exit__(None, None, None),
    "__getitem__": lambda x: x[0],
    "__hash__": hash,
    "__iter__": list,
    "__len__": len,
    "__reduce__": lambda x: refused(x.__reduce__),
    "__repr__": lambda x: repr(x)[:40],
    "__str__": str,
}
# Called by the pool's thread alone.
OF_THE_THREAD = {"Subscription.end", "Subscription.forget", "Subscription.serve", "Subscription.take_turn"}


def refused(call):
    try:
        call()
    except TypeError:
        return
    raise AssertionError("it should have been refused")


def public_classes():
    things = {name: getattr(kvpool, name) for name in kvpool.__all__}
    return {
        name: thing for name, thing in things.items() if isinstance(thing, type) and not issubclass(thing, enum.Enum)
    }


def names_of(kind):
    """Yield what a class has of its own, or from a base that is not public, and whether it is a method."""
    public = set(public_classes().values())
    seen = set()
    for base in kind.__mro__:
        if base is not kind and base in public:
            break
        if base.__module__.startswith("kvpool"):
            for attribute in set(vars(base)) - seen:
                yield attribute, callable(getattr(kind, attribute))
            seen |= set(vars(base))


def required_methods():
    """The names of all public functions, and of all public methods."""
    names = {name for name in kvpool.__all__ if callable(getattr(kvpool, name)) and name[0].islower()}
    for name, kind in public_classes().items():
        names |= {f"{name}.{each}" for each, is_method in names_of(kind) if is_method and each[0] != "_"}
    return names - OF_THE_THREAD


def look(name, attribute):
    """Return a call that reads a property, or uses an operator."""
    use = OPERATORS[attribute] if attribute.startswith("__") else lambda thing: getattr(thing, attribute)
    if name in ENDING:
        return using(ENDING[name], lambda w, thing: use(thing))
    return lambda w: use(SAMPLES[name](w))


def looks():
    """All properties and operators, by name."""
    calls = {}
    for name, kind in public_classes().items():
        for attribute, is_method in names_of(kind):
            is_operator = attribute.startswith("__") and attribute not in NO_CALLS and is_method
            if is_operator or (attribute[0] != "_" and not is_method):
                calls[f"{name}.{attribute}"] = look(name, attribute)
    return calls


def every_call(threads=True):
    """All calls by name; without threads, those that neither start a thread nor talk to one."""
    calls = {**looks(), **METHODS}
    if threads:
        return calls
    of_threads = ("Prefetch", "BackgroundEvictor", "ProgressEngine", "Subscription")
    others = {
        "BlockPool.__enter__",
        "BlockPool.__exit__",
        "BlockPool.close",
        "BlockPool.prefetch",
        "BlockPool.progress_engine",
        "BlockPool.subscribe",
    }
    others |= {"AsyncBlockPool.prefetch"}
    return {name: call for name, call in calls.items() if not name.startswith(of_threads) and name not in others}
