/* What the fuzz targets share: the bytes of an input, read as a script of operations. A target defines run(), which
 * takes what it does next from here until there is nothing more; an input of any length is a script. */
#ifndef KVP_SCRIPT_H
#define KVP_SCRIPT_H

#include "../tests/ctest.h"

#include <stdbool.h>
#include <stddef.h>

static const uint8_t *script_at, *script_end;

static void run(void);

static inline bool has_more(void) {
    return script_at < script_end;
}

/* In [0, 256); 0 behind the end. */
static inline uint32_t take_byte(void) {
    return has_more() ? *script_at++ : 0;
}

/* In [0, bound), of one byte; bound is at most 256. */
static inline uint32_t take_below(uint32_t bound) {
    return take_byte() % bound;
}

/* Little-endian, of so many bytes. */
static inline uint64_t take_number(uint32_t bytes) {
    uint64_t number = 0;
    for (uint32_t i = 0; i < bytes; i++)
        number |= (uint64_t)take_byte() << 8 * i;
    return number;
}

/* Mostly small, sometimes any number of 64 bits or one beside a power of two. */
static inline uint64_t take_size(void) {
    uint32_t kind = take_byte();
    if (kind < 128)
        return kind;
    if (kind < 192)
        return (UINT64_C(1) << kind % 64) + take_byte() - 128;
    return take_number(kind < 224 ? 3 : 8);
}

/* Well mixed, the same for the same number: a hash that is somebody's. */
static inline uint64_t hash_of(uint64_t number) {
    unsigned long long state = number;
    return kvp_random(&state);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    script_at = data;
    script_end = data + size;
    run();
    return 0;
}

#endif
