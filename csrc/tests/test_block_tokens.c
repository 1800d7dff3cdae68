#include "ctest.h"
#include "kvp/block_tokens.h"

KVP_TEST(tokens_are_known_from_when_they_are_set_until_they_are_not) {
    kvp_block_tokens tokens;
    const uint32_t some[] = {1, 2, 3}, others[] = {4, 5, 6};
    KVP_EXPECT(kvp_block_tokens_init(&tokens, 3, 3) == KVP_OK);
    for (int32_t id = 0; id < 3; id++)
        KVP_EXPECT(kvp_block_tokens_get(&tokens, id) == NULL);
    kvp_block_tokens_set(&tokens, 0, some);
    kvp_block_tokens_set(&tokens, 2, others);
    KVP_EXPECT(memcmp(kvp_block_tokens_get(&tokens, 0), some, sizeof some) == 0);
    KVP_EXPECT(memcmp(kvp_block_tokens_get(&tokens, 2), others, sizeof others) == 0);
    KVP_EXPECT(kvp_block_tokens_get(&tokens, 1) == NULL);
    kvp_block_tokens_set(&tokens, 0, NULL);
    KVP_EXPECT(kvp_block_tokens_get(&tokens, 0) == NULL);
    KVP_EXPECT_SOUND(kvp_block_tokens_check(&tokens));
    kvp_block_tokens_destroy(&tokens);
}

KVP_TEST(without_a_block_size_nothing_is_kept) {
    kvp_block_tokens tokens;
    KVP_EXPECT(kvp_block_tokens_init(&tokens, 3, 0) == KVP_OK);
    KVP_EXPECT(tokens.tokens == NULL && tokens.is_known == NULL && kvp_block_tokens_get(&tokens, 2) == NULL);
    KVP_EXPECT_SOUND(kvp_block_tokens_check(&tokens));
    kvp_block_tokens_destroy(&tokens);
}

KVP_TEST(the_check_names_each_broken_invariant) {
    kvp_block_tokens tokens;
    KVP_EXPECT(kvp_block_tokens_init(&tokens, 3, 2) == KVP_OK);
    KVP_EXPECT_BROKEN_BY(tokens.is_known[1], 2, kvp_block_tokens_check(&tokens),
                         "whether a block's tokens are known is neither yes nor no");
    KVP_EXPECT_BROKEN_BY(tokens.block_size, 0, kvp_block_tokens_check(&tokens),
                         "tokens are kept without room for them");
    KVP_EXPECT_BROKEN_BY(tokens.tokens, NULL, kvp_block_tokens_check(&tokens), "tokens are kept without room for them");
    kvp_block_tokens_destroy(&tokens);
}

int main(void) {
    KVP_RUN(tokens_are_known_from_when_they_are_set_until_they_are_not);
    KVP_RUN(without_a_block_size_nothing_is_kept);
    KVP_RUN(the_check_names_each_broken_invariant);
    return 0;
}
