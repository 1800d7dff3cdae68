/* What the threads of a schedule do: random calls on one small pool, as the extension makes them. Compiled like the core,
 * since the core's inline functions are a part of it. */
#ifndef KVP_PROGRAMS_H
#define KVP_PROGRAMS_H

#include "hooks.h"
#include "kvp/anchor.h"
#include "shuttle.h"

#define MOST_HELD 8

typedef enum ending {
    ENDS_QUIETLY, /* everybody gives back what he has */
    ENDS_IN_FORK, /* one forks, and goes on in the child, where nobody else is */
    ENDS_ALONE    /* the pool's owner goes while others have blocks */
} ending;

typedef struct worker {
    kvp_lease *held[MOST_HELD];
    int num_held;
    int num_calls;
    kvp_bell bell;
    bool has_share; /* of the pool: it may outlive its owner */
} worker;

/* How often something happened, in all runs: what never happens is not tested. */
typedef struct tally {
    uint64_t served_at_once, granted_late, timed_out, given_up, forks, deferred;
} tally;

typedef struct world {
    kvp_anchor *anchor;
    kvp_shared_pool *shared;
    outer_lock outer;
    bool has_outer;
    ending ends;
    bool has_forked;
    int num_workers; /* the first threads */
    bool has_engine; /* the thread behind them */
    worker workers[SHUTTLE_THREADS];
    kvp_bell engine_bell;
    tally tally;
} world;

extern world the_world;

/* Make the pool, hand out its blocks, and fill the plan's threads in. Outside a run. */
void world_begin(shuttle_plan *plan, unsigned long long seed);

/* Give everything back; NULL, or what is not as it must be. Outside a run. */
const char *world_end(void);

#endif
