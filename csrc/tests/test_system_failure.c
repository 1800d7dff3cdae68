/* Linked so that these calls of the core come here first: the test says which of them fails. */
#include "ctest.h"
#include "kvp/anchor.h"
#include "kvp/arena.h"
#include "kvp/block_copy.h"
#include "kvp/waiter.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <unistd.h>

typedef enum call { NONE, MUTEX, TRY, THREAD, SEMAPHORE, ADVICE, SYNC } call;

static call failing;
static int failing_error;
static long asked;   /* calls of that kind so far */
static long refused; /* the one that fails, counted from 1; 0: each */

static void refuse(call which, long n, int error) {
    failing = which;
    failing_error = error;
    refused = n;
    asked = 0;
}

static bool fails(call which) {
    if (which != failing)
        return false;
    asked++;
    return refused == 0 || asked == refused;
}

int __real_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *kind);
int __wrap_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *kind);
int __wrap_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *kind) {
    return fails(MUTEX) ? failing_error : __real_pthread_mutex_init(mutex, kind);
}

int __real_pthread_mutex_trylock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_trylock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_trylock(pthread_mutex_t *mutex) {
    return fails(TRY) ? failing_error : __real_pthread_mutex_trylock(mutex);
}

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *kind, void *(*work)(void *), void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *kind, void *(*work)(void *), void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *kind, void *(*work)(void *), void *argument) {
    return fails(THREAD) ? failing_error : __real_pthread_create(thread, kind, work, argument);
}

static int failure(void) {
    errno = failing_error;
    return -1;
}

int __real_sem_init(sem_t *semaphore, int is_shared, unsigned value);
int __wrap_sem_init(sem_t *semaphore, int is_shared, unsigned value);
int __wrap_sem_init(sem_t *semaphore, int is_shared, unsigned value) {
    return fails(SEMAPHORE) ? failure() : __real_sem_init(semaphore, is_shared, value);
}

int __real_madvise(void *start, size_t bytes, int advice);
int __wrap_madvise(void *start, size_t bytes, int advice);
int __wrap_madvise(void *start, size_t bytes, int advice) {
    return fails(ADVICE) ? failure() : __real_madvise(start, bytes, advice);
}

int __real_msync(void *start, size_t bytes, int flags);
int __wrap_msync(void *start, size_t bytes, int flags);
int __wrap_msync(void *start, size_t bytes, int flags) {
    return fails(SYNC) ? failure() : __real_msync(start, bytes, flags);
}

static const kvp_pool_config config = {.num_blocks = 8, .secret = {1, 2}};

KVP_TEST(without_one_of_its_locks_no_pool_is_made) {
    kvp_shared_pool shared;
    refuse(MUTEX, 3, EAGAIN); /* there are two */
    KVP_EXPECT(kvp_shared_pool_init(&shared, &config) == KVP_OK && asked == 2);
    kvp_shared_pool_destroy(&shared);
    for (long n = 1; n <= 2; n++) {
        refuse(MUTEX, n, EAGAIN);
        KVP_EXPECT(kvp_shared_pool_init(&shared, &config) == KVP_NO_MEMORY && asked == n);
        refuse(MUTEX, n, ENOMEM);
        KVP_EXPECT(kvp_anchor_new(&config) == NULL && asked == n);
    }
}

KVP_TEST(a_child_that_cannot_make_its_locks_anew_is_told) {
    for (long n = 1; n <= 2; n++) {
        kvp_shared_pool shared;
        refuse(NONE, 0, 0);
        KVP_EXPECT(kvp_shared_pool_init(&shared, &config) == KVP_OK);
        refuse(MUTEX, n, EAGAIN);
        KVP_EXPECT(kvp_shared_pool_forget_others(&shared) == KVP_NO_MEMORY && asked == n);
        refuse(MUTEX, 3, 0);
        KVP_EXPECT(kvp_shared_pool_forget_others(&shared) == KVP_OK && asked == 2);
        kvp_shared_pool_destroy(&shared);
    }
}

static kvp_lease *hold(kvp_shared_pool *shared) {
    kvp_lease *lease = kvp_lease_new(2, true);
    uint32_t num_evicted;
    kvp_shared_pool_enter(shared);
    KVP_EXPECT(kvp_pool_allocate(&shared->pool, lease, 0, NULL, 0, &num_evicted) == KVP_OK);
    kvp_shared_pool_leave(shared);
    return lease;
}

