# What:      the C core's names for the memory of blocks; csrc/include/kvp has their documentation.
# Cost:      none.
# Ownership: as in the headers.
# Locking:   as in the headers.
# Errors:    as in the headers.

from libc.stdint cimport int32_t, uint8_t, uint64_t

from kvpool._core.libkvp cimport kvp_status


cdef extern from "kvp/status.h" nogil:
    const kvp_status KVP_TOO_LARGE
    const kvp_status KVP_NO_SUCH
    const kvp_status KVP_OVERLAP


cdef extern from "kvp/types.h" nogil:
    ctypedef bint c_bool "bool"


cdef extern from "kvp/layout.h" nogil:
    ctypedef enum kvp_layout_kind:
        KVP_LAYOUT_CONTIGUOUS
        KVP_LAYOUT_LAYER_BLOCKS
        KVP_LAYOUT_LAYER_OUTERS
        KVP_LAYOUT_SEPARATE

    ctypedef struct kvp_layout_config:
        uint64_t num_blocks
        uint64_t num_layers
        uint64_t outer_dim
        uint64_t page_size
        uint64_t inner_dim
        uint64_t item_size
        uint64_t alignment
        kvp_layout_kind kind

    ctypedef struct kvp_layout:
        kvp_layout_config config
        uint64_t region_bytes
        uint64_t region_stride
        uint64_t block_stride
        uint64_t layer_stride
        uint64_t outer_stride
        uint64_t layer_parts
        uint64_t outer_parts
        uint64_t num_parts
        uint64_t part_bytes

    kvp_status kvp_layout_init(kvp_layout *self, const kvp_layout_config *config, const char **product)
    const char *kvp_layout_check(const kvp_layout *self)
    uint64_t kvp_layout_block_bytes(const kvp_layout *self)
    uint64_t kvp_layout_part(const kvp_layout *self, uint64_t layer, uint64_t outer)
    uint64_t kvp_layout_offset(const kvp_layout *self, uint64_t block, uint64_t layer, uint64_t outer)


cdef extern from "kvp/block_memory.h" nogil:
    ctypedef struct kvp_block_memory:
        kvp_layout layout
        char **bases

    ctypedef struct kvp_piece:
        char *start
        uint64_t bytes

    kvp_status kvp_block_memory_init(kvp_block_memory *self, const kvp_layout *layout, const uint64_t *bases)
    void kvp_block_memory_destroy(kvp_block_memory *self)
    uint64_t kvp_block_memory_pieces(const kvp_block_memory *self, uint64_t block, kvp_piece *pieces,
                                     uint64_t capacity)
    bint kvp_block_memory_overlaps(const kvp_block_memory *self, const kvp_block_memory *other)
    const char *kvp_block_memory_check(const kvp_block_memory *self)
    char *kvp_block_memory_at(const kvp_block_memory *self, uint64_t block, uint64_t layer, uint64_t outer)


cdef extern from "kvp/arena.h" nogil:
    ctypedef struct kvp_arena_config:
        uint64_t bytes
        uint64_t alignment
        int fd
        bint is_writable
        bint has_huge_pages
        bint is_populated

    ctypedef struct kvp_arena:
        char *data
        uint64_t bytes

    kvp_status kvp_arena_init(kvp_arena *self, const kvp_arena_config *config, int *error)
    void kvp_arena_destroy(kvp_arena *self)
    kvp_status kvp_arena_sync(const kvp_arena *self, int *error)


cdef extern from "kvp/block_copy.h" nogil:
    ctypedef struct kvp_block_list:
        const kvp_block_memory *memory
        const int32_t *ids

    ctypedef struct kvp_block_copy:
        kvp_block_list source "from"
        kvp_block_list target "to"
        uint64_t count

    ctypedef struct kvp_run:
        const char *source "from"
        char *target "to"
        uint64_t bytes

    kvp_status kvp_block_copy_prepare(const kvp_block_copy *self, uint64_t *at, c_bool *is_target)
    void kvp_block_copy_run(const kvp_block_copy *self, unsigned num_threads)
    uint64_t kvp_block_copy_runs(const kvp_block_copy *self, kvp_run *runs, uint64_t capacity)


cdef extern from "kvp/scrub_ledger.h" nogil:
    ctypedef enum kvp_scrub_rule:
        KVP_SCRUB_NEVER
        KVP_SCRUB_NAMESPACES
        KVP_SCRUB_FREE
        KVP_SCRUB_ALLOCATE

    ctypedef struct kvp_scrub_ledger:
        int32_t num_blocks
        kvp_scrub_rule rule

    kvp_status kvp_scrub_ledger_init(kvp_scrub_ledger *self, int32_t num_blocks, kvp_scrub_rule rule, bint is_zeroed)
    void kvp_scrub_ledger_destroy(kvp_scrub_ledger *self)
    uint64_t kvp_scrub_ledger_arriving(const kvp_scrub_ledger *self, const int32_t *ids, uint64_t n, uint8_t space,
                                       int32_t *dirty)
    uint64_t kvp_scrub_ledger_leaving(const kvp_scrub_ledger *self, const int32_t *ids, uint64_t n, int32_t *dirty)
    void kvp_scrub_ledger_own(kvp_scrub_ledger *self, const int32_t *ids, uint64_t n, uint8_t space)
    void kvp_scrub_ledger_clean(kvp_scrub_ledger *self, const int32_t *ids, uint64_t n)
    void kvp_scrub_ledger_forget(kvp_scrub_ledger *self, const int32_t *ids, uint64_t n)
    void kvp_scrub_blocks(const kvp_block_memory *memory, const int32_t *ids, uint64_t n)


cdef extern from "kvp/block_checksum.h" nogil:
    void kvp_block_checksums(const kvp_block_memory *memory, const int32_t *ids, uint64_t n, uint64_t *sums)
