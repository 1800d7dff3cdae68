/* Compiled in front of a copy of memory.c: the test decides which allocations fail. */
#ifndef KVP_REFUSAL_H
#define KVP_REFUSAL_H

int kvp_test_refuses(void);
#define KVP_MEMORY_REFUSED kvp_test_refuses

#endif
