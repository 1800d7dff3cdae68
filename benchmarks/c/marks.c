/* Marks in a process that callgrind counts: what runs between begin and end is dumped under the name. */
#include <valgrind/callgrind.h>

void begin_count(void);
void end_count(const char *name);

void begin_count(void) {
    CALLGRIND_ZERO_STATS;
}

void end_count(const char *name) {
    CALLGRIND_DUMP_STATS_AT(name);
}
