/*
 * What:      the result of every core function that can fail.
 * Cost:      none.
 * Ownership: none.
 * Locking:   none.
 * Errors:    a function that returns anything but KVP_OK has changed nothing.
 */
#ifndef KVP_STATUS_H
#define KVP_STATUS_H

typedef enum kvp_status {
    KVP_OK = 0,
    KVP_NO_MEMORY,  /* the system gave no memory */
    KVP_NOT_ENOUGH, /* fewer blocks available than asked for */
    KVP_RETRY,      /* a result array is too short by now: make a longer one and call again */
    KVP_IN_USE,     /* blocks are held that must not be */
    KVP_STALE,      /* the lease has been given back, or the block has another owner by now */
    KVP_CONSUMED,   /* a block of the lease has been registered or given back already */
    KVP_FOREIGN,    /* what is asked for belongs to another namespace */
    KVP_FULL,       /* a structure has no room left within its bound */
    KVP_TOO_LARGE,  /* a product of sizes is beyond 63 bits */
    KVP_NO_SUCH,    /* a block id is not one of the structure's */
    KVP_OVERLAP,    /* a block that is to be written is named twice, or read by the same call */
    KVP_CORRUPT     /* an internal count or link contradicts another */
} kvp_status;

#endif
