"""The interpreter ends well whoever still holds blocks."""

import pytest

PLACES = {
    "a global": "",
    "an attribute of sys": "import sys; sys.kept = (pool, fresh, blocks)",
    "a cycle": "cycle = [pool, fresh, blocks]; cycle.append(cycle); del fresh, blocks, pool",
    "a closure": "keep = lambda pool=pool, fresh=fresh, blocks=blocks: None",
    "a builtin": "import builtins; builtins.kept = (fresh, blocks)",
    "the exit": "import atexit; atexit.register(lambda: (fresh.release(), pool.allocate_blocks(1), pool.events()))",
    "an exception": "import sys; sys.last_value = ValueError(pool, fresh, blocks)",
    "an array": "ids, hashes = fresh.ids, blocks.sequence_hashes; del fresh, blocks, pool",
    "a generator": "items = iter(blocks); next(items); views = iter(fresh); next(views)",
    "an owner": "owned = pool.allocate_blocks(1, owner=[pool]); owned.owner.append(owned)",
    "a finalizer": """
class Late:
    def __init__(self):
        self.held = (pool, fresh, blocks)
    def __del__(self):
        pool, fresh, blocks = self.held
        fresh.release()
        len(pool.allocate_blocks(1)), blocks[0].sequence_hash
late = Late()
late.itself = late
""",
    "a module that is gone": """
import sys
for name in [name for name in sys.modules if name.startswith("kvpool")]:
    del sys.modules[name]
del BlockPool
""",
    "the clock": "clocked = BlockPool(4, clock=lambda: len(clocked_blocks) * 1.0); clocked_blocks = [1]; "
    "clocked_blocks = clocked.allocate_blocks(1)",
}

SETUP = """
from kvpool import BlockPool
pool = BlockPool(num_blocks=8, block_size=4)
fresh = pool.allocate_blocks(2, owner=pool)
blocks = pool.register_blocks(pool.allocate_blocks(2), [1, 2])
weak = blocks[0].downgrade()
"""


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_the_interpreter_ends_well_with_handles_in(run_python, place):
    run_python(SETUP + place)


def test_the_interpreter_ends_well_while_daemon_threads_allocate(run_python):
    run_python(
        SETUP
        + """
import threading
running = threading.Barrier(4)
def allocate():
    running.wait()
    while True:
        more = pool.allocate_blocks(1)
        item = blocks[0]
for _ in range(3):
    threading.Thread(target=allocate, daemon=True).start()
running.wait()
"""
    )


@pytest.mark.parametrize("timeout", ["0.2", "float('inf')"])
def test_the_interpreter_ends_well_while_daemon_threads_wait_for_blocks(run_python, timeout):
    run_python(
        SETUP
        + f"""
import contextlib, os, sys, threading, time
from kvpool import AllocationTimeout

class Late:
    def __init__(self, *held):
        self.held = held

    # By now nobody else may run Python: a thread whose wait ends is gone, and so is its stack.
    def __del__(self, pool=pool, threads=os.listdir, clock=time.monotonic):
        end = clock() + 2
        while len(threads("/proc/self/task")) > 1 and clock() < end:
            pass
        pool.status()
        for handle in self.held:
            handle.release()
        pool.check_invariants()

more = pool.allocate_blocks(4)
sys.late = Late(fresh, blocks, more)
del fresh, blocks, more

def wait():
    with contextlib.suppress(AllocationTimeout):
        pool.allocate_blocks(1, timeout={timeout})

for _ in range(40):
    threading.Thread(target=wait, daemon=True).start()
end = time.monotonic() + 60
while pool.status().waiting < 40 and time.monotonic() < end:
    pass
"""
    )


def test_a_thread_that_outlives_the_main_one_gives_its_blocks_back(run_python):
    printed = run_python(
        SETUP
        + """
import threading
def outlive():
    threading.main_thread().join()
    with pool.allocate_blocks(2):
        pass
    print(pool.available_blocks)
threading.Thread(target=outlive).start()
"""
    )
    assert printed == "4\n"
