#define KVP_STAND_INS_THEMSELVES
#include "stand_ins.h"

#include "hooks.h"
#include "shuttle.h"

#include <errno.h>
#include <stdalign.h>

#define THERE       0x7E57AB1Eu
#define GONE        0xDEADDEADu
#define FREE        (-1)
#define NOBODY      99 /* the owner outside a run */
#define POISON      0xDD
#define DESCRIPTORS 64
#define SECOND      INT64_C(1000000000)

hooks shuttle_hooks;

static int self_number(void) {
    int number = shuttle_current();
    return number < 0 ? NOBODY : number;
}

/* Mutexes. In a fork's child the owner may be gone: then nobody gives it back. */

_Static_assert(sizeof(outer_lock) <= sizeof(pthread_mutex_t), "a stand-in fits in a mutex");

static bool is_free(const void *mutex) {
    return ((const outer_lock *)mutex)->owner == FREE;
}

static outer_lock *as_lock(void *mutex) {
    outer_lock *self = mutex;
    if (self->is_there != THERE)
        shuttle_fail("a mutex is used that is not there");
    return self;
}

static void take(void *mutex) {
    outer_lock *self = as_lock(mutex);
    shuttle_step();
    if (self->owner == self_number())
        shuttle_fail("a mutex is taken twice by the same thread");
    while (as_lock(mutex)->owner != FREE)
        shuttle_wait(is_free, mutex, INT64_MAX, false);
    self->owner = self_number();
}

static void give(void *mutex) {
    outer_lock *self = as_lock(mutex);
    if (self->owner != self_number())
        shuttle_fail("a mutex is given by who has not taken it");
    const char *wrong = shuttle_hooks.before_unlock ? shuttle_hooks.before_unlock(mutex) : NULL;
    if (wrong)
        shuttle_fail(wrong);
    shuttle_step();
    self->owner = FREE;
}

void outer_lock_init(outer_lock *self) {
    self->is_there = THERE;
    self->owner = FREE;
}

void outer_lock_take(outer_lock *self) {
    take(self);
}

void outer_lock_give(outer_lock *self) {
    give(self);
}

int stand_in_mutex_init(pthread_mutex_t *mutex) {
    outer_lock_init((outer_lock *)(void *)mutex);
    return 0;
}

int stand_in_mutex_destroy(pthread_mutex_t *mutex) {
    outer_lock *self = as_lock(mutex);
    if (self->owner != FREE)
        shuttle_fail("a mutex is destroyed while it is taken");
    self->is_there = GONE;
    return 0;
}

int stand_in_mutex_lock(pthread_mutex_t *mutex) {
    if (!shuttle_hooks.takes || shuttle_hooks.takes(mutex, false))
        take(mutex);
    return 0;
}

int stand_in_mutex_trylock(pthread_mutex_t *mutex) {
    outer_lock *self = as_lock(mutex);
    shuttle_step();
    if (as_lock(mutex)->owner != FREE || (shuttle_hooks.takes && !shuttle_hooks.takes(mutex, true)))
        return EBUSY;
    self->owner = self_number();
    return 0;
}

int stand_in_mutex_unlock(pthread_mutex_t *mutex) {
    if (!shuttle_hooks.takes || ((outer_lock *)(void *)mutex)->owner == self_number())
        give(mutex);
    return 0;
}

/* Semaphores */

typedef struct semaphore {
    uint32_t is_there;
    unsigned value;
} semaphore;

_Static_assert(sizeof(semaphore) <= sizeof(sem_t), "a stand-in fits in a semaphore");

static semaphore *as_semaphore(void *it) {
    semaphore *self = it;
    if (self->is_there != THERE)
        shuttle_fail("a semaphore is used that is not there");
    return self;
}

static bool is_posted(const void *it) {
    return ((const semaphore *)it)->value > 0;
}

int stand_in_sem_init(sem_t *it, unsigned value) {
    semaphore *self = (semaphore *)(void *)it;
    self->is_there = THERE;
    self->value = value;
    return 0;
}

int stand_in_sem_destroy(sem_t *it) {
    as_semaphore(it)->is_there = GONE;
    return 0;
}

int stand_in_sem_post(sem_t *it) {
    shuttle_step();
    semaphore *self = as_semaphore(it);
    if (!shuttle_hooks.posts || shuttle_hooks.posts(it))
        self->value++;
    return 0;
}

