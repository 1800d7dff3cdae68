#include "kvp/lru_list.h"

#include "kvp/check.h"

const char *kvp_lru_list_check(const kvp_block *rows, int32_t num_rows, int32_t end, int32_t *length) {
    int32_t count = 0;
    for (int32_t row = end;;) {
        int32_t next = rows[row].next;
        KVP_REQUIRE(next >= 0 && next < num_rows, "a list link is out of range");
        KVP_REQUIRE(rows[next].prev == row, "a list is linked one way only");
        if (next == end)
            break;
        KVP_REQUIRE(++count < num_rows, "a list does not come back to its end");
        row = next;
    }
    *length = count;
    return NULL;
}
