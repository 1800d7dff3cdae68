#define _GNU_SOURCE
#include "kvp/bell.h"

#include "kvp/check.h"
#include "kvp/waiter.h"

#include <fcntl.h>
#include <unistd.h>

#if defined(__linux__) && !defined(KVP_BELL_IS_PIPE) /* which the tests define */
#define KVP_BELL_IS_EVENTFD
#include <sys/eventfd.h>
#endif

#ifdef KVP_BELL_IS_EVENTFD
static bool open_descriptors(kvp_bell *self) {
    self->read_fd = self->write_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return self->read_fd >= 0;
}
#else
static bool open_descriptors(kvp_bell *self) {
    int ends[2];
    if (pipe(ends) != 0)
        return false;
    self->read_fd = ends[0];
    self->write_fd = ends[1];
    for (int i = 0; i < 2; i++) {
        (void)fcntl(ends[i], F_SETFL, O_NONBLOCK);
        (void)fcntl(ends[i], F_SETFD, FD_CLOEXEC);
    }
    return true;
}
#endif

kvp_status kvp_bell_init(kvp_bell *self) {
    self->granted = NULL;
    self->is_rung = false;
    return open_descriptors(self) ? KVP_OK : KVP_NO_MEMORY;
}

void kvp_bell_destroy(kvp_bell *self) {
    (void)close(self->read_fd);
    if (self->write_fd != self->read_fd)
        (void)close(self->write_fd);
}

/* One that is full already is readable: that is all that is wanted. */
void kvp_bell_write(const kvp_bell *self) {
    static const uint64_t one = 1;
    ssize_t written = write(self->write_fd, &one, sizeof one);
    (void)written;
}

void kvp_bell_silence(const kvp_bell *self) {
    uint64_t counts[64];
    while (read(self->read_fd, counts, sizeof counts) == (ssize_t)sizeof counts)
        continue; /* a pipe may have more; an eventfd gives all at once */
}

const char *kvp_bell_check(const kvp_bell *self) {
    const kvp_waiter *before = NULL;
    for (const kvp_waiter *waiter = self->granted; waiter; waiter = waiter->next) {
        KVP_REQUIRE(waiter->prev == before, "granted waiters are linked one way only");
        KVP_REQUIRE(waiter->is_granted && waiter->bell == self, "a waiter that was not granted is to be collected");
        before = waiter;
    }
    KVP_REQUIRE(!self->granted || self->is_rung, "waiters are to be collected, and nobody was told");
    return NULL;
}
