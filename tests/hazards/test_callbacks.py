"""What users hand in is called outside the lock: it may call everything, raise, drop handles, run the collector.

Each place that calls it is made to call once for every public call, which is made from within.
"""

import pytest

PROGRAM = """
    import contextlib, faulthandler, gc, itertools, os, sys, threading
    faulthandler.dump_traceback_later(120, exit=True)  # a lock that is taken twice hangs
    import every_call
    from kvpool import BackgroundEvictor, BlockPool, BlockPoolError, EventManager, EvictionPolicy
    from kvpool import NotEnoughBlocksAvailable

    class Hook:
        \"\"\"What is called: does one thing after the other, unless it is called from what it does.\"\"\"

        def __init__(self):
            self.acts, self.inside, self.done, self.errors = [], threading.local(), 0, []

        def __call__(self, *_):
            if not self.acts or getattr(self.inside, "flag", False):
                return
            self.inside.flag = True
            try:
                name, act = self.acts.pop()
                self.done += 1
                try:
                    act()
                except (BlockPoolError, Expected):
                    raise
                except BaseException as error:
                    self.errors.append((name, repr(error)))
            finally:
                self.inside.flag = False

    class Expected(Exception):
        pass

    def fail():
        raise Expected

    hook = Hook()
    numbers = itertools.count(1000, 2)
    PATIENCE = 30

    class Index:
        def __index__(self):
            hook()
            return 1

        def __repr__(self):
            hook()
            return "an owner"

    class Ranking:
        def rank(self, blocks):
            hook()
            return -blocks.ids

    class Choosing:
        def choose(self, blocks, n):
            hook()
            return blocks.ids[:n]

    class Deciding(EvictionPolicy):
        def should_evict(self, block):
            hook()
            return True

    class Manager(EventManager):
        wants_tokens = True

        def __init__(self, place):
            self.place = place
            self.seen = threading.Event()

        def open(self, pool):
            self.place == "open" and hook()

        def publish(self, batch):
            try:
                self.place == "publish" and hook()
            finally:
                self.seen.set()

        def fileno(self):
            self.place == "fileno" and hook()
            return -1

        def close(self):
            self.place == "close" and hook()

    def clocked():
        hook()
        return 1.0

    def evict(pool):
        with contextlib.suppress(NotEnoughBlocksAvailable):
            for number in range(3):
                pool.register_blocks(pool.allocate_blocks(6), range(10 * number, 10 * number + 6)).release()

    def publish(place):
        def trigger(pool):
            manager = Manager(place)
            with pool.subscribe(manager, since=0):
                pool.register_blocks(pool.allocate_blocks(1), [5]).release()
                assert manager.seen.wait(PATIENCE)
        return trigger

    def load(place):
        def trigger(pool):
            pool.prefetcher.loader = lambda blocks, hashes: place == "loader" and hook() or len(blocks)
            fresh = next(numbers)
            with pool.prefetch([fresh, fresh + 1], hold=3600) as prefetch:
                if place == "callback":
                    prefetch.add_done_callback(lambda prefetch: hook())
                assert prefetch.wait(PATIENCE)
            pool.prefetcher.loader = None
        return trigger

    def background(start):
        def trigger(pool):
            done = threading.Event()

            def act(*_):
                try:
                    hook()
                finally:
                    done.set()
                return False

            start(pool, act)
            assert done.wait(PATIENCE)
        return trigger

    def press(pool):
        with contextlib.suppress(NotEnoughBlocksAvailable):
            pool.allocate_blocks(15).release()

    def need(pool):
        pool.wake_below(16, hook)
        with contextlib.suppress(NotEnoughBlocksAvailable):
            pool.allocate_blocks(1).release()
        pool.wake_below(0, hook)

    def name_holders(pool):
        with pool.allocate_blocks(1, owner=Index()):
            try:
                pool.allocate_blocks(99)
            except NotEnoughBlocksAvailable as error:
                str(error)

    def read_items(pool):
        pool.match_sequence_hashes([1, Index(), 3]).release()
        pool.open_sequence([1, Index(), 3]).release()
        pool.admit(iter([[1, Index()], [Index()]]))
        pool.protect(iter([[1, Index()]]))

    def interrupt(pool):
        import signal
        signal.signal(signal.SIGUSR1, hook)
        os.kill(os.getpid(), signal.SIGUSR1)
        pool.status()

    HOOKS = {
        "clock": (dict(clock=clocked), lambda pool: pool.allocate_blocks(1).release()),
        "on_pressure": (dict(on_pressure=hook), press),
        "wake": ({}, need),
        "rank": (dict(eviction=Ranking()), evict),
        "choose": (dict(eviction=Choosing()), evict),
        "should_evict": (dict(eviction=Deciding()), evict),
        "open": ({}, publish("open")),
        "publish": ({}, publish("publish")),
        "fileno": ({}, publish("fileno")),
        "close": ({}, publish("close")),
        "loader": ({}, load("loader")),
        "done callback": ({}, load("callback")),
        "chore": ({}, background(lambda pool, act: pool.progress_engine.add_chore(act))),
        "timer": ({}, background(lambda pool, act: pool.progress_engine.call_later(0, act))),
        "argument": ({}, read_items),
        "owner": ({}, name_holders),
        "signal": ({}, interrupt),
    }
    options, trigger = HOOKS["NAME"]
    pool = BlockPool(16, 4, **{"event_capacity": 64, "reuse_sampling": 1.0, **options})
    sys.unraisablehook = lambda error: None
    quiet = open(os.devnull, "w")
    world = every_call.World(pool)
    """

