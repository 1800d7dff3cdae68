#include "programs.h"

#include "../ctest.h"

#define MOST_BLOCKS 4
#define MOST_WISHES 2
#define SHORT_TIME  50
#define LONG_TIME   100000

world the_world;

static void begin_call(void) {
    if (the_world.has_outer)
        outer_lock_take(&the_world.outer);
}

static void end_call(void) {
    if (the_world.has_outer)
        outer_lock_give(&the_world.outer);
}

static int32_t below(int32_t bound) {
    return shuttle_random_below(bound);
}

static kvp_lease *new_lease(uint32_t n, bool is_mutable) {
    kvp_lease *lease = kvp_lease_new(n, is_mutable);
    KVP_EXPECT(lease != NULL);
    return lease;
}

static void hold(worker *self, kvp_lease *lease) {
    KVP_EXPECT(self->num_held < MOST_HELD);
    self->held[self->num_held++] = lease;
}

static uint32_t some_blocks(void) {
    int32_t all = the_world.shared->pool.table.num_blocks;
    return 1 + (uint32_t)below(below(3) ? (all < 2 ? all : 2) : all);
}

/* Calls that do not wait */

static void take(worker *self) {
    uint64_t evicted[MOST_BLOCKS];
    uint32_t num_evicted;
    kvp_lease *lease = new_lease(some_blocks(), true);
    begin_call();
    kvp_shared_pool_enter(the_world.shared);
    kvp_status status = kvp_pool_allocate(&the_world.shared->pool, lease, 0, evicted, MOST_BLOCKS, &num_evicted);
    kvp_shared_pool_leave(the_world.shared);
    end_call();
    if (status == KVP_OK)
        hold(self, lease);
    else
        kvp_lease_unshare(lease);
}

static void match(worker *self) {
    uint64_t hashes[2] = {1, 2};
    kvp_lease *lease = new_lease(2, false);
    begin_call();
    kvp_shared_pool_enter(the_world.shared);
    kvp_pool_match(&the_world.shared->pool, hashes, 2, 0, lease);
    kvp_shared_pool_leave(the_world.shared);
    end_call();
    if (lease->held)
        hold(self, lease);
    else
        kvp_lease_unshare(lease);
}

static void register_newest(worker *self) {
    kvp_lease *fresh = self->num_held ? self->held[self->num_held - 1] : NULL;
    if (!fresh || !fresh->is_mutable)
        return;
    uint64_t hashes[MOST_BLOCKS];
    for (uint32_t i = 0; i < fresh->count; i++)
        hashes[i] = 1 + (uint64_t)i;
    kvp_lease *filled = new_lease(fresh->count, false);
    kvp_segment segment = {fresh, 0, 1, fresh->count};
    kvp_registration registration = {
        .segments = &segment, .num_segments = 1, .hashes = hashes, .level = -1, .expiry = KVP_NO_EXPIRY};
    uint32_t at;
    begin_call();
    kvp_shared_pool_enter(the_world.shared);
    kvp_status status = kvp_pool_register(&the_world.shared->pool, &registration, 0, filled, &at);
    kvp_shared_pool_leave(the_world.shared);
    end_call();
    if (status != KVP_OK)
        shuttle_fail("a registration was refused");
    kvp_lease_unshare(fresh);
    self->held[self->num_held - 1] = filled;
}

static void drop(worker *self) {
    if (self->num_held == 0)
        return;
    kvp_lease *lease = self->held[--self->num_held];
    if (below(2)) {
        kvp_shared_pool_drop_outside(the_world.shared, lease);
        return;
    }
    begin_call();
    kvp_shared_pool_drop(the_world.shared, lease);
    end_call();
}

static void drop_all(worker *self) {
    while (self->num_held)
        drop(self);
}

/* Calls that wait: as in pool_waiting.pyx and block_request.pyx */

typedef struct wish {
    kvp_waiter waiter;
    kvp_lease *lease;
    uint64_t evicted[MOST_BLOCKS];
} wish;

