/* The real code of the lock, the stack of dropped leases, the queue and the bells, under schedules that a seed gives:
 *
 *     test_schedules                      a short run, and the faults that it must find
 *     KVP_SCHEDULES=1000000 test_schedules
 *     KVP_SEED=7 test_schedules           one schedule */
#include "../ctest.h"
#include "programs.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define SCHEDULES       30000
#define FAULT_SCHEDULES 20000

static const char *before_unlock(const void *mutex) {
    const kvp_shared_pool *shared = the_world.shared;
    bool is_ours = mutex == &shared->lock.mutex || (the_world.has_outer && mutex == &the_world.outer);
    if (!is_ours || shared->lock.is_taken || !shared->first)
        return NULL;
    bool has_room = (int32_t)shared->first->lease->count <= shared->pool.empty.count + shared->pool.num_cached;
    return has_room ? "there are blocks for the first in the queue, and the lock was released" : NULL;
}

static bool is_silent(const kvp_bell *bell) {
    return !stand_in_is_readable(&bell->read_fd);
}

/* Nobody is in a call, and nobody was woken to make one. */
static const char *when_all_sleep(void) {
    const kvp_shared_pool *shared = the_world.shared;
    bool wants_relief = shared->relief >= 0 && shared->news;
    if (shared->deferred && !the_world.has_outer)
        return "a lease is on the stack, and everybody sleeps";
    if (shared->deferred && (shared->first || wants_relief))
        return "a lease is on the stack, and who needs its blocks was not woken";
    for (int i = 0; i < the_world.num_workers; i++)
        if (the_world.workers[i].bell.granted && is_silent(&the_world.workers[i].bell))
            return "blocks were granted, and the bell is silent";
    if (wants_relief && is_silent(shared->news) && kvp_shared_pool_is_relieved(shared))
        return "pressure is relieved, and the bell is silent";
    if (shared->news && is_silent(shared->news) && shared->pool.events.next > shared->pool.events.awaited)
        return "an awaited event has come, and the bell is silent";
    return NULL;
}

static void note_deferred(const volatile void *place) {
    the_world.tally.deferred += place == (const volatile void *)&the_world.shared->deferred;
}

/* NULL, or what went wrong. */
static const char *run_schedule(unsigned long long seed) {
    shuttle_plan plan = {.when_all_sleep = when_all_sleep};
    world_begin(&plan, seed);
    const char *wrong = shuttle_run(&plan);
    if (wrong)
        stand_in_forget_all();
    return wrong ? wrong : world_end();
}

KVP_TEST(no_schedule_loses_a_block_or_a_wake_or_hangs) {
    const char *only = getenv("KVP_SEED"), *many = getenv("KVP_SCHEDULES");
    unsigned long long first = only ? strtoull(only, NULL, 10) : 1;
    unsigned long long count = only ? 1 : many ? strtoull(many, NULL, 10) : SCHEDULES;
    for (unsigned long long seed = first; seed < first + count; seed++) {
        const char *wrong = run_schedule(seed);
        if (!wrong)
            continue;
        fprintf(stderr, "schedule %llu: %s\nrepeat with KVP_SEED=%llu\n", seed, wrong, seed);
        exit(1);
    }
    tally all = the_world.tally;
    printf("%llu schedules, %llu places to change at: of those who wanted blocks in turn %llu got them at once, %llu "
           "later, %llu not in time, %llu gave up; %llu leases were pushed, %llu schedules forked\n",
           count, (unsigned long long)shuttle_steps, (unsigned long long)all.served_at_once,
           (unsigned long long)all.granted_late, (unsigned long long)all.timed_out, (unsigned long long)all.given_up,
           (unsigned long long)all.deferred, (unsigned long long)all.forks);
    if (count >= SCHEDULES)
        KVP_EXPECT(all.served_at_once && all.granted_late && all.timed_out && all.given_up && all.deferred &&
                   all.forks);
}

/* Faults, put into what the code sees of the world: the code is the library's. */

