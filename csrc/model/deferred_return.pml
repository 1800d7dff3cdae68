/* Giving blocks back without waiting: what kvp_shared_pool_drop, _enter and _leave of shared_pool.c do with the lock and
 * the stack of dropped leases (DESIGN.md, section 2). csrc/model/check runs it.
 *
 *   DROPPERS drop one lease each, as finalizers do: try the lock; when it is taken, push, and try once more.
 *   CALLERS call twice: take the lock, drain the stack, leave.
 *
 * To hold when all have ended: the lock is free, the stack empty, and every lease was given back once.
 *
 * Faults, to see that it can fail:
 *   -DONE_TRY  who has pushed does not try the lock again
 *   -DONE_LOOK who unlocks does not look at the stack again */
#define DROPPERS 3
#define CALLERS  2

bool is_taken;          /* the lock */
byte stack;             /* the leases on it, one bit each */
byte given_back;        /* the same */

/* One step, since nobody else sees what is done under the lock. */
inline give_back(leases) {
    d_step {
        assert(is_taken);
        assert((given_back & leases) == 0);
        given_back = given_back | leases
    }
}

/* atomic_exchange, then a release for each. */
inline drain() {
    d_step {
        assert(is_taken);
        assert((given_back & stack) == 0);
        given_back = given_back | stack;
        stack = 0
    }
}

/* The lock is held: kvp_shared_pool_leave_slowly. */
inline leave() {
    do
    :: true ->
        drain();
        is_taken = false;
#ifdef ONE_LOOK
        break
#else
        if
        :: stack == 0 -> break
        :: else -> skip
        fi;
        if
        :: atomic { !is_taken -> is_taken = true }
        :: is_taken -> break /* whoever has it looks when it unlocks */
        fi
#endif
    od
}

proctype dropper(byte lease) {
    if
    :: atomic { !is_taken -> is_taken = true };
        give_back(lease);
        leave()
    :: is_taken ->
        atomic { stack = stack | lease };
#ifndef ONE_TRY
        if
        :: atomic { !is_taken -> is_taken = true };
            leave()
        :: is_taken -> skip
        fi
#endif
    fi
}

proctype caller() {
    byte calls = 2;
    do
    :: calls > 0 ->
        atomic { !is_taken -> is_taken = true };
        leave();
        calls--
    :: calls == 0 -> break
    od
}

init {
    byte i = 0;
    atomic {
        do
        :: i < DROPPERS -> run dropper(1 << i); i++
        :: i < DROPPERS + CALLERS && i >= DROPPERS -> run caller(); i++
        :: i == DROPPERS + CALLERS -> break
        od
    }
    (_nr_pr == 1) -> /* all have ended */
    assert(!is_taken);
    assert(stack == 0);
    assert(given_back == (1 << DROPPERS) - 1)
}
