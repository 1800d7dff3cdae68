/* Included in front of every source of the core: its mutexes, semaphores, descriptors, clocks and allocations are ours,
 * which the shuttle knows of. */
#ifndef KVP_STAND_INS_H
#define KVP_STAND_INS_H

#define _GNU_SOURCE
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

int stand_in_mutex_init(pthread_mutex_t *mutex);
int stand_in_mutex_destroy(pthread_mutex_t *mutex);
int stand_in_mutex_lock(pthread_mutex_t *mutex);
int stand_in_mutex_trylock(pthread_mutex_t *mutex);
int stand_in_mutex_unlock(pthread_mutex_t *mutex);
int stand_in_sem_init(sem_t *semaphore, unsigned value);
int stand_in_sem_destroy(sem_t *semaphore);
int stand_in_sem_post(sem_t *semaphore);
int stand_in_sem_trywait(sem_t *semaphore);
int stand_in_sem_timedwait(sem_t *semaphore, const struct timespec *until);
int stand_in_eventfd(void);
ssize_t stand_in_write(int fd, size_t size);
ssize_t stand_in_read(int fd, void *data, size_t size);
int stand_in_close(int fd);
int stand_in_clock_gettime(struct timespec *time);
void *stand_in_malloc(size_t size);
void stand_in_free(void *memory);
void stand_in_abort(void);

#ifndef KVP_STAND_INS_THEMSELVES
#define pthread_mutex_init(mutex, kind)       ((void)(kind), stand_in_mutex_init(mutex))
#define pthread_mutex_destroy                 stand_in_mutex_destroy
#define pthread_mutex_lock                    stand_in_mutex_lock
#define pthread_mutex_trylock                 stand_in_mutex_trylock
#define pthread_mutex_unlock                  stand_in_mutex_unlock
#define sem_init(semaphore, is_shared, value) stand_in_sem_init(semaphore, value)
#define sem_destroy                           stand_in_sem_destroy
#define sem_post                              stand_in_sem_post
#define sem_trywait                           stand_in_sem_trywait
#define sem_timedwait                         stand_in_sem_timedwait
#define eventfd(value, flags)                 stand_in_eventfd()
#define write(fd, data, size)                 ((void)(data), stand_in_write(fd, size))
#define read                                  stand_in_read
#define close                                 stand_in_close
#define clock_gettime(clock, time)            ((void)(clock), stand_in_clock_gettime(time))
#define malloc                                stand_in_malloc
#define aligned_alloc(alignment, size)        stand_in_malloc(size)
#define free                                  stand_in_free
#define abort                                 stand_in_abort
#endif

#endif
