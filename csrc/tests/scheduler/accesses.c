/* What the compiler calls for each access of code that is built for the thread sanitizer: here it is not the sanitizer
 * that hears of it but the shuttle. One thread runs at a time, so nothing needs to be atomic. */
#include "hooks.h"
#include "shuttle.h"

#include <string.h>

void __tsan_init(void);
void __tsan_init(void) {}
void __tsan_func_entry(void *caller);
void __tsan_func_entry(void *caller) {
    (void)caller;
}
void __tsan_func_exit(void);
void __tsan_func_exit(void) {}

#define PLAIN(name)                                                                                                    \
    void __tsan_##name(void *place);                                                                                   \
    void __tsan_##name(void *place) {                                                                                  \
        (void)place;                                                                                                   \
        shuttle_glance();                                                                                              \
    }
PLAIN(read1)
PLAIN(read2)
PLAIN(read4)
PLAIN(read8)
PLAIN(read16)
PLAIN(write1)
PLAIN(write2)
PLAIN(write4)
PLAIN(write8)
PLAIN(write16)
PLAIN(unaligned_read2)
PLAIN(unaligned_read4)
PLAIN(unaligned_read8)
PLAIN(unaligned_read16)
PLAIN(unaligned_write2)
PLAIN(unaligned_write4)
PLAIN(unaligned_write8)
PLAIN(unaligned_write16)

#define RANGE(name)                                                                                                    \
    void __tsan_##name(void *place, size_t size);                                                                      \
    void __tsan_##name(void *place, size_t size) {                                                                     \
        (void)place;                                                                                                   \
        (void)size;                                                                                                    \
        shuttle_glance();                                                                                              \
    }
RANGE(read_range)
RANGE(write_range)

void *__tsan_memcpy(void *to, const void *from, size_t size);
void *__tsan_memcpy(void *to, const void *from, size_t size) {
    return memcpy(to, from, size);
}
void *__tsan_memset(void *to, int value, size_t size);
void *__tsan_memset(void *to, int value, size_t size) {
    return memset(to, value, size);
}
void *__tsan_memmove(void *to, const void *from, size_t size);
void *__tsan_memmove(void *to, const void *from, size_t size) {
    return memmove(to, from, size);
}

#define ATOMIC(bits, type)                                                                                             \
    type __tsan_atomic##bits##_load(const volatile type *place, int order);                                            \
    type __tsan_atomic##bits##_load(const volatile type *place, int order) {                                           \
        shuttle_step();                                                                                                \
        type value = *place;                                                                                           \
        return shuttle_hooks.sees ? (type)shuttle_hooks.sees(place, value, order) : value;                             \
    }                                                                                                                  \
    void __tsan_atomic##bits##_store(volatile type *place, type value, int order);                                     \
    void __tsan_atomic##bits##_store(volatile type *place, type value, int order) {                                    \
        (void)order;                                                                                                   \
        shuttle_step();                                                                                                \
        *place = value;                                                                                                \
    }                                                                                                                  \
    type __tsan_atomic##bits##_exchange(volatile type *place, type value, int order);                                  \
    type __tsan_atomic##bits##_exchange(volatile type *place, type value, int order) {                                 \
        (void)order;                                                                                                   \
        shuttle_step();                                                                                                \
        type before = *place;                                                                                          \
        *place = value;                                                                                                \
        return before;                                                                                                 \
    }                                                                                                                  \
    type __tsan_atomic##bits##_fetch_add(volatile type *place, type value, int order);                                 \
    type __tsan_atomic##bits##_fetch_add(volatile type *place, type value, int order) {                                \
        (void)order;                                                                                                   \
        shuttle_step();                                                                                                \
        type before = *place;                                                                                          \
        *place = (type)(before + value);                                                                               \
        return before;                                                                                                 \
    }                                                                                                                  \
    type __tsan_atomic##bits##_fetch_sub(volatile type *place, type value, int order);                                 \
    type __tsan_atomic##bits##_fetch_sub(volatile type *place, type value, int order) {                                \
        (void)order;                                                                                                   \
        shuttle_step();                                                                                                \
        type before = *place;                                                                                          \
        *place = (type)(before - value);                                                                               \
        return before;                                                                                                 \
    }                                                                                                                  \
    bool __tsan_atomic##bits##_compare_exchange_strong(volatile type *place, type *expected, type value, int order,    \
                                                       int or_else);                                                   \
    bool __tsan_atomic##bits##_compare_exchange_strong(volatile type *place, type *expected, type value, int order,    \
                                                       int or_else) {                                                  \
        (void)order;                                                                                                   \
        (void)or_else;                                                                                                 \
        if (shuttle_hooks.exchanges)                                                                                   \
            shuttle_hooks.exchanges(place);                                                                            \
        shuttle_step();                                                                                                \
        if (*place == *expected) {                                                                                     \
            *place = value;                                                                                            \
            return true;                                                                                               \
        }                                                                                                              \
        *expected = *place;                                                                                            \
        return false;                                                                                                  \
    }                                                                                                                  \
    /* The weak one may fail for no reason. */                                                                         \
    bool __tsan_atomic##bits##_compare_exchange_weak(volatile type *place, type *expected, type value, int order,      \
                                                     int or_else);                                                     \
    bool __tsan_atomic##bits##_compare_exchange_weak(volatile type *place, type *expected, type value, int order,      \
                                                     int or_else) {                                                    \
        if (shuttle_current() >= 0 && shuttle_random_below(16) == 0) {                                                 \
            *expected = *place;                                                                                        \
            return false;                                                                                              \
        }                                                                                                              \
        return __tsan_atomic##bits##_compare_exchange_strong(place, expected, value, order, or_else);                  \
    }

ATOMIC(8, uint8_t)
ATOMIC(32, uint32_t)
ATOMIC(64, uint64_t)