/* On the heap, so that a touch after its end is seen. The outer lock is taken. */
static wish *new_wish(kvp_bell *bell, bool *is_served) {
    wish *self = kvp_memory_new_raw(sizeof *self);
    KVP_EXPECT(self != NULL);
    self->lease = new_lease(some_blocks(), true);
    kvp_waiter_init(&self->waiter, self->lease, self->evicted, bell);
    uint32_t num_evicted;
    kvp_status status = KVP_NOT_ENOUGH;
    kvp_shared_pool_enter(the_world.shared);
    if (!the_world.shared->first)
        status =
            kvp_pool_allocate(&the_world.shared->pool, self->lease, 0, self->evicted, self->lease->count, &num_evicted);
    if (status != KVP_OK)
        kvp_shared_pool_enqueue(the_world.shared, &self->waiter);
    kvp_shared_pool_leave(the_world.shared);
    *is_served = status == KVP_OK;
    the_world.tally.served_at_once += *is_served;
    return self;
}

static void forget_wish(worker *self, wish *wish, bool is_served) {
    kvp_waiter_destroy(&wish->waiter);
    if (is_served)
        hold(self, wish->lease);
    else
        kvp_lease_unshare(wish->lease);
    kvp_memory_free_raw(wish);
}

static bool leave_queue(wish *wish) {
    kvp_shared_pool_enter(the_world.shared);
    kvp_shared_pool_withdraw(the_world.shared, &wish->waiter);
    bool is_granted = wish->waiter.is_granted;
    kvp_shared_pool_leave(the_world.shared);
    the_world.tally.granted_late += is_granted;
    the_world.tally.timed_out += !is_granted;
    return is_granted;
}

static bool is_granted(wish *wish) {
    kvp_shared_pool_enter(the_world.shared);
    kvp_shared_pool_leave(the_world.shared);
    kvp_shared_pool_enter(the_world.shared);
    bool granted = wish->waiter.is_granted;
    kvp_shared_pool_leave(the_world.shared);
    return granted;
}

static void abandon(wish *wish) {
    the_world.tally.given_up++;
    kvp_shared_pool_enter(the_world.shared);
    kvp_shared_pool_withdraw(the_world.shared, &wish->waiter);
    kvp_pool_release(&the_world.shared->pool, wish->lease);
    kvp_shared_pool_leave(the_world.shared);
}

/* Nanoseconds; who holds blocks does not wait without limit: others may wait for those. */
static int64_t some_time(worker *self) {
    if (self->num_held == 0 && below(2))
        return -1;
    return below(2) ? SHORT_TIME : LONG_TIME;
}

static void wait_in_thread(worker *self) {
    bool is_served;
    int64_t timeout = some_time(self), start = shuttle_now(), left = timeout;
    begin_call();
    wish *wish = new_wish(NULL, &is_served);
    while (!is_served) {
        end_call();
        kvp_wait_result woken = kvp_waiter_wait(&wish->waiter, left);
        begin_call();
        if (woken == KVP_INTERRUPTED && below(2)) { /* the signal's handler raised */
            abandon(wish);
            break;
        }
        if (woken == KVP_TIMED_OUT || (woken == KVP_WOKEN && is_granted(wish))) {
            is_served = leave_queue(wish);
            break;
        }
        if (timeout >= 0) {
            left = timeout - (shuttle_now() - start);
            left = left < 0 ? 0 : left;
        }
    }
    end_call();
    forget_wish(self, wish, is_served);
}

