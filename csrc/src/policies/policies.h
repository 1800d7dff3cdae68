/*
 * What:      the policies there are, each made by its own file.
 * Cost:      as policy.h says.
 * Ownership: the caller owns what it gets.
 * Locking:   none here; the caller holds the pool's lock.
 * Errors:    NULL when there is no memory.
 */
#ifndef KVP_POLICIES_H
#define KVP_POLICIES_H

#include "kvp/policy.h"

/* The base of `size` bytes for a policy, zero but for the fields that all have; NULL when there is no memory. */
kvp_policy *kvp_policy_allocate(size_t size, const kvp_policy_methods *methods, kvp_block_table *table,
                                int32_t first_end);

/* Take kvp_policy_allocate back. */
void kvp_policy_deallocate(kvp_policy *self, size_t size);

kvp_policy *kvp_adaptive_new(const kvp_policy_config *config, kvp_block_table *table, int32_t first_end);
kvp_policy *kvp_arc_new(const kvp_policy_config *config, kvp_block_table *table, int32_t first_end);
kvp_policy *kvp_fifo_new(const kvp_policy_config *config, kvp_block_table *table, int32_t first_end);
kvp_policy *kvp_lfu_new(const kvp_policy_config *config, kvp_block_table *table, int32_t first_end);
kvp_policy *kvp_multi_lru_new(const kvp_policy_config *config, kvp_block_table *table, int32_t first_end);
kvp_policy *kvp_s3fifo_new(const kvp_policy_config *config, kvp_block_table *table, int32_t first_end);
kvp_policy *kvp_sieve_new(const kvp_policy_config *config, kvp_block_table *table, int32_t first_end);
kvp_policy *kvp_slru_new(const kvp_policy_config *config, kvp_block_table *table, int32_t first_end);

#endif
