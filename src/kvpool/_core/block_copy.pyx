"""Moving blocks between memories of the host."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int32_t, uint64_t

from kvpool._core.arguments cimport parse_int
from kvpool._core.arrays cimport uint64_array
from kvpool._core.block_ids cimport parse_ids
from kvpool._core.block_memory cimport BlockMemory
from kvpool._core.libkvp cimport KVP_OK
from kvpool._core.libkvp_storage cimport (KVP_LAYOUT_CONTIGUOUS, KVP_OVERLAP, c_bool, kvp_block_copy,
                                          kvp_block_copy_prepare, kvp_block_copy_run, kvp_block_copy_runs,
                                          kvp_block_memory, kvp_block_memory_overlaps, kvp_layout,
                                          kvp_layout_block_bytes, kvp_layout_config, kvp_layout_init, kvp_run)
from kvpool._core.status cimport raise_status

import os

cdef enum:
    MAX_THREADS = 64
    LONG_COPY = 1 << 16      # bytes from which the GIL is released
    THREAD_SHARE = 32 << 20  # bytes that are worth another thread


cdef int check_sizes(const kvp_layout *source, const kvp_layout *target) except -1:
    cdef kvp_layout_config one = source.config, two = target.config
    if (one.num_layers != two.num_layers or one.outer_dim != two.outer_dim
            or source.region_bytes != target.region_bytes):
        raise ValueError(f"blocks of {one.num_layers} layers, outer_dim {one.outer_dim} and regions of "
                         f"{source.region_bytes} bytes are not of the same sizes as those of {two.num_layers} layers, "
                         f"outer_dim {two.outer_dim} and regions of {target.region_bytes} bytes")
    return 0


cdef int prepare(const kvp_block_copy *copy) except -1:
    cdef uint64_t at = 0
    cdef c_bool is_target = False
    cdef int32_t block
    status = kvp_block_copy_prepare(copy, &at, &is_target)
    if status == KVP_OK:
        return 0
    if status != KVP_OVERLAP:
        return raise_status(status, f"no memory to compare {copy.count} ids")
    block = copy.target.ids[at] if is_target else copy.source.ids[at]
    if not is_target:
        raise ValueError(f"source_ids[{at}] = {block} is among destination_ids, too, and the memory is the same")
    if at == 0:
        raise ValueError("source and destination share memory, and do not lay it out in the same way")
    raise ValueError(f"destination_ids[{at}] = {block} is named twice")


cdef int run(const kvp_block_copy *copy, object threads) except -1:
    cdef uint64_t total = copy.count * kvp_layout_block_bytes(&copy.source.memory.layout)
    cdef unsigned num_threads
    if threads is None:
        num_threads = min(1 + total // THREAD_SHARE, MAX_THREADS)
        if num_threads > 1:
            num_threads = min(num_threads, available_processors())
    else:
        num_threads = parse_int(threads, "threads", 1, MAX_THREADS)
    if total < LONG_COPY:
        kvp_block_copy_run(copy, num_threads)
    else:
        with nogil:
            kvp_block_copy_run(copy, num_threads)
    return 0


cdef unsigned available_processors() except? 0:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


cdef const int32_t *pointer_to(const int32_t[::1] ids) noexcept:
    return &ids[0] if ids.shape[0] else NULL


cdef int fill_copy(kvp_block_copy *copy, BlockMemory source, const int32_t[::1] source_ids, BlockMemory destination,
                   const int32_t[::1] destination_ids) except -1:
    if source_ids.shape[0] != destination_ids.shape[0]:
        raise ValueError(f"{source_ids.shape[0]} source_ids are given for {destination_ids.shape[0]} destination_ids")
    check_sizes(&source.memory.layout, &destination.memory.layout)
    copy.source.memory = &source.memory
    copy.source.ids = pointer_to(source_ids)
    copy.target.memory = &destination.memory
    copy.target.ids = pointer_to(destination_ids)
    copy.count = source_ids.shape[0]
    return prepare(copy)


cdef int need_host(BlockMemory memory, bint to_write) except -1:
    if not memory.is_host:
        raise ValueError(f"the memory of device {memory.device} is not the host's")
    if to_write and not memory.is_writable:
        raise ValueError("the storage is read-only")
    return 0


def copy_memory(BlockMemory source not None, source_ids, BlockMemory destination not None, destination_ids,
                threads=None):
    """Copy blocks between two memories of the host; see :func:`kvpool.storage.copy_blocks`."""
    cdef kvp_block_copy copy
    cdef const int32_t[::1] from_ids = parse_ids(source_ids, "source_ids", source.memory.layout.config.num_blocks)
    cdef const int32_t[::1] to_ids = parse_ids(destination_ids, "destination_ids",
                                               destination.memory.layout.config.num_blocks)
    need_host(source, False)
    need_host(destination, True)
    fill_copy(&copy, source, from_ids, destination, to_ids)
    run(&copy, threads)


cdef tuple runs_of(const kvp_block_copy *copy):
    """Arrays of where each run begins in the source and in the destination, and of its bytes."""
    cdef uint64_t count = kvp_block_copy_runs(copy, NULL, 0), i
    cdef bytes runs = PyBytes_FromStringAndSize(NULL, count * sizeof(kvp_run))
    cdef bytes source = PyBytes_FromStringAndSize(NULL, 8 * count)
    cdef bytes target = PyBytes_FromStringAndSize(NULL, 8 * count)
    cdef bytes sizes = PyBytes_FromStringAndSize(NULL, 8 * count)
    cdef kvp_run *found = <kvp_run *>PyBytes_AS_STRING(runs)
    kvp_block_copy_runs(copy, found, count)
    for i in range(count):
        (<uint64_t *>PyBytes_AS_STRING(source))[i] = <uint64_t>found[i].source
        (<uint64_t *>PyBytes_AS_STRING(target))[i] = <uint64_t>found[i].target
        (<uint64_t *>PyBytes_AS_STRING(sizes))[i] = found[i].bytes
    return uint64_array(source), uint64_array(target), uint64_array(sizes)


def memory_copy_runs(BlockMemory source not None, source_ids, BlockMemory destination not None, destination_ids):
    """Return the runs of a copy, of any devices; see :func:`kvpool.storage.copy_runs`."""
    cdef kvp_block_copy copy
    cdef const int32_t[::1] from_ids = parse_ids(source_ids, "source_ids", source.memory.layout.config.num_blocks)
    cdef const int32_t[::1] to_ids = parse_ids(destination_ids, "destination_ids",
                                               destination.memory.layout.config.num_blocks)
    fill_copy(&copy, source, from_ids, destination, to_ids)
    return runs_of(&copy)


cdef int set_packed(kvp_block_memory *packed, const kvp_layout *like, uint64_t count, char **base) except -1:
    """Blocks one behind the other from `base` on, without gaps."""
    cdef kvp_layout_config config = like.config
    cdef const char *product
    config.num_blocks = max(count, 1)
    config.alignment = 1
    config.kind = KVP_LAYOUT_CONTIGUOUS
    if kvp_layout_init(&packed.layout, &config, &product) != KVP_OK:
        raise ValueError(f"{count} blocks of {kvp_layout_block_bytes(like)} bytes are more than 2**63 - 1")
    packed.bases = base
    return 0


cdef int move_packed(BlockMemory memory, ids, buffer, bint is_gather, object threads) except -1:
    cdef kvp_block_copy copy
    cdef kvp_block_memory packed
    cdef Py_buffer view
    cdef char *base
    cdef const int32_t[::1] own = parse_ids(ids, "ids", memory.memory.layout.config.num_blocks)
    cdef uint64_t wanted = own.shape[0] * kvp_layout_block_bytes(&memory.memory.layout)
    need_host(memory, not is_gather)
    PyObject_GetBuffer(buffer, &view, PyBUF_WRITABLE if is_gather else PyBUF_SIMPLE)
    try:
        if <uint64_t>view.len != wanted:
            raise ValueError(f"the buffer has {view.len} bytes, not the {wanted} of {own.shape[0]} blocks")
        if wanted == 0:
            return 0
        base = <char *>view.buf
        set_packed(&packed, &memory.memory.layout, own.shape[0], &base)
        copy.count = own.shape[0]
        copy.source.memory = &memory.memory if is_gather else &packed
        copy.source.ids = &own[0] if is_gather else NULL
        copy.target.memory = &packed if is_gather else &memory.memory
        copy.target.ids = NULL if is_gather else &own[0]
        if kvp_block_memory_overlaps(&memory.memory, &packed):
            raise ValueError("the buffer is a part of the storage's memory")
        prepare(&copy)
        run(&copy, threads)
    finally:
        PyBuffer_Release(&view)
    return 0


def gather_memory(BlockMemory memory not None, ids, buffer, threads=None):
    """Copy blocks into a buffer; see :func:`kvpool.storage.gather_blocks`."""
    move_packed(memory, ids, buffer, True, threads)


def scatter_memory(BlockMemory memory not None, ids, buffer, threads=None):
    """Copy blocks out of a buffer; see :func:`kvpool.storage.scatter_blocks`."""
    move_packed(memory, ids, buffer, False, threads)


def memory_runs(BlockMemory memory not None, ids):
    """Return where blocks lie, as runs; see :func:`kvpool.storage.block_runs`."""
    cdef kvp_block_copy copy
    cdef kvp_block_memory packed
    cdef char *base = NULL
    cdef const int32_t[::1] own = parse_ids(ids, "ids", memory.memory.layout.config.num_blocks)
    set_packed(&packed, &memory.memory.layout, own.shape[0], &base)
    copy.count = own.shape[0]
    copy.source.memory = &memory.memory
    copy.source.ids = pointer_to(own)
    copy.target.memory = &packed
    copy.target.ids = NULL
    return runs_of(&copy)