int stand_in_sem_trywait(sem_t *it) {
    shuttle_step();
    semaphore *self = as_semaphore(it);
    if (self->value == 0) {
        errno = EAGAIN;
        return -1;
    }
    self->value--;
    return 0;
}

int stand_in_sem_timedwait(sem_t *it, const struct timespec *until) {
    shuttle_step();
    semaphore *self = as_semaphore(it);
    int64_t deadline = (int64_t)until->tv_sec * SECOND + until->tv_nsec;
    /* The core sleeps without limit in pieces of an hour. */
    deadline = deadline - shuttle_now() > 1000 * SECOND ? INT64_MAX : deadline;
    while (self->value == 0) {
        shuttle_outcome outcome = shuttle_wait(is_posted, self, deadline, true);
        if (outcome != SHUTTLE_WOKEN) {
            errno = outcome == SHUTTLE_TIMED_OUT ? ETIMEDOUT : EINTR;
            return -1;
        }
    }
    self->value--;
    return 0;
}

/* Descriptors: eventfds that do not block */

static uint64_t counts[DESCRIPTORS];
static bool is_open[DESCRIPTORS];

int stand_in_eventfd(void) {
    for (int fd = 0; fd < DESCRIPTORS; fd++) {
        if (!is_open[fd]) {
            is_open[fd] = true;
            counts[fd] = 0;
            return fd;
        }
    }
    return -1;
}

bool stand_in_is_readable(const void *fd) {
    return counts[*(const int *)fd] > 0;
}

static void expect_open(int fd) {
    shuttle_step();
    if (fd < 0 || fd >= DESCRIPTORS || !is_open[fd])
        shuttle_fail("a descriptor is used that is closed");
}

ssize_t stand_in_write(int fd, size_t size) {
    expect_open(fd);
    counts[fd]++;
    return (ssize_t)size;
}

ssize_t stand_in_read(int fd, void *data, size_t size) {
    (void)size;
    expect_open(fd);
    if (counts[fd] == 0) {
        errno = EAGAIN;
        return -1;
    }
    memcpy(data, &counts[fd], sizeof counts[fd]);
    counts[fd] = 0;
    return sizeof counts[fd];
}

int stand_in_close(int fd) {
    expect_open(fd);
    is_open[fd] = false;
    return 0;
}

int stand_in_clock_gettime(struct timespec *time) {
    time->tv_sec = (time_t)(shuttle_now() / SECOND);
    time->tv_nsec = (long)(shuttle_now() % SECOND);
    return 0;
}

void stand_in_abort(void) {
    shuttle_fail("an assertion of the core does not hold");
}

/* Memory: what is given back is kept until the end of the run, to see who writes to it */

typedef struct allocation {
    alignas(64) struct allocation *next;
    size_t size;
    uint32_t is_there;
} allocation;

static allocation *graves;
static size_t num_allocations;

void *stand_in_malloc(size_t size) {
    allocation *self = aligned_alloc(64, sizeof *self + ((size + 63) & ~(size_t)63));
    if (!self)
        return NULL;
    self->size = size;
    self->is_there = THERE;
    num_allocations++;
    return self + 1;
}

void stand_in_free(void *memory) {
    if (!memory)
        return;
    allocation *self = (allocation *)memory - 1;
    if (self->is_there != THERE)
        shuttle_fail("memory is given back twice");
    self->is_there = GONE;
    memset(memory, POISON, self->size);
    self->next = graves;
    graves = self;
    num_allocations--;
}

static bool is_poison(const unsigned char *bytes, size_t size) {
    return size == 0 || (bytes[0] == POISON && memcmp(bytes, bytes + 1, size - 1) == 0);
}

size_t stand_in_count_allocations(const char **wrong) {
    while (graves) {
        allocation *next = graves->next;
        if (!is_poison((const unsigned char *)(graves + 1), graves->size))
            *wrong = "memory was written to after it was given back";
        free(graves);
        graves = next;
    }
    return num_allocations;
}

void stand_in_forget_all(void) {
    const char *wrong;
    (void)stand_in_count_allocations(&wrong);
    num_allocations = 0;
    memset(is_open, 0, sizeof is_open);
}