MAY_DO_ANYTHING = """
    kept = []

    def hold():
        for _ in range(3):
            with contextlib.suppress(BlockPoolError):
                kept.append(pool.allocate_blocks(1))
                kept.append(pool.match_sequence_hashes([1, 2, 11, 12]))

    def collect():
        cycle = kept[:]
        cycle.append(cycle)
        kept.clear()
        del cycle
        gc.collect()

    acts = [(name, lambda call=call: call(world)) for name, call in every_call.every_call().items()]
    for number in range(8):
        acts += [("raise", fail), ("drop", kept.clear), ("collect", collect)]
    waiting = len(acts)
    hook.acts = acts
    turns = 0
    while hook.acts:
        turns += 1
        assert turns < 5 * waiting, (hook.done, len(hook.acts), hook.acts[-1])
        if turns % 5 == 0:
            hook.inside.flag = True
            hold()
            hook.inside.flag = False
        try:
            with contextlib.redirect_stderr(quiet):  # Cython's report of what nobody can be told
                trigger(pool)
        except (BlockPoolError, Expected):
            pass
        kept.clear()
        pool.check_invariants()
    assert hook.done == waiting
    assert hook.errors == [], hook.errors[:3]
    pool.close()
    gc.collect()
    pool.check_invariants()
    assert (pool.status().active, pool.status().waiting, pool.outstanding()) == (0, 0, []), pool.outstanding()
    """

BLOCKS = """
    entered, leave = threading.Event(), threading.Event()
    hook.acts = [("block", lambda: entered.set() or leave.wait(60))]
    caller = threading.Thread(target=trigger, args=(pool,))
    caller.start()
    assert entered.wait(PATIENCE)
    for name, call in every_call.every_call(threads=False).items():
        with contextlib.suppress(BlockPoolError):  # the blocked call may have what this one wants
            call(world)
    assert not leave.is_set()
    leave.set()
    caller.join(PATIENCE)
    assert not caller.is_alive()
    pool.close()
    pool.check_invariants()
    assert (hook.done, hook.errors) == (1, [])
    """

HOOKS = ["clock", "on_pressure", "wake", "rank", "choose", "should_evict", "loader", "done callback", "chore", "timer"]
HOOKS += ["open", "publish", "fileno", "close", "argument", "owner", "signal"]


@pytest.mark.parametrize("name", HOOKS)
def test_what_is_called_back_may_do_anything(hazard, name):
    hazard(PROGRAM.replace("NAME", name) + MAY_DO_ANYTHING)


@pytest.mark.parametrize("name", [name for name in HOOKS if name != "signal"])
def test_what_is_called_back_and_blocks_keeps_no_other_thread_waiting(hazard, name):
    hazard(PROGRAM.replace("NAME", name) + BLOCKS)
