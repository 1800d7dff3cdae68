#define _GNU_SOURCE
#include "shuttle.h"

#include "../ctest.h"

#include <setjmp.h>
#include <ucontext.h>

#define STACK_SIZE      ((size_t)128 << 10)
#define MOST_STEPS      200000 /* more than any program needs: it goes round in circles */
#define MOST_GLANCES    20000000
#define MOST_CHANGES    4
#define MOST_INTERRUPTS 3

typedef struct thread {
    ucontext_t first;
    jmp_buf place;
    char *stack;
    bool has_begun;                       /* its coroutine waits at `place` for work */
    bool is_alive;                        /* it has work */
    bool (*is_ready)(const void *object); /* NULL: it can go on */
    const void *object;
    int64_t deadline;
    bool can_interrupt;
    shuttle_outcome outcome;
    int priority; /* the largest goes first */
} thread;

static thread threads[SHUTTLE_THREADS];
static const shuttle_plan *plan;
static int current = -1;
static bool is_checking;
static jmp_buf outside;
static const char *failure;
static unsigned long long state;
static int64_t clock_now;
static uint64_t steps, glances;
static int interrupts;
static bool has_priorities, has_glances;
static int odds; /* one in so many places of a random walk is a change */
static int until_glance;
static uint64_t changes[MOST_CHANGES]; /* places at which who runs gets the lowest priority */
static int num_changes;
static int lowest;

uint64_t shuttle_steps;

int shuttle_current(void) {
    return is_checking ? -1 : current;
}

int64_t shuttle_now(void) {
    return clock_now;
}

int32_t shuttle_random_below(int32_t bound) {
    return kvp_random_below(&state, bound);
}

bool shuttle_is_alive(int number) {
    return threads[number].is_alive;
}

void shuttle_fail(const char *what) {
    failure = what;
    if (current < 0)
        return;
    current = -1;
    is_checking = false;
    _longjmp(outside, 1);
}

static void run_forever(int number);

static __attribute__((noinline)) void enter(int number) {
    thread *self = &threads[number];
    current = number;
    if (self->has_begun)
        _longjmp(self->place, 1);
    self->has_begun = true;
    getcontext(&self->first);
    if (!self->stack)
        self->stack = malloc(STACK_SIZE);
    self->first.uc_stack.ss_sp = self->stack;
    self->first.uc_stack.ss_size = STACK_SIZE;
    self->first.uc_link = NULL;
    makecontext(&self->first, (void (*)(void))run_forever, 1, number);
    setcontext(&self->first);
}

/* Leave this coroutine for another; returns when somebody comes back to it. */
static __attribute__((noinline)) void change_to(int number) {
    int before = current;
    if (number == before)
        return;
    if (_setjmp(threads[before].place) == 0)
        enter(number);
}

static bool is_runnable(const thread *self) {
    return self->is_alive && (!self->is_ready || self->is_ready(self->object));
}

static bool is_timed(const thread *self) {
    return self->is_alive && self->is_ready && self->deadline != INT64_MAX;
}

/* Choose among those for which `is_eligible`: by priority, or any. -1: there is none. */
static int choose(bool (*is_eligible)(const thread *self)) {
    int found[SHUTTLE_THREADS], count = 0, best = -1;
    for (int i = 0; i < plan->num_threads; i++) {
        if (!is_eligible(&threads[i]))
            continue;
        found[count++] = i;
        if (best < 0 || threads[i].priority > threads[best].priority)
            best = i;
    }
    if (count == 0)
        return -1;
    return has_priorities ? best : found[count == 1 ? 0 : kvp_random_below(&state, count)];
}

static void wake(thread *self, shuttle_outcome outcome) {
    self->is_ready = NULL;
    self->outcome = outcome;
    if (outcome == SHUTTLE_TIMED_OUT && self->deadline > clock_now)
        clock_now = self->deadline;
}

/* Nobody can go on but by waiting for a time. */
static int let_time_pass(void) {
    is_checking = true;
    const char *wrong = plan->when_all_sleep ? plan->when_all_sleep() : NULL;
    is_checking = false;
    if (wrong)
        shuttle_fail(wrong);
    int sleeper = choose(is_timed);
    if (sleeper < 0)
        shuttle_fail("somebody sleeps for ever");
    wake(&threads[sleeper], SHUTTLE_TIMED_OUT);
    return sleeper;
}

