#define _GNU_SOURCE
#include "kvp/latency.h"

#include "kvp/check.h"

#include <string.h>
#include <time.h>

static int64_t clock_now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

void kvp_latency_init(kvp_latency *self, uint32_t period) {
    memset(self, 0, sizeof *self);
    atomic_init(&self->period, period);
    atomic_init(&self->countdown, period);
}

void kvp_latency_restart(kvp_latency *self, uint32_t period) {
    memset(self->counts, 0, sizeof self->counts);
    memset(self->totals, 0, sizeof self->totals);
    atomic_store_explicit(&self->period, period, memory_order_relaxed);
    atomic_store_explicit(&self->countdown, period, memory_order_relaxed);
}

void kvp_latency_read(const kvp_latency *self, kvp_latency *copy) {
    kvp_latency_init(copy, atomic_load_explicit(&self->period, memory_order_relaxed));
    memcpy(copy->counts, self->counts, sizeof copy->counts);
    memcpy(copy->totals, self->totals, sizeof copy->totals);
}

int64_t kvp_latency_start(kvp_latency *self) {
    uint32_t period = atomic_load_explicit(&self->period, memory_order_relaxed);
    atomic_store_explicit(&self->countdown, period, memory_order_relaxed);
    return period ? clock_now() : 0;
}

void kvp_latency_stop(kvp_latency *self, kvp_call call, int64_t start) {
    if (!atomic_load_explicit(&self->period, memory_order_relaxed))
        return; /* it was asked for no more since the call began */
    int64_t taken = clock_now() - start;
    int class = taken > 0 ? 64 - __builtin_clzll((unsigned long long)taken) : 0;
    self->counts[call][class < KVP_LATENCY_CLASSES ? class : KVP_LATENCY_CLASSES - 1]++;
    self->totals[call] += taken > 0 ? (uint64_t)taken : 0;
}

const char *kvp_latency_check(const kvp_latency *self) {
    for (int call = 0; call < KVP_NUM_CALLS; call++) {
        uint64_t least = 0;
        for (int i = 1; i < KVP_LATENCY_CLASSES; i++)
            least += self->counts[call][i] << (i - 1);
        KVP_REQUIRE(self->totals[call] >= least, "calls took less time together than each by itself");
        KVP_REQUIRE(self->period || self->totals[call] == 0, "calls were timed that nobody asked to time");
    }
    return NULL;
}
