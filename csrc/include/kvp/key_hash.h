/*
 * What:      check words of token blocks: SipHash-2-4 (Aumasson and Bernstein 2012), chained like sequence hashes, under
 *            a secret that nobody sees. Sequence hashes are public and can be made to collide; with the secret unknown,
 *            two different sequences have one check word with a chance of 2^-64, whoever chose them.
 * Cost:      about 40 ns a block of 16 tokens; O(tokens).
 * Ownership: none; arguments are read and results are written during the call only. Results must not overlap arguments.
 * Locking:   none; pure functions without state.
 * Errors:    none can fail; all sizes, zero included, are in order.
 *
 * Definitions (as in kvp/seq_hash.h; sip: SipHash-2-4 under the secret). The first word of the message tells a first
 * block, which has a salt, from one that has a parent:
 *   check[0] = sip(LE64(0) ++ LE64(salt_hash) ++ LE32(tokens[0]) ++ ...) without a parent
 *   check[i] = sip(LE64(1) ++ LE64(check of the block before) ++ LE32(tokens[i * block_size]) ++ ...)
 */
#ifndef KVP_KEY_HASH_H
#define KVP_KEY_HASH_H

#include <stddef.h>
#include <stdint.h>

/* sip of any bytes; data may be NULL if length is 0. Cannot fail. */
uint64_t kvp_key_hash_bytes(const void *data, size_t length, const uint64_t secret[2]);

/* check[0 .. num_blocks) of num_blocks * block_size tokens; parent is NULL for none. Cannot fail. */
void kvp_key_hash_chain(const uint32_t *tokens, size_t num_blocks, size_t block_size, uint64_t salt_hash,
                        const uint64_t secret[2], const uint64_t *parent, uint64_t *checks);

/* NULL if the check words are those of the tokens by the definitions above, one message at a time; otherwise the sentence
 * that names what is not. buffer has room for 16 + 4 * block_size bytes. Cannot fail. */
const char *kvp_key_hash_check(const uint32_t *tokens, size_t num_blocks, size_t block_size, uint64_t salt_hash,
                               const uint64_t secret[2], const uint64_t *parent, const uint64_t *checks, void *buffer);

#endif
