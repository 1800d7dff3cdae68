"""The collector of garbage runs at any allocation, in any call, and gives back handles that it finds in cycles."""

import pytest

PROGRAM = """
    import faulthandler, gc, sys, weakref
    faulthandler.dump_traceback_later(120, exit=True)  # a lock that is taken twice hangs
    import every_call
    from kvpool import BlockPool, BlockPoolError

    POOLS = {{
        "plain": dict(event_capacity=64, max_namespaces=3, reuse_sampling=1.0),
        "clocked": dict(event_capacity=64, clock=lambda: 0.0, duplicates="keep", reuse_sampling=1.0),
    }}
    world = every_call.World(BlockPool(64, 4, **POOLS["{pool}"]))
    pool = world.pool
    collected = 0

    class Witness:
        def __del__(self):
            global collected
            collected += 1

    # Handles are invisible to the collector: what it finds is who keeps them.
    def make_garbage():
        for number in range(3):
            cycle = [pool.allocate_blocks(1), Witness(), [object() for _ in range(3)]]
            cycle += [pool.register_blocks(pool.allocate_blocks(2), [1 + number, 41], priority=3), cycle]
            cycle += [pool.match_scattered([1, 41]), pool.match_sequence_hashes([1])[0].downgrade(), pool.pin([1])]
            cycle += [pool.open_sequence(range(3))]

    gc.collect()
    gc.freeze()  # what is there by now is not looked at again
    made = early = 0
    for threshold in (1, 3, 10):
        for name, call in every_call.every_call().items():
            gc.disable()
            make_garbage()
            made += 3
            gc.set_threshold(threshold, 1, 1)
            gc.enable()
            try:
                call(world)
            except BlockPoolError:  # the garbage may have what the call wants
                pass
            gc.disable()
            early += 3 - (made - collected)
            gc.collect()
            pool.check_invariants()
            assert (collected, pool.status().active, pool.outstanding()) == (made, 0, []), name
    pool.close()
    print(early / made)
    """


@pytest.mark.parametrize("pool", ["plain", "clocked"])
def test_every_call_works_while_the_collector_gives_handles_back(hazard, pool):
    share = float(hazard(PROGRAM.format(pool=pool)))
    assert share > 0.3, "the collector has to run within the calls, or this shows nothing"


def test_a_pool_with_all_that_knows_it_is_collected_once_its_handles_are_gone(hazard):
    hazard("""
        import gc, weakref
        import every_call
        from kvpool import BlockPool, ListEventManager

        class Keeper:
            def __call__(self, *_):
                return 0.0

        gone = []
        for _ in range(20):
            keeper = Keeper()
            keeper.pool = BlockPool(8, 4, clock=keeper, on_pressure=keeper, event_manager=ListEventManager())
            with keeper.pool.allocate_blocks(8):
                pass
            keeper.pool.close()
            gone.append(weakref.ref(keeper.pool))
            del keeper
        gc.collect()
        assert [ref() for ref in gone] == [None] * 20
        """)
