#include "kvp/key_hash.h"

#include "kvp/check.h"
#include "kvp/types.h"

#include <string.h>

/* Words are read as they lie. */
#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "kvpool hashes tokens in place and needs a little-endian machine"
#endif

typedef struct sip_state {
    uint64_t v[4];
} sip_state;

static inline uint64_t rotated(uint64_t word, int bits) {
    return word << bits | word >> (64 - bits);
}

static inline void mix(sip_state *self) {
    uint64_t *v = self->v;
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotated(v[1], 13) ^ v[0];
    v[3] = rotated(v[3], 16) ^ v[2];
    v[0] = rotated(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotated(v[1], 17) ^ v[2];
    v[3] = rotated(v[3], 21) ^ v[0];
    v[2] = rotated(v[2], 32);
}

static inline sip_state begin(const uint64_t secret[2]) {
    return (sip_state){{secret[0] ^ UINT64_C(0x736F6D6570736575), secret[1] ^ UINT64_C(0x646F72616E646F6D),
                        secret[0] ^ UINT64_C(0x6C7967656E657261), secret[1] ^ UINT64_C(0x7465646279746573)}};
}

static inline void absorb(sip_state *self, uint64_t word) {
    self->v[3] ^= word;
    mix(self);
    mix(self);
    self->v[0] ^= word;
}

/* Take the last bytes, fewer than eight, of a message of `length` bytes. */
static inline uint64_t finish(sip_state *self, const unsigned char *rest, size_t length) {
    uint64_t last = 0;
    if (length % 8)
        memcpy(&last, rest, length % 8);
    absorb(self, last | (uint64_t)(length & 0xFF) << 56);
    self->v[2] ^= 0xFF;
    for (int round = 0; round < 4; round++)
        mix(self);
    return self->v[0] ^ self->v[1] ^ self->v[2] ^ self->v[3];
}

/* The whole words of a message; returns what is left of it. */
static inline const unsigned char *absorb_words(sip_state *self, const unsigned char *at, size_t words) {
    for (; words > 0; words--, at += 8) {
        uint64_t word;
        memcpy(&word, at, sizeof word);
        absorb(self, word);
    }
    return at;
}

uint64_t kvp_key_hash_bytes(const void *data, size_t length, const uint64_t secret[2]) {
    sip_state state = begin(secret);
    const unsigned char *rest = absorb_words(&state, data, length / 8);
    return finish(&state, rest, length);
}

void kvp_key_hash_chain(const uint32_t *tokens, size_t num_blocks, size_t block_size, uint64_t salt_hash,
                        const uint64_t secret[2], const uint64_t *parent, uint64_t *checks) {
    const size_t bytes = block_size * sizeof *tokens;
    for (size_t i = 0; i < num_blocks; i++) {
        const uint64_t *before = i > 0 ? &checks[i - 1] : parent;
        sip_state state = begin(secret);
        absorb(&state, before ? 1 : 0);
        absorb(&state, before ? *before : salt_hash);
        const unsigned char *rest = absorb_words(&state, (const unsigned char *)(tokens + i * block_size), bytes / 8);
        checks[i] = finish(&state, rest, 16 + bytes);
    }
}

const char *kvp_key_hash_check(const uint32_t *tokens, size_t num_blocks, size_t block_size, uint64_t salt_hash,
                               const uint64_t secret[2], const uint64_t *parent, const uint64_t *checks, void *buffer) {
    for (size_t i = 0; i < num_blocks; i++) {
        const uint64_t *before = i > 0 ? &checks[i - 1] : parent;
        const uint64_t head[2] = {before ? 1 : 0, before ? *before : salt_hash};
        memcpy(buffer, head, sizeof head);
        memcpy((char *)buffer + sizeof head, tokens + i * block_size, block_size * sizeof *tokens);
        KVP_REQUIRE(checks[i] == kvp_key_hash_bytes(buffer, sizeof head + block_size * sizeof *tokens, secret),
                    "a check word is not that of its block and what is before it");
    }
    return NULL;
}
