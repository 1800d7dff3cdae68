/* Mappings of any size and alignment: refused, or as large and as aligned as asked for. Only small ones are written. */
#include "kvp/arena.h"
#include "script.h"

static void run(void) {
    for (int count = 0; has_more() && count < 8; count++) {
        kvp_arena_config config = {.bytes = take_size(), .alignment = UINT64_C(1) << take_below(64), .fd = -1};
        kvp_arena arena;
        int error;
        config.bytes += config.bytes == 0;
        config.has_huge_pages = take_below(2);
        config.is_populated = config.bytes < (1 << 20) && config.alignment < (1 << 20) && take_below(2);
        kvp_status status = kvp_arena_init(&arena, &config, &error);
        KVP_EXPECT(status == KVP_OK || status == KVP_TOO_LARGE || (status == KVP_NO_MEMORY && error != 0));
        if (status != KVP_OK)
            continue;
        KVP_EXPECT_SOUND(kvp_arena_check(&arena));
        KVP_EXPECT(arena.bytes == config.bytes && (uintptr_t)arena.data % config.alignment == 0);
        KVP_EXPECT(arena.data[0] == 0 && arena.data[config.bytes - 1] == 0);
        if (config.bytes < (1 << 20))
            memset(arena.data, 0xFF, config.bytes);
        kvp_arena_destroy(&arena);
    }
}