KVP_TEST(a_drop_whose_lock_comes_free_after_its_push_takes_effect_at_once) {
    kvp_shared_pool shared;
    refuse(NONE, 0, 0);
    KVP_EXPECT(kvp_shared_pool_init(&shared, &config) == KVP_OK);
    kvp_lease *lease = hold(&shared);
    refuse(TRY, 1, EBUSY); /* whoever had it leaves before the second try */
    kvp_shared_pool_drop(&shared, lease);
    KVP_EXPECT(asked == 2 && shared.pool.num_leases == 0 && kvp_pool_available(&shared.pool) == 8);
    kvp_shared_pool_destroy(&shared);
}

KVP_TEST(what_is_dropped_under_the_lock_waits_for_who_has_it_next) {
    kvp_shared_pool shared;
    refuse(NONE, 0, 0);
    KVP_EXPECT(kvp_shared_pool_init(&shared, &config) == KVP_OK);
    kvp_lease *lease = hold(&shared);
    kvp_shared_pool_enter(&shared);
    refuse(TRY, 3, EBUSY); /* the drop tries twice, in vain, and somebody else has the lock when we look again */
    kvp_shared_pool_drop(&shared, lease);
    KVP_EXPECT(asked == 2 && shared.pool.num_leases == 1);
    kvp_shared_pool_leave(&shared);
    KVP_EXPECT(asked == 3 && shared.pool.num_leases == 1 && atomic_load(&shared.deferred) == lease);
    kvp_shared_pool_enter(&shared);
    KVP_EXPECT(shared.pool.num_leases == 0 && atomic_load(&shared.deferred) == NULL);
    kvp_shared_pool_leave(&shared);
    kvp_shared_pool_destroy(&shared);
}

KVP_TEST(without_a_semaphore_nobody_waits) {
    kvp_waiter waiter;
    refuse(SEMAPHORE, 1, ENOSYS);
    KVP_EXPECT(kvp_waiter_init(&waiter, NULL, NULL, NULL) == KVP_NO_MEMORY);
    KVP_EXPECT(kvp_waiter_init(&waiter, NULL, NULL, NULL) == KVP_OK && asked == 2);
    kvp_waiter_destroy(&waiter);
}

/* Whatever thread it is that does not begin, the caller does its work. */
KVP_TEST(a_copy_is_whole_without_the_threads_that_could_not_begin) {
    enum { BLOCKS = 40, BYTES = 96, THREADS = 4 };
    static char rooms[2][BLOCKS * BYTES];
    kvp_layout_config blocks = {.num_blocks = BLOCKS,
                                .num_layers = 1,
                                .outer_dim = 1,
                                .page_size = BYTES,
                                .inner_dim = 1,
                                .item_size = 1,
                                .alignment = 1};
    kvp_layout layout;
    kvp_block_memory from, to;
    const char *product;
    uint64_t from_base = (uintptr_t)rooms[0], to_base = (uintptr_t)rooms[1], at;
    int32_t ids[BLOCKS];
    bool is_to;
    KVP_EXPECT(kvp_layout_init(&layout, &blocks, &product) == KVP_OK);
    KVP_EXPECT(kvp_block_memory_init(&from, &layout, &from_base) == KVP_OK);
    KVP_EXPECT(kvp_block_memory_init(&to, &layout, &to_base) == KVP_OK);
    for (int32_t i = 0; i < BLOCKS; i++)
        ids[i] = (i * 7) % BLOCKS; /* no two neighbours, so that each is an item of its own */
    kvp_block_copy copy = {.from = {.memory = &from, .ids = ids}, .to = {.memory = &to, .ids = ids}, .count = BLOCKS};
    KVP_EXPECT(kvp_block_copy_prepare(&copy, &at, &is_to) == KVP_OK);
    for (long n = 0; n <= THREADS; n++) { /* 0: none begins; 4: all three that are wanted do */
        for (int i = 0; i < BLOCKS * BYTES; i++)
            rooms[0][i] = (char)(i * 31 + n);
        memset(rooms[1], 0, sizeof rooms[1]);
        refuse(THREAD, n, EAGAIN);
        kvp_block_copy_run(&copy, THREADS);
        KVP_EXPECT(asked == (n == 0        ? 1
                             : n < THREADS ? n
                                           : THREADS - 1)); /* after the first that fails none is tried */
        KVP_EXPECT(memcmp(rooms[0], rooms[1], sizeof rooms[0]) == 0);
    }
    refuse(NONE, 0, 0);
    kvp_block_memory_destroy(&from);
    kvp_block_memory_destroy(&to);
}

