"""The interpreter ends well with what runs in the background, and with coroutines that wait.

With handles anywhere else it does in tests/core/test_exit.py.

KVPOOL_EXITS says how often each mode is tried, once by default.
"""

import os

import pytest

EXITS = int(os.environ.get("KVPOOL_EXITS", "1"))

SETUP = """
import asyncio, atexit, contextlib, faulthandler, sys, threading, warnings
faulthandler.dump_traceback_later(60, exit=True)
warnings.simplefilter("ignore", ResourceWarning)  # of loops that are left open
from kvpool import AsyncBlockPool, BackgroundEvictor, BlockPool, BlockPoolError, ListEventManager
pool = BlockPool(num_blocks=8, block_size=4, event_manager=ListEventManager(), on_pressure=lambda pool, is_high: None)
fresh = pool.allocate_blocks(2, owner=pool)
blocks = pool.register_blocks(pool.allocate_blocks(2), [1, 2])
entered = threading.Event()

def hang(*_):
    entered.set()
    threading.Event().wait()
"""

MODES = {
    "the engine's thread": "",
    "an engine that is busy": "pool.progress_engine.add_chore(lambda pool: True)",
    "a timer that hangs": "pool.progress_engine.call_later(0, hang); entered.wait()",
    "an evictor": "evictor = BackgroundEvictor(pool, reserve=4)",
    "an evictor in sys": "sys.kept = BackgroundEvictor(pool, reserve=4); del pool",
    "a prefetch that is held": "prefetch = pool.prefetch([1, 2, 3], hold=3600)",
    "a prefetch that is due": "prefetch = pool.prefetch([1, 2, 3], hold=0)",
    "a loader that hangs": "pool.prefetcher.loader = hang; prefetch = pool.prefetch([50]); entered.wait()",
    "a loader that works": """
pool.prefetcher.loader = lambda blocks, hashes: sum(range(10**6)) and None
prefetches = [pool.prefetch([number], hold=0.001) for number in range(3, 40)]
""",
    "a done-callback that hangs": """
pool.prefetcher.loader = lambda blocks, hashes: entered.wait() and None
prefetch = pool.prefetch([50])
prefetch.add_done_callback(lambda prefetch: threading.Event().wait())
entered.set()
""",
    "a coroutine that waits": """
more = pool.allocate_blocks(4)
loop = asyncio.new_event_loop()
task = loop.create_task(AsyncBlockPool(pool).allocate_blocks(1, timeout=3600))
loop.run_until_complete(asyncio.sleep(0))
task._log_destroy_pending = False
""",
    "a loop in a daemon thread": """
more = pool.allocate_blocks(4)
def run():
    async def wait():
        waiting = asyncio.ensure_future(AsyncBlockPool(pool).allocate_blocks(1, timeout=3600))
        waiting._log_destroy_pending = False
        await asyncio.sleep(0)
        entered.set()
        await waiting
    asyncio.run(wait())
threading.Thread(target=run, daemon=True).start()
entered.wait()
""",
    "a loop that was closed": """
async def use():
    return len(await AsyncBlockPool(pool).allocate_blocks(4, timeout=1))
loop = asyncio.new_event_loop()
print(loop.run_until_complete(use()), file=sys.stdout)
loop.close()
""",
    "sequences in a batch": """
from kvpool import SequenceBatch
batch = SequenceBatch(pool, 2, 4)
batch.add(pool.open_sequence(range(6)))
sys.kept = batch, batch.block_tables, pool.open_sequence([9, 9])
""",
    "pins, weak blocks and snapshots": "sys.kept = pool.pin([1]), blocks[0].downgrade(), pool.snapshot()",
    "a policy": """
class Policy:
    def rank(self, blocks):
        return -blocks.ids
policed = BlockPool(4, eviction=Policy())
policed.register_blocks(policed.allocate_blocks(4), range(4)).release()
atexit.register(lambda: policed.allocate_blocks(2))
""",
    "an exit in the middle": "sys.exit(0)",
    "os._exit": "import os; os._exit(0)",
    "threads that use everything": """
def use():
    while True:
        with pool.open_sequence(range(5)) as request:
            request.commit(5)
        with contextlib.suppress(BlockPoolError):  # the interpreter's end has closed the pool
            pool.prefetch([1, 2], hold=0.001)
        pool.outstanding(), pool.snapshot(), pool.status()
for _ in range(3):
    threading.Thread(target=use, daemon=True).start()
""",
}


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
def test_the_interpreter_ends_well_with(run_python, mode):
    for _ in range(EXITS):
        run_python(SETUP + mode)
