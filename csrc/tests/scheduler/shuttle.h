/* Threads that take turns: coroutines of one thread, of which a seed says who goes on and where they are interrupted. The
 * code under test is compiled as for the thread sanitizer, so that it calls us at each access to memory (accesses.c), and
 * with locks, semaphores and descriptors of ours (stand_ins.h). So a run depends on its seed alone, and can be repeated.
 *
 * Half of the runs are random walks. The others go by priorities that change at a few random places (Burckhardt et al., A
 * Randomized Scheduler with Probabilistic Guarantees of Finding Bugs, 2010), which finds what needs few interruptions. */
#ifndef KVP_SHUTTLE_H
#define KVP_SHUTTLE_H

#include <stdbool.h>
#include <stdint.h>

#define SHUTTLE_THREADS 6

typedef enum shuttle_outcome { SHUTTLE_WOKEN, SHUTTLE_TIMED_OUT, SHUTTLE_INTERRUPTED } shuttle_outcome;

typedef struct shuttle_plan {
    void (*work[SHUTTLE_THREADS])(int thread);
    int num_threads;
    const char *(*when_all_sleep)(void); /* NULL, or what is wrong; called when only time can go on */
    unsigned long long seed;
} shuttle_plan;

/* Run all to their end; NULL, or what went wrong. */
const char *shuttle_run(const shuttle_plan *plan);

/* Number of the thread that runs, or -1 outside a run. */
int shuttle_current(void);

/* A place where another thread may go on. */
void shuttle_step(void);

/* An access to memory that is not atomic: in some runs, and not often, such a place as well. */
void shuttle_glance(void);

/* Sleep until is_ready(object), or until the logical clock says `deadline` (INT64_MAX: never). With can_interrupt a
 * signal may come now and then. */
shuttle_outcome shuttle_wait(bool (*is_ready)(const void *object), const void *object, int64_t deadline,
                             bool can_interrupt);

/* End the run: something is wrong. Does not return inside one. */
void shuttle_fail(const char *what);

/* End all threads but the caller, wherever they are: as a fork does in the child. */
void shuttle_end_others(void);

/* Whether this thread still has something to do. */
bool shuttle_is_alive(int thread);

/* Logical nanoseconds. */
int64_t shuttle_now(void);

/* In [0, bound), from the run's seed. */
int32_t shuttle_random_below(int32_t bound);

/* Places so far, of all runs. */
extern uint64_t shuttle_steps;

#endif