/* Coroutines of one loop, which sleeps on its bell. */
static void wait_in_loop(worker *self) {
    wish *wishes[MOST_WISHES];
    bool is_served[MOST_WISHES];
    int count = 1 + below(MOST_WISHES), left = 0;
    int64_t timeout = some_time(self);
    if (count > 1 && timeout < 0)
        timeout = LONG_TIME; /* the first may get what the second waits for */
    begin_call();
    for (int i = 0; i < count; i++) {
        wishes[i] = new_wish(&self->bell, &is_served[i]);
        left += !is_served[i];
    }
    end_call();
    int64_t deadline = timeout < 0 ? INT64_MAX : shuttle_now() + timeout;
    while (left > 0 && shuttle_wait(stand_in_is_readable, &self->bell.read_fd, deadline, false) == SHUTTLE_WOKEN) {
        kvp_bell_silence(&self->bell);
        begin_call();
        kvp_shared_pool_enter(the_world.shared);
        kvp_waiter *granted = kvp_shared_pool_collect(the_world.shared, &self->bell);
        kvp_shared_pool_leave(the_world.shared);
        for (; granted; granted = granted->next)
            left--;
        end_call();
    }
    begin_call();
    for (int i = 0; i < count; i++) {
        if (!is_served[i] && below(4) == 0)
            abandon(wishes[i]);
        else if (!is_served[i])
            is_served[i] = leave_queue(wishes[i]);
    }
    end_call();
    for (int i = 0; i < count; i++)
        forget_wish(self, wishes[i], is_served[i]);
}

/* Threads */

static void call_something(worker *self) {
    int choice = below(16);
    if (self->num_held > MOST_HELD - MOST_WISHES - 1)
        drop_all(self);
    if (choice < 3)
        take(self);
    else if (choice < 7)
        wait_in_thread(self);
    else if (choice < 9)
        wait_in_loop(self);
    else if (choice == 9)
        match(self);
    else if (choice == 10)
        register_newest(self);
    else
        drop(self);
}

static void fork_here(void) {
    begin_call(); /* who forks has the outer lock */
    shuttle_end_others();
    the_world.has_forked = true;
    the_world.tally.forks++;
    kvp_status status = kvp_shared_pool_forget_others(the_world.shared);
    end_call();
    if (status != KVP_OK)
        shuttle_fail("there is no lock after a fork");
}

static void work(int number) {
    worker *self = &the_world.workers[number];
    while (self->num_calls-- > 0)
        call_something(self);
    if (the_world.ends == ENDS_IN_FORK && number == 0) {
        fork_here();
        take(self);
        match(self);
    }
    drop_all(self);
}

/* One who only gives tensors up, whenever. */
static void give_up(int number) {
    worker *self = &the_world.workers[number];
    while (self->num_held) {
        kvp_shared_pool_drop_outside(the_world.shared, self->held[--self->num_held]);
        shuttle_step();
    }
    kvp_anchor_unshare(the_world.anchor);
}

/* The pool's owner, who goes. */
static void go(int number) {
    work(number);
    begin_call();
    kvp_anchor_abandon(the_world.anchor);
    end_call();
}

static void listen_to(kvp_bell *bell) {
    begin_call();
    kvp_shared_pool_enter(the_world.shared);
    kvp_shared_pool_listen(the_world.shared, bell);
    kvp_shared_pool_leave(the_world.shared);
    end_call();
}

/* The background thread: waits until no block is held, or for an event. */
static void attend(int number) {
    (void)number;
    bool wants_relief = below(2);
    int64_t deadline = wants_relief ? INT64_MAX : LONG_TIME;
    listen_to(&the_world.engine_bell);
    for (bool is_over = false; !is_over;) {
        begin_call();
        kvp_shared_pool_enter(the_world.shared);
        if (wants_relief)
            the_world.shared->relief = 0;
        else
            is_over = !kvp_shared_pool_await_event(the_world.shared, 1);
        kvp_shared_pool_leave(the_world.shared);
        end_call();
        if (is_over ||
            shuttle_wait(stand_in_is_readable, &the_world.engine_bell.read_fd, deadline, false) != SHUTTLE_WOKEN)
            break;
        kvp_bell_silence(&the_world.engine_bell);
        begin_call();
        kvp_shared_pool_enter(the_world.shared);
        kvp_shared_pool_collect(the_world.shared, &the_world.engine_bell);
        is_over = wants_relief && the_world.shared->relief < 0;
        kvp_shared_pool_leave(the_world.shared);
        end_call();
    }
    listen_to(NULL);
}

/* The world */

