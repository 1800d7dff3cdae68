/* Hints of parents, beside an array that is searched. */
#include "kvp/hint_table.h"
#include "script.h"

#define MOST 256

static void run(void) {
    static const int32_t sizes[] = {1, 255, 256, 257, 1000, 1 << 20};
    kvp_hint_table table;
    KVP_EXPECT(kvp_hint_table_init(&table, sizes[take_below(6)]) == KVP_OK);
    kvp_hint told[MOST];
    uint32_t count = 0;
    while (has_more()) {
        uint32_t what = take_byte();
        uint64_t hash = what % 8 == 1 ? take_number(8) : take_byte() * (what % 4 ? 1u : 64u), parent;
        if (what == 0 || count == MOST) {
            kvp_hint_table_clear(&table);
            count = 0;
        } else if (what % 2) {
            parent = take_byte() % 4 ? take_number(2) : hash;
            kvp_hint_table_set(&table, hash, parent);
            told[count++] = (kvp_hint){hash, parent};
        } else { /* the last hint for the entry counts */
            uint32_t at = count;
            while (at > 0 && (told[at - 1].hash & table.mask) != (hash & table.mask))
                at--;
            bool is_known = at > 0 && told[at - 1].hash == hash && told[at - 1].parent != hash;
            KVP_EXPECT(kvp_hint_table_get(&table, hash, &parent) == is_known);
            KVP_EXPECT(!is_known || parent == told[at - 1].parent);
        }
        KVP_EXPECT_SOUND(kvp_hint_table_check(&table));
    }
    kvp_hint_table_destroy(&table);
}