static bool has_pushed[SHUTTLE_THREADS + 1];
static uint64_t waiters_before[SHUTTLE_THREADS + 1];
static uint32_t relief_before[SHUTTLE_THREADS + 1];

static int who(void) {
    return shuttle_current() + 1;
}

static bool is_stack(const volatile void *place) {
    return place == (const volatile void *)&the_world.shared->deferred;
}

static void note_push(const volatile void *place) {
    if (!is_stack(place))
        return;
    has_pushed[who()] = true;
    waiters_before[who()] = the_world.shared->num_waiters;
    relief_before[who()] = (uint32_t)the_world.shared->relief;
}

static uint64_t look_not_again(const volatile void *place, uint64_t value, int order) {
    return is_stack(place) && order == __ATOMIC_SEQ_CST ? 0 : value;
}

static bool try_not_again(const void *mutex, bool is_try) {
    bool refuses = is_try && mutex == &the_world.shared->lock.mutex && has_pushed[who()];
    has_pushed[who()] = false;
    return !refuses;
}

static bool go_on_without(const void *mutex, bool is_try) {
    return is_try || mutex != &the_world.shared->lock.mutex;
}

static uint64_t look_before_the_push(const volatile void *place, uint64_t value, int order) {
    (void)order;
    if (place == (const volatile void *)&the_world.shared->num_waiters && shuttle_current() >= 0)
        return waiters_before[who()];
    if (place == (const volatile void *)&the_world.shared->relief && shuttle_current() >= 0)
        return relief_before[who()];
    return value;
}

static uint64_t see_nobody_wait(const volatile void *place, uint64_t value, int order) {
    (void)order;
    return place == (const volatile void *)&the_world.shared->num_waiters ? 0 : value;
}

static bool lose(const void *semaphore) {
    (void)semaphore;
    return false;
}

/* Number of the first schedule that shows the fault; 0: none of them. In a process of its own, since it may crash. */
static unsigned first_schedule_with(hooks faults) {
    int result[2];
    unsigned found = 0, seed = 0;
    KVP_EXPECT(pipe(result) == 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        KVP_EXPECT(freopen("/dev/null", "w", stderr) != NULL);
        alarm(60);
        faults.before_unlock = before_unlock;
        shuttle_hooks = faults;
        for (seed = 1; seed <= FAULT_SCHEDULES; seed++) {
            KVP_EXPECT(write(result[1], &seed, sizeof seed) == (ssize_t)sizeof seed);
            if (run_schedule(seed))
                _exit(1);
        }
        _exit(0);
    }
    (void)close(result[1]);
    while (read(result[0], &seed, sizeof seed) == (ssize_t)sizeof seed)
        found = seed;
    (void)close(result[0]);
    int status;
    KVP_EXPECT(waitpid(child, &status, 0) == child);
    KVP_EXPECT(!WIFSIGNALED(status) || WTERMSIG(status) != SIGALRM);
    return status ? found : 0;
}

KVP_TEST(schedules_find_the_faults_that_the_protocol_is_there_for) {
    static const struct {
        const char *name;
        hooks hooks;
    } faults[] = {
        {"who unlocks does not look at the stack again", {.sees = look_not_again}},
        {"who has pushed does not try the lock again", {.takes = try_not_again, .exchanges = note_push}},
        {"who pushes from outside does not see who waits", {.sees = see_nobody_wait}},
        {"who pushes from outside looks before the push", {.sees = look_before_the_push, .exchanges = note_push}},
        {"who is granted blocks is not woken", {.posts = lose}},
        {"who calls does not wait for the lock", {.takes = go_on_without}},
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        unsigned seed = first_schedule_with(faults[i].hooks);
        printf("%s: schedule %u\n", faults[i].name, seed);
        KVP_EXPECT(seed != 0);
    }
}

int main(void) {
    shuttle_hooks.before_unlock = before_unlock;
    shuttle_hooks.exchanges = note_deferred;
    KVP_RUN(no_schedule_loses_a_block_or_a_wake_or_hangs);
    if (!getenv("KVP_SEED"))
        KVP_RUN(schedules_find_the_faults_that_the_protocol_is_there_for);
    return 0;
}