/* As kernels before 5.14 say it. */
KVP_TEST(pages_are_touched_one_by_one_where_the_kernel_cannot_populate) {
    enum { PAGES = 16 };
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    kvp_arena_config lazy = {.bytes = PAGES * page, .alignment = 64, .fd = -1, .is_populated = true};
    kvp_arena arena;
    unsigned char resident[PAGES];
    int error;
    refuse(ADVICE, 0, EINVAL);
    KVP_EXPECT(kvp_arena_init(&arena, &lazy, &error) == KVP_OK && error == 0);
    KVP_EXPECT(mincore(arena.mapping, PAGES * page, (void *)resident) == 0);
    for (int i = 0; i < PAGES; i++)
        KVP_EXPECT(resident[i] & 1);
    kvp_arena_destroy(&arena);
}

KVP_TEST(what_cannot_be_written_is_read_to_populate_it_and_keeps_its_bytes) {
    char path[] = "/tmp/kvp_system_XXXXXX";
    int fd = mkstemp(path), error;
    KVP_EXPECT(fd >= 0 && unlink(path) == 0 && write(fd, "kept", 4) == 4 && ftruncate(fd, 8192) == 0);
    kvp_arena_config config_of[2] = {
        {.bytes = 8192, .alignment = 64, .fd = fd, .is_populated = true, .is_writable = false},
        {.bytes = 8192, .alignment = 64, .fd = fd, .is_populated = true, .is_writable = true},
    };
    for (int i = 0; i < 2; i++) {
        kvp_arena arena;
        refuse(ADVICE, 0, EINVAL);
        KVP_EXPECT(kvp_arena_init(&arena, &config_of[i], &error) == KVP_OK && error == 0);
        KVP_EXPECT(memcmp(arena.data, "kept", 4) == 0 && arena.data[8191] == 0);
        kvp_arena_destroy(&arena);
    }
    close(fd);
}

KVP_TEST(memory_that_the_system_does_not_have_is_not_promised) {
    kvp_arena_config populated = {.bytes = 1 << 16, .alignment = 64, .fd = -1, .is_populated = true};
    kvp_arena arena;
    int error;
    refuse(ADVICE, 0, ENOMEM);
    KVP_EXPECT(kvp_arena_init(&arena, &populated, &error) == KVP_NO_MEMORY && error == ENOMEM);
    refuse(NONE, 0, 0);
    KVP_EXPECT(kvp_arena_init(&arena, &populated, &error) == KVP_OK && error == 0);
    kvp_arena_destroy(&arena);
}

KVP_TEST(a_sync_that_fails_says_why) {
    char path[] = "/tmp/kvp_system_XXXXXX";
    int fd = mkstemp(path), error;
    KVP_EXPECT(fd >= 0 && unlink(path) == 0 && ftruncate(fd, 8192) == 0);
    kvp_arena_config file = {.bytes = 8192, .alignment = 64, .fd = fd, .is_writable = true};
    kvp_arena arena, private;
    KVP_EXPECT(kvp_arena_init(&arena, &file, &error) == KVP_OK);
    file.fd = -1;
    KVP_EXPECT(kvp_arena_init(&private, &file, &error) == KVP_OK);
    refuse(SYNC, 1, EIO);
    KVP_EXPECT(kvp_arena_sync(&private, &error) == KVP_OK && error == 0 && asked == 0); /* there is no file */
    KVP_EXPECT(kvp_arena_sync(&arena, &error) == KVP_NO_MEMORY && error == EIO);
    KVP_EXPECT(kvp_arena_sync(&arena, &error) == KVP_OK && error == 0 && asked == 2);
    kvp_arena_destroy(&arena);
    kvp_arena_destroy(&private);
    close(fd);
}

int main(void) {
    KVP_RUN(without_one_of_its_locks_no_pool_is_made);
    KVP_RUN(a_child_that_cannot_make_its_locks_anew_is_told);
    KVP_RUN(a_drop_whose_lock_comes_free_after_its_push_takes_effect_at_once);
    KVP_RUN(what_is_dropped_under_the_lock_waits_for_who_has_it_next);
    KVP_RUN(without_a_semaphore_nobody_waits);
    KVP_RUN(a_copy_is_whole_without_the_threads_that_could_not_begin);
    KVP_RUN(pages_are_touched_one_by_one_where_the_kernel_cannot_populate);
    KVP_RUN(what_cannot_be_written_is_read_to_populate_it_and_keeps_its_bytes);
    KVP_RUN(memory_that_the_system_does_not_have_is_not_promised);
    KVP_RUN(a_sync_that_fails_says_why);
    return 0;
}
