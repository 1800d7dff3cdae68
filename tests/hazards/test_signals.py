"""Signals whose handlers raise, at any moment of any call.

KVPOOL_INTERRUPTS says how many there are, 1,000 by default.
"""

import os

INTERRUPTS = int(os.environ.get("KVPOOL_INTERRUPTS", "1000"))

PROGRAM = """
    import faulthandler, gc, random, signal, sys, threading, warnings
    faulthandler.dump_traceback_later(250, exit=True)
    warnings.simplefilter("ignore", RuntimeWarning)  # of coroutines that were interrupted before they began
    sys.unraisablehook = lambda error: None  # where an interrupt has no caller to go to
    import every_call
    from kvpool import BlockPool, BlockPoolError

    class Interrupt(BaseException):
        pass

    counts = {name: 0 for name in every_call.every_call()}
    is_armed = False

    def handle(*_):
        global is_armed
        if is_armed:
            is_armed = False
            raise Interrupt

    def wait(w):
        kept.clear()
        kept.append(pool.allocate_blocks(pool.available_blocks))
        pool.allocate_blocks(1, timeout=60)

    seed = random.randrange(10**9)
    chance = random.Random(seed)
    world = every_call.World()
    pool = world.pool
    pool.prefetcher.loader = lambda blocks, hashes: len(blocks) // 2
    alone = every_call.every_call(threads=False)
    calls = CALLS
    names, kept, count, name = sorted(calls), [], 0, None
    signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
    while count < INTERRUPTS:
        try:
            while True:
                is_armed = True  # again, if nobody heard of the last one
                name = "waiting" if "waiting" in calls and chance.random() < 0.02 else chance.choice(names)
                try:
                    kept.append(calls[name](world))
                except ERRORS:
                    pass
                if len(kept) > 5:
                    kept.clear()
        except Interrupt:
            count += 1
            counts[name] = counts.get(name, 0) + 1
    is_armed = False
    signal.setitimer(signal.ITIMER_REAL, 0)
    kept.clear()
    """


def test_interrupts_at_any_moment_of_any_call_leave_nothing_behind(hazard):
    hazard(
        PROGRAM.replace("CALLS", '{**alone, "waiting": wait}')
        .replace("INTERRUPTS", str(INTERRUPTS))
        .replace("ERRORS", "BlockPoolError")
        + """
    gc.collect()
    pool.check_invariants()
    assert (pool.status().active, pool.status().waiting, pool.outstanding()) == (0, 0, []), (seed, pool.outstanding())
    assert counts["waiting"] > count // 100, (seed, counts)
    """
    )


def test_interrupts_of_calls_that_use_threads_leave_nothing_behind(hazard):
    """Not those that use Python's conditions: interrupted, these may keep their locks (BackgroundEvictor).

    A thread that is interrupted when it starts, or when another waits for its end, may raise a RuntimeError.
    """
    hazard(
        PROGRAM.replace("CALLS", "{name: every_call.every_call()[name] for name in THREADED}")
        .replace(
            "THREADED", "[name for name in every_call.every_call() if name not in alone and 'Evictor' not in name]"
        )
        .replace("INTERRUPTS", str(max(INTERRUPTS // 10, 1)))
        .replace("ERRORS", "(BlockPoolError, RuntimeError)")
        + """
    pool.prefetcher.cancel_all()
    pool.close()
    gc.collect()  # pools whose close was interrupted, and which end with their threads when they go
    pool.check_invariants()
    assert (pool.status().active, pool.outstanding()) == (0, []), (seed, pool.outstanding())
    assert pool.prefetcher.live == (), seed
    assert pool.prefetcher.statistics().held_blocks == 0, (seed, pool.prefetcher.statistics())
    for thread in threading.enumerate():
        if thread.name == "kvpool-progress":
            try:
                thread.join(60)
            except RuntimeError:
                continue  # its start was interrupted: it never runs
            assert not thread.is_alive(), seed
    """
    )
