/* Two lists through the rows of one table, beside arrays from oldest to newest. */
#include "kvp/lru_list.h"
#include "script.h"

#define BLOCKS 12
#define LISTS  2

static int32_t order[LISTS][BLOCKS], lengths[LISTS];

static void take_out(int list, int32_t at) {
    memmove(&order[list][at], &order[list][at + 1], (size_t)(lengths[list] - at - 1) * sizeof(int32_t));
    lengths[list]--;
}

static void put_in(int list, int32_t at, int32_t id) {
    memmove(&order[list][at + 1], &order[list][at], (size_t)(lengths[list] - at) * sizeof(int32_t));
    order[list][at] = id;
    lengths[list]++;
}

static void compare(const kvp_block *rows) {
    for (int32_t list = 0, length; list < LISTS; list++) {
        KVP_EXPECT_SOUND(kvp_lru_list_check(rows, BLOCKS + LISTS, BLOCKS + list, &length));
        KVP_EXPECT(length == lengths[list] && kvp_lru_list_is_empty(rows, BLOCKS + list) == (length == 0));
        for (int32_t i = 0, id = rows[BLOCKS + list].next; i < length; i++, id = rows[id].next)
            KVP_EXPECT(id == order[list][i]);
    }
}

static void run(void) {
    kvp_block_table table;
    KVP_EXPECT(kvp_block_table_init(&table, BLOCKS, LISTS) == KVP_OK);
    for (int32_t list = 0; list < LISTS; list++) {
        kvp_lru_list_init(table.rows, BLOCKS + list);
        lengths[list] = 0;
    }
    int where[BLOCKS];
    for (int32_t id = 0; id < BLOCKS; id++)
        where[id] = -1;
    while (has_more()) {
        uint32_t what = take_byte();
        int32_t id = (int32_t)take_below(BLOCKS), list = (int32_t)(what >> 1) % LISTS, first = 0, last = 0;
        if (where[id] < 0 && what % 2) {
            kvp_lru_list_push_newest(table.rows, BLOCKS + list, id);
            put_in(list, lengths[list], id);
        } else if (where[id] < 0) {
            kvp_lru_list_push_oldest(table.rows, BLOCKS + list, id);
            put_in(list, 0, id);
        } else { /* it goes, and perhaps the next newer ones with it */
            list = where[id];
            while (order[list][first] != id)
                first++;
            for (last = first; last + 1 < lengths[list] && take_below(2); last++)
                continue;
            kvp_lru_list_close(table.rows, table.rows[id].prev, table.rows[order[list][last]].next);
            for (; last >= first; last--) {
                where[order[list][last]] = -1;
                take_out(list, last);
            }
            list = -1;
        }
        where[id] = list;
        compare(table.rows);
    }
    kvp_block_table_destroy(&table);
}