static kvp_lease *hand_out(uint32_t n) {
    uint64_t evicted[MOST_BLOCKS];
    uint32_t num_evicted;
    kvp_lease *lease = new_lease(n, true);
    kvp_shared_pool_enter(the_world.shared);
    KVP_EXPECT(kvp_pool_allocate(&the_world.shared->pool, lease, 0, evicted, MOST_BLOCKS, &num_evicted) == KVP_OK);
    kvp_shared_pool_leave(the_world.shared);
    return lease;
}

static void cast(shuttle_plan *plan, unsigned long long *state) {
    for (int i = 0; i < the_world.num_workers; i++) {
        worker *self = &the_world.workers[i];
        self->num_held = 0;
        self->num_calls = 1 + kvp_random_below(state, 6);
        plan->work[i] = the_world.ends != ENDS_ALONE ? work : i == 0 ? go : give_up;
        if (plan->work[i] == give_up)
            kvp_anchor_share(the_world.anchor);
        KVP_EXPECT(kvp_bell_init(&self->bell) == KVP_OK);
    }
    plan->num_threads = the_world.num_workers;
    KVP_EXPECT(kvp_bell_init(&the_world.engine_bell) == KVP_OK);
    if (the_world.has_engine)
        plan->work[plan->num_threads++] = attend;
}

void world_begin(shuttle_plan *plan, unsigned long long seed) {
    unsigned long long state = seed ^ 0x5EED;
    int choice = kvp_random_below(&state, 8);
    the_world.has_outer = kvp_random_below(&state, 2);
    the_world.ends = choice == 0 ? ENDS_ALONE : choice == 1 && the_world.has_outer ? ENDS_IN_FORK : ENDS_QUIETLY;
    the_world.has_forked = false;
    the_world.num_workers = 2 + kvp_random_below(&state, 3);
    the_world.has_engine = the_world.ends == ENDS_QUIETLY && kvp_random_below(&state, 3) == 0;
    kvp_pool_config config = {.num_blocks = 1 + kvp_random_below(&state, MOST_BLOCKS),
                              .event_capacity = 8,
                              .has_outer_lock = the_world.has_outer,
                              .secret = {1, 2}};
    the_world.anchor = kvp_anchor_new(&config);
    KVP_EXPECT(the_world.anchor != NULL);
    the_world.shared = &the_world.anchor->shared;
    outer_lock_init(&the_world.outer);
    cast(plan, &state);
    for (int32_t i = 0; i < config.num_blocks; i++) /* who has them did not take them */
        if (kvp_random_below(&state, 4))
            hold(&the_world.workers[kvp_random_below(&state, the_world.num_workers)], hand_out(1));
    plan->seed = seed;
}

static const char *check_pool(void) {
    static uint8_t scratch[5 * MOST_BLOCKS];
    const char *broken = kvp_pool_check(&the_world.shared->pool, scratch);
    if (broken)
        return broken;
    if (the_world.shared->first || the_world.shared->num_waiters || the_world.shared->dead)
        return "somebody still waits, or was not freed";
    if (the_world.has_forked) /* what others held in the parent is theirs */
        return NULL;
    if (the_world.shared->pool.num_leases ||
        kvp_pool_available(&the_world.shared->pool) != the_world.shared->pool.table.num_blocks)
        return "a block was lost";
    return NULL;
}

const char *world_end(void) {
    const char *wrong = NULL;
    if (the_world.ends != ENDS_ALONE) {
        if (!the_world.has_outer && atomic_load(&the_world.shared->deferred))
            return "a lease was left on the stack";
        kvp_shared_pool_enter(the_world.shared);
        kvp_shared_pool_leave(the_world.shared);
        wrong = check_pool();
        if (wrong || the_world.has_forked) {
            stand_in_forget_all();
            return wrong;
        }
        kvp_anchor_abandon(the_world.anchor);
    }
    for (int i = 0; i < the_world.num_workers; i++)
        kvp_bell_destroy(&the_world.workers[i].bell);
    kvp_bell_destroy(&the_world.engine_bell);
    if (stand_in_count_allocations(&wrong) && !wrong)
        wrong = "memory was not given back";
    return wrong;
}
