/*
 * The operations of the pool in C, as the extension modules call them: what Python adds is the rest of a call's time.
 *
 *   bench_core OPERATION N BLOCKS CALLS            median of 9 rounds of CALLS calls, ns a call
 *   bench_core OPERATION N BLOCKS CALLS count      one round, between two marks that callgrind sees
 *
 * OPERATION is allocate, match, register, steady, decode or hash; N is blocks of a call (rows, for decode), BLOCKS those
 * of the pool.
 */
#define _POSIX_C_SOURCE 200809L
#include "kvp/seq_hash.h"
#include "kvp/sequence_batch.h"
#include "kvp/shared_pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else
#define CALLGRIND_ZERO_STATS
#define CALLGRIND_DUMP_STATS_AT(name)
#endif

#define ROUNDS     9
#define BLOCK_SIZE 16

typedef struct bench {
    kvp_shared_pool shared;
    uint32_t n;
    uint32_t num_requests; /* that the pool has room for */
    uint64_t *hashes;      /* num_requests * n of them */
    uint64_t *evicted;
    uint32_t *tokens;
    kvp_lease **leases;
    kvp_sequence *sequences;
    kvp_sequence_batch batch;
    unsigned long long random;
} bench;

static unsigned long long next_random(bench *self) { /* splitmix64 */
    unsigned long long z = (self->random += 0x9E3779B97F4A7C15ull);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

static double now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static kvp_lease *allocate(bench *self, uint32_t n) {
    uint32_t num_evicted;
    kvp_lease *lease = kvp_lease_new(n, true);
    kvp_shared_pool_enter(&self->shared);
    kvp_status status = kvp_pool_allocate(&self->shared.pool, lease, 0, self->evicted, n, &num_evicted);
    kvp_shared_pool_leave(&self->shared);
    if (status != KVP_OK) {
        fprintf(stderr, "bench_core: %u blocks are not available\n", n);
        exit(1);
    }
    return lease;
}

static kvp_lease *enrol(bench *self, kvp_lease *fresh, const uint64_t *hashes) {
    uint32_t at;
    kvp_lease *lease = kvp_lease_new(fresh->count, false);
    kvp_segment segment = {fresh, 0, 1, fresh->count};
    kvp_registration registration = {
        .segments = &segment, .num_segments = 1, .hashes = hashes, .level = -1, .expiry = KVP_NO_EXPIRY};
    kvp_shared_pool_enter(&self->shared);
    (void)kvp_pool_register(&self->shared.pool, &registration, 0, lease, &at);
    kvp_shared_pool_leave(&self->shared);
    kvp_lease_unshare(fresh);
    return lease;
}

static void fill(bench *self) {
    for (uint32_t r = 0; r < self->num_requests; r++)
        kvp_shared_pool_drop(&self->shared, enrol(self, allocate(self, self->n), self->hashes + (size_t)r * self->n));
}

static void run_allocate(bench *self, uint32_t calls) {
    for (uint32_t i = 0; i < calls; i++)
        kvp_shared_pool_drop(&self->shared, allocate(self, self->n));
}

static void run_match(bench *self, uint32_t calls) {
    for (uint32_t i = 0; i < calls; i++) {
        const uint64_t *hashes = self->hashes + (next_random(self) % self->num_requests) * self->n;
        kvp_lease *lease = kvp_lease_new(self->n, false);
        kvp_shared_pool_enter(&self->shared);
        kvp_pool_match(&self->shared.pool, hashes, self->n, 0, lease);
        kvp_shared_pool_leave(&self->shared);
        kvp_shared_pool_drop(&self->shared, lease);
    }
}

static void run_register(bench *self, uint32_t calls) {
    for (uint32_t i = 0; i < calls; i++)
        self->leases[i] = enrol(self, self->leases[i], self->hashes + (size_t)(i % self->num_requests) * self->n);
}

static void run_steady(bench *self, uint32_t calls) {
    for (uint32_t i = 0; i < calls; i++) {
        for (uint32_t j = 0; j < self->n; j++)
            self->hashes[j] = next_random(self);
        kvp_shared_pool_drop(&self->shared, enrol(self, allocate(self, self->n), self->hashes));
    }
}

static void run_decode(bench *self, uint32_t calls) {
    int32_t *refused = malloc(self->n * sizeof *refused);
    uint32_t num_refused;
    kvp_step step = {self->tokens, NULL, 1};
    for (uint32_t i = 0; i < calls; i++) {
        (void)kvp_sequence_batch_write(&self->batch, &step);
        kvp_shared_pool_enter(&self->shared);
        (void)kvp_sequence_batch_append(&self->batch, &self->shared.pool, &step, false, 0, refused, &num_refused);
        kvp_shared_pool_leave(&self->shared);
    }
    free(refused);
}

static void run_hash(bench *self, uint32_t calls) {
    for (uint32_t i = 0; i < calls; i++)
        kvp_seq_hash_chain(self->tokens, self->n, BLOCK_SIZE, 0, KVP_SEQ_HASH_V2, NULL, self->hashes);
}

static void set_up_register(bench *self, uint32_t calls) {
    for (uint32_t i = 0; i < calls; i++)
        self->leases[i] = allocate(self, self->n);
}

static void tear_down_register(bench *self, uint32_t calls) {
    uint32_t count;
    for (uint32_t i = 0; i < calls; i++)
        kvp_shared_pool_drop(&self->shared, self->leases[i]);
    kvp_identity *identities = malloc((size_t)self->shared.pool.table.num_blocks * sizeof *identities);
    (void)kvp_pool_reset(&self->shared.pool, identities, (uint32_t)self->shared.pool.table.num_blocks, &count);
    free(identities);
}

static void open_rows(bench *self, uint32_t calls) {
    self->sequences = calloc(self->n, sizeof *self->sequences);
    (void)kvp_sequence_batch_init(&self->batch, self->n, (500 + 64 + calls * (ROUNDS + 2)) / BLOCK_SIZE + 1, self->n);
    for (uint32_t i = 0; i < self->n; i++) {
        kvp_sequence *sequence = &self->sequences[i];
        uint32_t tokens = 500 + i % 64;
        (void)kvp_sequence_init(sequence, BLOCK_SIZE, i, true);
        (void)kvp_sequence_make_room(sequence, tokens + calls * (ROUNDS + 2));
        kvp_sequence_write(sequence, self->tokens, tokens);
        kvp_sequence_count_in(sequence, tokens);
        if (kvp_sequence_open(sequence, &self->shared.pool, 0, 0) != KVP_OK) {
            fprintf(stderr, "bench_core: the pool is too small for %u rows\n", self->n);
            exit(1);
        }
        kvp_sequence_commit(sequence, &self->shared.pool, tokens);
        kvp_sequence_batch_add(&self->batch, sequence);
    }
}

static int by_size(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

int main(int argc, char **argv) {
    if (argc < 5) {
        fprintf(stderr, "usage: bench_core OPERATION N BLOCKS CALLS [count]\n");
        return 2;
    }
    static bench self;
    const char *operation = argv[1];
    uint32_t calls = (uint32_t)atoi(argv[4]);
    bool counts = argc > 5;
    kvp_pool_config config = {
        .num_blocks = atoi(argv[3]), .has_outer_lock = true, .secret = {0x1234567, 0x98765432123}};
    self.n = (uint32_t)atoi(argv[2]);
    self.num_requests = (uint32_t)config.num_blocks / self.n;
    if (kvp_shared_pool_init(&self.shared, &config) != KVP_OK)
        return 1;
    size_t num_tokens = (size_t)(self.n > 600 ? self.n : 600) * BLOCK_SIZE;
    self.hashes = malloc((size_t)self.num_requests * self.n * sizeof *self.hashes);
    self.evicted = malloc(self.n * sizeof *self.evicted);
    self.tokens = malloc(num_tokens * sizeof *self.tokens);
    self.leases = malloc(calls * sizeof *self.leases);
    for (size_t i = 0; i < (size_t)self.num_requests * self.n; i++)
        self.hashes[i] = next_random(&self);
    for (size_t i = 0; i < num_tokens; i++)
        self.tokens[i] = (uint32_t)(next_random(&self) % 128000);

    void (*run)(bench *, uint32_t) = NULL, (*before)(bench *, uint32_t) = NULL, (*after)(bench *, uint32_t) = NULL;
    if (strcmp(operation, "allocate") == 0) {
        run = run_allocate;
    } else if (strcmp(operation, "match") == 0) {
        fill(&self);
        run = run_match;
    } else if (strcmp(operation, "register") == 0) {
        run = run_register;
        before = set_up_register;
        after = tear_down_register;
    } else if (strcmp(operation, "steady") == 0) {
        fill(&self);
        run = run_steady;
    } else if (strcmp(operation, "decode") == 0) {
        open_rows(&self, calls);
        run = run_decode;
    } else if (strcmp(operation, "hash") == 0) {
        run = run_hash;
    } else {
        fprintf(stderr, "bench_core: no operation %s\n", operation);
        return 2;
    }

    double times[ROUNDS];
    for (int round = counts ? ROUNDS - 2 : -1; round < ROUNDS; round++) { /* the first is a warm-up */
        if (before)
            before(&self, calls);
        CALLGRIND_ZERO_STATS;
        double start = now_ns();
        run(&self, calls);
        if (round >= 0)
            times[round] = (now_ns() - start) / calls;
        if (round == ROUNDS - 1)
            CALLGRIND_DUMP_STATS_AT(operation);
        if (after)
            after(&self, calls);
    }
    if (!counts) {
        qsort(times, ROUNDS, sizeof *times, by_size);
        printf("%.1f\n", times[ROUNDS / 2]);
    }
    return 0;
}
