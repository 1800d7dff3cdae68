"""Every call of the memory of blocks: storages, layouts, views, and what copies, fills and checks."""

import contextlib

import numpy as np
from world import host_storage, layout_of, using

from kvpool import storage as memory
from kvpool.storage import LayerSeparate


def shown(call):
    """Make a call with a view of blocks, where they have memory."""

    def run(w):
        with w.pool_with_memory() as pool:
            return call(pool.allocate_blocks(2).layer_view(0, 1))

    return run


def with_memory(call):
    """Make a call with a small pool whose blocks have memory."""
    return using("pool_with_memory", lambda w, pool: call(pool))


def stored(pool):
    return pool.register_blocks(pool.allocate_blocks(2), [1, 2])


def checksums(w):
    sums = memory.BlockChecksums(w.memory)
    sums.record([1, 2])
    return sums


def new_file(w):
    return memory.MappedFileStorage(layout_of(2), w.path())


def unlink(w):
    with memory.SharedMemoryStorage(layout_of(2), f"/{w.shared_name}{w.path()[-5:].replace('/', '')}") as shared:
        shared.unlink()


def attach(w):
    with memory.SharedMemoryStorage(layout_of(2)) as shared:
        return memory.SharedMemoryStorage.attach(layout_of(2), shared.fileno())


def attach_and_detach(w):
    with w.small_pool() as pool:
        pool.attach_storage(host_storage(8))
        return pool.detach_storage()


def register_and_unregister(w):
    with w.small_pool() as pool:
        pool.register_buffer(np.zeros((1, 2, 8, 4, 2), np.uint8)[0], layout=layout_of(8, LayerSeparate))
        pool.allocate_blocks(2).layer_view(0)
        pool.unregister_buffer()


def copy(w):
    memory.copy_blocks(w.memory, [0, 1], w.other_memory, [2, 3])


def gather_and_scatter(w):
    memory.scatter_blocks(w.other_memory, [1, 0], memory.gather_blocks(w.other_memory, [0, 1]))


def dlpack(view):
    return np.from_dlpack(view).tolist()


def pinned(w):
    """Page-locked memory, where there is a device to copy from it."""
    with contextlib.suppress(ImportError, RuntimeError):
        return memory.PinnedStorage(layout_of(2))


METHODS = {
    "BlockPool.attach_storage": attach_and_detach,
    "BlockPool.detach_storage": attach_and_detach,
    "BlockPool.layer_view": with_memory(lambda pool: pool.layer_view(0, 1)),
    "BlockPool.register_buffer": register_and_unregister,
    "BlockPool.unregister_buffer": register_and_unregister,
    "BlockView.as_dtype": shown(lambda view: view.as_dtype("int8")),
    "ImmutableBlock.block_view": with_memory(lambda pool: stored(pool)[0].block_view()),
    "ImmutableBlock.layer_view": with_memory(lambda pool: stored(pool)[0].layer_view(0)),
    "ImmutableBlocks.block_view": with_memory(lambda pool: stored(pool).block_view()),
    "ImmutableBlocks.layer_view": with_memory(lambda pool: stored(pool).layer_view(0)),
    "MutableBlock.block_view": with_memory(lambda pool: pool.allocate_blocks(1)[0].block_view()),
    "MutableBlock.layer_view": with_memory(lambda pool: pool.allocate_blocks(1)[0].layer_view(0)),
    "MutableBlocks.block_view": with_memory(lambda pool: pool.allocate_blocks(2).block_view()),
    "MutableBlocks.layer_view": with_memory(lambda pool: pool.allocate_blocks(2).layer_view(0, 1)),
    "BlockChecksums.find_changed": lambda w: checksums(w).find_changed(),
    "BlockChecksums.forget": lambda w: checksums(w).forget([1]),
    "BlockChecksums.record": checksums,
    "BlockChecksums.verify": lambda w: checksums(w).verify(),
    "DType.of": lambda w: memory.DType.of(np.float16),
    "Layout.region": lambda w: layout_of(4).region(1, 0, 1),
    "MappedFileStorage.sync": lambda w: new_file(w).sync(),
    "ScrubLedger.arriving": lambda w: memory.new_scrub_ledger(w.other_memory).arriving([0, 1], 1),
    "ScrubLedger.leaving": lambda w: memory.new_scrub_ledger(w.other_memory, "free").leaving([0, 1]),
    "SharedMemoryStorage.attach": attach,
    "SharedMemoryStorage.close": lambda w: memory.SharedMemoryStorage(layout_of(2)).close(),
    "SharedMemoryStorage.fileno": lambda w: memory.SharedMemoryStorage(layout_of(2)).fileno(),
    "SharedMemoryStorage.unlink": unlink,
    "Storage.address": lambda w: w.memory.address(1, 0, 1),
    "Storage.close": lambda w: host_storage(2).close(),
    "block_checksums": lambda w: memory.block_checksums(w.memory, [0, 1]),
    "block_runs": lambda w: memory.block_runs(w.memory, [0, 1]),
    "copy_blocks": copy,
    "copy_runs": lambda w: memory.copy_runs(w.memory, [0, 1], w.other_memory, [2, 3]),
    "flashinfer_layout": lambda w: memory.flashinfer_layout(4, 1, 4, 1, 2, "uint8"),
    "gather_blocks": gather_and_scatter,
    "new_scrub_ledger": lambda w: memory.new_scrub_ledger(w.other_memory, "allocate"),
    "scatter_blocks": gather_and_scatter,
    "scrub_blocks": lambda w: memory.scrub_blocks(w.other_memory, [0, 1]),
    "sglang_layout": lambda w: memory.sglang_layout(16, 1, 4, 1, 2, "uint8"),
    "vllm_layout": lambda w: memory.vllm_layout(4, 1, 4, 1, 2, "uint8"),
}

SAMPLES = {
    "BlockChecksums": checksums,
    "BlockView": shown(lambda view: view),
    "DType": lambda w: memory.DType.of("bfloat16"),
    "ExternalStorage": lambda w: memory.ExternalStorage(np.zeros((4, 1, 2, 4, 2), np.uint8), layout_of(4)),
    "FullyContiguous": lambda w: layout_of(4),
    "HostStorage": lambda w: host_storage(2),
    "LayerSeparate": lambda w: layout_of(4, LayerSeparate),
    "Layout": lambda w: layout_of(4),
    "LayoutConfig": lambda w: layout_of(4).config,
    "MappedFileStorage": new_file,
    "NullStorage": lambda w: memory.NullStorage(layout_of(4)),
    "OuterSeparate": lambda w: layout_of(4, memory.OuterSeparate),
    "PinnedStorage": pinned,
    "ScrubLedger": lambda w: memory.new_scrub_ledger(w.other_memory),
    "SharedMemoryStorage": lambda w: memory.SharedMemoryStorage(layout_of(2)),
    "Storage": lambda w: host_storage(2),
}

OPERATORS = {
    "__array__": np.asarray,
    "__dlpack__": dlpack,
    "__dlpack_device__": lambda view: view.__dlpack_device__(),
}
