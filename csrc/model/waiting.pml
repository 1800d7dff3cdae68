/* Waiting for blocks under an outer lock: what kvp_shared_pool_drop_outside, _enqueue, serve and pool_waiting.pyx do
 * (DESIGN.md, sections 2 and 3). csrc/model/check runs it.
 *
 *   WAITERS want blocks, each another number of them. They join the queue under the outer lock and sleep without it; woken,
 *     they make a call, and see whether they were served. One may give up while it sleeps.
 *   DROPPERS give one block back each, from a thread without the outer lock: push, look whether anybody waits, and if so
 *     wake the first in the queue.
 *
 * Every call first drains the stack, and serves the queue, from its head, before it gives the lock back. There are as many
 * blocks as the last in the queue wants. To hold: nobody sleeps for ever (a deadlock is an error), first come is first
 * served, and in the end every block is back.
 *
 * Faults, to see that it can fail:
 *   -DLOOKS_FIRST the dropper looks whether anybody waits before it pushes
 *   -DNO_LOOK     who joins the queue does not look at the stack afterwards
 *   -DSLEEPS_ON   who is woken sleeps again without a call, unless it was served */
#ifndef WAITERS
#define WAITERS 2 /* -DWAITERS=3: a minute more */
#endif
#define DROPPERS 2

bool is_taken;          /* the outer lock */
byte stack;             /* blocks pushed and not yet given back */
byte available;
byte queue[WAITERS];    /* numbers of those who wait, first to last */
byte num_waiters;       /* atomic: read without the lock */
byte posts[WAITERS];    /* semaphores */
bool is_granted[WAITERS];
byte wanted[WAITERS];
byte sleeper;           /* whom a drop from outside wakes, + 1; guarded by a lock of its own, held for one post */
byte joined[WAITERS];   /* when */
byte last_granted;      /* when that one had joined */
byte clock;

inline take_lock() {
    atomic { !is_taken -> is_taken = true }
}

/* The lock is held. */
inline point_outside() {
    if
    :: num_waiters > 0 -> sleeper = queue[0] + 1
    :: else -> sleeper = 0
    fi
}

inline remove(at) {
    d_step {
        j = at;
        do
        :: j + 1 < num_waiters -> queue[j] = queue[j + 1]; j++
        :: else -> break
        od;
        num_waiters--;
        j = 0;
        point_outside()
    }
}

inline drain() {
    d_step {
        available = available + stack;
        stack = 0
    }
}

/* First come, first served: who does not get its blocks keeps those behind it waiting. */
inline serve() {
    do
    :: num_waiters > 0 && available >= wanted[queue[0]] ->
        d_step {
            available = available - wanted[queue[0]];
            is_granted[queue[0]] = true;
            assert(joined[queue[0]] > last_granted);
            last_granted = joined[queue[0]];
            posts[queue[0]]++;
        };
        remove(0)
    :: else -> break
    od
}

inline leave() {
    do
    :: true ->
        drain();
        serve();
        is_taken = false;
        if
        :: stack == 0 -> break
        :: else -> skip
        fi;
        if
        :: atomic { !is_taken -> is_taken = true }
        :: is_taken -> break
        fi
    od
}

inline give_up() {
    j = 0;
    do
    :: j < num_waiters && queue[j] != self -> j++
    :: else -> break
    od;
    if
    :: j < num_waiters -> remove(j)
    :: else -> skip
    fi;
    if
    :: is_granted[self] -> available = available + wanted[self]
    :: else -> skip
    fi
}

proctype waiter(byte self; bool may_give_up) {
    byte j;
    take_lock();
    drain();
    d_step {
        clock++;
        joined[self] = clock;
        queue[num_waiters] = self;
    }
    num_waiters++; /* counts itself, and then looks at the stack */
    point_outside();
#ifdef NO_LOOK
    serve();
    is_taken = false;
#else
    leave();
#endif
    do
    :: atomic { posts[self] > 0 -> posts[self]-- };
#ifdef SLEEPS_ON
        if
        :: is_granted[self] -> skip
        :: else -> goto again
        fi;
#endif
        take_lock();
        drain();
        leave();
        take_lock();
        if
        :: is_granted[self] ->
            available = available + wanted[self]; /* has used them */
            break
        :: else -> leave()
        fi;
#ifdef SLEEPS_ON
        again: skip
#endif
    :: may_give_up -> /* its time is over */
        take_lock();
        drain();
        give_up();
        break
    od;
    leave()
}

proctype dropper() {
    byte seen;
#ifdef LOOKS_FIRST
    seen = num_waiters;
    stack++;
#else
    stack++;
    seen = num_waiters;
#endif
    if
    :: seen > 0 ->
        atomic {
            if
            :: sleeper > 0 -> posts[sleeper - 1]++
            :: else -> skip
            fi
        }
    :: else -> skip
    fi
}

init {
    byte j;
    atomic {
        wanted[0] = 1;
        wanted[1] = DROPPERS;
#if WAITERS > 2
        wanted[2] = 1;
#endif
        run waiter(0, WAITERS == 2);
        run waiter(1, false);
#if WAITERS > 2
        run waiter(2, true);
#endif
        run dropper();
        run dropper()
    }
    (_nr_pr == 1) ->
    take_lock();
    leave();
    assert(num_waiters == 0);
    assert(available == DROPPERS)
}
