# What:      the hashes of token blocks: the core's functions, and the arguments that they share.
# Cost:      that of kvp/seq_hash.h and kvp/lineage_hash.h; parse_* take a few nanoseconds for an int.
# Ownership: none; results are new objects.
# Locking:   none.
# Errors:    the functions of the core cannot fail; parse_* raise TypeError or ValueError.

from libc.stdint cimport uint32_t, uint64_t


cdef extern from "kvp/seq_hash.h" nogil:
    ctypedef enum kvp_seq_hash_version:
        KVP_SEQ_HASH_V1
        KVP_SEQ_HASH_V2

    const unsigned KVP_SEQ_HASH_MAX_BLOCK

    uint64_t kvp_seq_hash_bytes(const void *data, size_t length, uint64_t seed)
    uint64_t kvp_seq_hash_link_seed(kvp_seq_hash_version version, uint64_t salt_hash)
    uint64_t kvp_seq_hash_link(uint64_t parent, uint64_t block_hash, uint64_t link_seed)
    void kvp_seq_hash_blocks(const uint32_t *tokens, size_t num_blocks, size_t block_size, uint64_t salt_hash,
                             uint64_t *block_hashes)
    void kvp_seq_hash_links(const uint64_t *block_hashes, size_t num_blocks, const uint64_t *parent,
                            uint64_t link_seed, uint64_t *sequence_hashes)
    void kvp_seq_hash_chain(const uint32_t *tokens, size_t num_blocks, size_t block_size, uint64_t salt_hash,
                            kvp_seq_hash_version version, const uint64_t *parent, uint64_t *sequence_hashes)


cdef extern from "kvp/lineage_hash.h" nogil:
    const unsigned KVP_LINEAGE_HASH_MAX_POSITION

    ctypedef struct kvp_lineage_hash:
        uint64_t hi
        uint64_t lo

    kvp_lineage_hash kvp_lineage_hash_make(uint64_t sequence_hash, uint64_t parent, uint32_t position)


# An int (or object with __index__, but no bool) in [0, 2**64); the name is for the message.
cdef uint64_t parse_hash(object value, str name) except? 0xFFFFFFFFFFFFFFFF

# The same in [1, 2**20].
cdef size_t parse_block_size(object value) except 0