/* Who goes on; -1 when all have ended. */
static int next(void) {
    int number = choose(is_runnable);
    if (number >= 0) {
        if (threads[number].is_ready)
            wake(&threads[number], SHUTTLE_WOKEN);
        return number;
    }
    for (int i = 0; i < plan->num_threads; i++)
        if (threads[i].is_alive)
            return let_time_pass();
    return -1;
}

static void run_forever(int number) {
    for (;;) {
        plan->work[number](number);
        threads[number].is_alive = false;
        int successor = next();
        if (successor >= 0) {
            change_to(successor);
            continue;
        }
        if (_setjmp(threads[number].place) == 0) {
            current = -1;
            _longjmp(outside, 1);
        }
    }
}

/* Now and then a time is over, or a signal comes, though others could go on. */
static void surprise(void) {
    int number = kvp_random_below(&state, plan->num_threads);
    thread *self = &threads[number];
    if (!self->is_alive || !self->is_ready || kvp_random_below(&state, 4))
        return;
    if (self->can_interrupt && interrupts < MOST_INTERRUPTS && kvp_random_below(&state, 2)) {
        interrupts++;
        wake(self, SHUTTLE_INTERRUPTED);
    } else if (self->deadline != INT64_MAX) {
        wake(self, SHUTTLE_TIMED_OUT);
    }
}

static void count_step(void) {
    steps++;
    if (steps > MOST_STEPS)
        shuttle_fail("it goes round in circles");
}

void shuttle_step(void) {
    if (current < 0 || is_checking)
        return;
    count_step();
    clock_now++;
    if (!has_priorities) {
        if (kvp_random_below(&state, odds))
            return;
        surprise();
    } else {
        for (int i = 0; i < num_changes; i++) {
            if (changes[i] == steps) {
                threads[current].priority = --lowest;
                surprise();
            }
        }
    }
    change_to(next());
}

void shuttle_glance(void) {
    if (current < 0 || is_checking)
        return;
    if (++glances > MOST_GLANCES)
        shuttle_fail("it goes round in circles");
    if (!has_glances || --until_glance > 0)
        return;
    until_glance = 1 + kvp_random_below(&state, 200);
    shuttle_step();
}

shuttle_outcome shuttle_wait(bool (*is_ready)(const void *object), const void *object, int64_t deadline,
                             bool can_interrupt) {
    thread *self = &threads[current];
    count_step();
    self->is_ready = is_ready;
    self->object = object;
    self->deadline = deadline;
    self->can_interrupt = can_interrupt;
    self->outcome = SHUTTLE_WOKEN;
    change_to(next());
    return self->outcome;
}

static void forget(thread *self) {
    self->is_alive = false;
    self->has_begun = false; /* its stack has the rest of what it was doing */
}

void shuttle_end_others(void) {
    for (int i = 0; i < plan->num_threads; i++)
        if (i != current && threads[i].is_alive)
            forget(&threads[i]);
}

static void set_strategy(void) {
    static const int all_odds[] = {2, 4, 12, 40};
    static const int32_t all_ranges[] = {30, 100, 400}; /* programs differ in length */
    has_priorities = kvp_random_below(&state, 2);
    has_glances = kvp_random_below(&state, 4) == 0;
    odds = all_odds[kvp_random_below(&state, 4)];
    until_glance = 1 + kvp_random_below(&state, 200);
    num_changes = 1 + kvp_random_below(&state, MOST_CHANGES);
    int32_t range = all_ranges[kvp_random_below(&state, 3)];
    for (int i = 0; i < num_changes; i++)
        changes[i] = 1 + (uint64_t)kvp_random_below(&state, range);
    lowest = 0;
    for (int i = 0; i < plan->num_threads; i++)
        threads[i].priority = 1 + kvp_random_below(&state, 1000);
}

const char *shuttle_run(const shuttle_plan *the_plan) {
    plan = the_plan;
    failure = NULL;
    state = plan->seed;
    clock_now = 0;
    steps = glances = 0;
    interrupts = 0;
    set_strategy();
    for (int i = 0; i < plan->num_threads; i++) {
        threads[i].is_alive = true;
        threads[i].is_ready = NULL;
    }
    if (_setjmp(outside) == 0)
        enter(next());
    shuttle_steps += steps;
    if (failure)
        for (int i = 0; i < SHUTTLE_THREADS; i++)
            forget(&threads[i]);
    return failure;
}
