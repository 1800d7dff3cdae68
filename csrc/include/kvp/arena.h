/*
 * What:      one mapping for the memory of blocks: private to the process, or of a file or shared memory; aligned, with
 *            huge pages and faulted in beforehand if wanted, and with a page behind it that nobody may touch. Nothing
 *            else is in it: what the pool knows of its blocks lies elsewhere.
 * Cost:      some system calls to make; faulting in reads or writes every page once, a lazy one costs nothing until it is
 *            touched. At most two pages, and what the alignment takes, of address space beside its bytes.
 * Ownership: owns the mapping, not the descriptor, which may be closed once the arena is made.
 * Locking:   none; read-only once made. The bytes belong to who holds the blocks.
 * Errors:    kvp_arena_init: KVP_TOO_LARGE; KVP_NO_MEMORY, with the system's error number. kvp_arena_sync: KVP_NO_MEMORY,
 *            when the file cannot take it, with the error number.
 *
 * Invariants:
 *   mapping <= data, and both are multiples of their alignment, which is a power of two
 *   data + room is the first byte of the guard page, and the mapping ends behind that page
 *   bytes <= room; a private arena of at most page alignment has room - bytes < alignment
 */
#ifndef KVP_ARENA_H
#define KVP_ARENA_H

#include "kvp/status.h"
#include "kvp/types.h"

typedef struct kvp_arena_config {
    uint64_t bytes;     /* at least 1 */
    uint64_t alignment; /* of the first byte; a power of two */
    int fd;             /* of a file that has so many bytes, shared from its first one on; -1: private memory, zeroed */
    bool is_writable;   /* private memory always is */
    bool has_huge_pages; /* where the system gives them */
    bool is_populated;   /* every page is there before the first use */
} kvp_arena_config;

typedef struct kvp_arena {
    char *data;             /* owned; the first byte */
    char *mapping;          /* owned; what is unmapped */
    uint64_t bytes;         /* as wanted */
    uint64_t room;          /* from data to the guard page */
    uint64_t mapping_bytes; /* guard page included */
    uint64_t alignment;     /* of data */
    bool is_private;
} kvp_arena;

/* KVP_OK; KVP_TOO_LARGE or KVP_NO_MEMORY (then nothing needs to be destroyed), with *error the errno. May take seconds for
 * an arena that is populated. */
kvp_status kvp_arena_init(kvp_arena *self, const kvp_arena_config *config, int *error);

/* Cannot fail. One of zero bytes is allowed. */
void kvp_arena_destroy(kvp_arena *self);

/* Have the file on disk hold what the memory holds. KVP_OK, or KVP_NO_MEMORY with *error the errno. */
kvp_status kvp_arena_sync(const kvp_arena *self, int *error);

/* NULL, or the broken invariant. */
const char *kvp_arena_check(const kvp_arena *self);

#endif
