/* What is inside the adaptive policy, broken on purpose and learned: its source alone knows it, and so is in here. */
#include "../src/policies/adaptive.c"
#undef COUNT /* that of the source; the fixture has another */
#include "pool_fixture.h"

static const char *check_policy(void) {
    return kvp_policy_check(pool.eviction.policy);
}

#define BROKEN(place, value, sentence) KVP_EXPECT_BROKEN_BY(place, value, check_policy(), sentence)

static int32_t id_of(uint64_t hash) {
    return kvp_hash_index_find(&pool.index, hash);
}

static adaptive *self;

/* Two segments of one class, of one and of three blocks, and one block that goes first. */
static void begin_adaptive(void) {
    begin_as(24, false, KVP_POLICY_ADAPTIVE);
    self = (adaptive *)pool.eviction.policy;
    release(FILL(1));
    now = 1000;
    kvp_lease *second = FILL(2, 3, 4);
    release(second);
    now = 2000;
    release(FILL(9));
    kvp_eviction_remove(&pool.eviction, id_of(9));
    kvp_eviction_add_next(&pool.eviction, id_of(9));
    KVP_EXPECT_SOUND(check_policy());
    KVP_EXPECT(self->segment_of[id_of(9)] == IN_FRONT && self->segment_of[id_of(1)] != self->segment_of[id_of(2)]);
}

KVP_TEST(a_wrong_segment_is_named) {
    begin_adaptive();
    int32_t at = self->segment_of[id_of(3)], other = self->segment_of[id_of(1)];
    segment *of = &self->segments[at];
    int32_t first = of->first;
    KVP_EXPECT(of->count == 3);
    BROKEN(of->first, -5, "a segment names what is not a block");
    BROKEN(of->first, 24, "a segment names what is not a block");
    BROKEN(pool.table.rows[first].lineage, KVP_UNREGISTERED, "a block of a segment is not cached");
    BROKEN(pool.table.rows[first].refs, 1, "a block of a segment is not cached");
    BROKEN(self->segment_of[first], other, "a block is in another segment than it says");
    BROKEN(pool.table.rows[first].prev, 7, "a segment is linked one way only");
    BROKEN(of->count, 2, "a segment is longer than it says");
    BROKEN(of->count, 4, "a segment is shorter than it says");
    BROKEN(of->last, first, "a segment is shorter than it says");
    segment was = *of;
    of->first = KVP_NO_BLOCK;
    of->count = 0;
    KVP_EXPECT_BROKEN(check_policy(), "a segment is shorter than it says");
    *of = was;
    end();
}

KVP_TEST(a_wrong_class_of_segments_is_named) {
    begin_adaptive();
    int32_t one = self->segment_of[id_of(1)], two = self->segment_of[id_of(2)];
    uint32_t class = self->segments[one].class;
    class_list *list = &self->classes[class];
    KVP_EXPECT(self->segments[two].class == class && list->oldest == one && list->newest == two);
    BROKEN(list->oldest, -7, "a class's list of segments does not end");
    BROKEN(list->oldest, self->num_segments, "a class's list of segments does not end");
    BROKEN(self->segments[two].class, class + 1, "a segment is in the list of another class");
    BROKEN(self->segments[two].older, two, "a segment is in the list of another class");
    BROKEN(self->segments[two].time, -1, "the segments of a class are not in the order of time");
    BROKEN(list->newest, one, "a class's newest segment is not its last");
    BROKEN(self->occupied[class / 64], 0, "an empty class has a segment");
    BROKEN(self->num_segments, self->num_segments + 1, "a segment is lost");
    BROKEN(self->base.count, 4, "a policy miscounts its blocks");
    int32_t was = self->free_segment, num_segments = self->num_segments;
    KVP_EXPECT(was != NO_SEGMENT && self->segments[was].count == 0);
    self->free_segment = one;
    KVP_EXPECT_BROKEN(check_policy(), "a free segment is in use");
    self->free_segment = was;
    self->segments[was].newer = was; /* it is free for ever */
    KVP_EXPECT_BROKEN(check_policy(), "a free segment is in use");
    self->segments[was].newer = NO_SEGMENT;
    KVP_EXPECT(self->num_segments == num_segments);
    self->num_segments = 2; /* and so those of the class are all */
    self->free_segment = NO_SEGMENT;
    self->segments[two].newer = one;
    KVP_EXPECT_BROKEN(check_policy(), "a class's list of segments does not end");
    self->segments[two].newer = NO_SEGMENT;
    self->num_segments = num_segments;
    self->free_segment = was;
    end();
}

KVP_TEST(a_block_in_front_that_does_not_know_is_named) {
    begin_adaptive();
    int32_t id = id_of(9);
    BROKEN(self->segment_of[id], NO_SEGMENT, "a block that goes first is not known to");
    BROKEN(pool.table.rows[id].refs, 1, "a block that goes first is not known to");
    int32_t before = pool.table.rows[id].prev;
    pool.table.rows[id].prev = id;
    const char *broken = check_policy();
    KVP_EXPECT(broken && strcmp(broken, "a segment is lost") != 0);
    pool.table.rows[id].prev = before;
    BROKEN(self->ghosts.count, 5, "a ring of hashes is miscounted");
    BROKEN(self->hazard.classes[0].hits[1], -1.0f, "a class was seen less than never");
    end();
}

/* A block that nobody asks for grows old while others come and go: the ring of observations has to go back as far. */
KVP_TEST(the_older_the_oldest_block_the_fewer_releases_are_watched) {
    begin_as(24, false, KVP_POLICY_ADAPTIVE);
    self = (adaptive *)pool.eviction.policy;
    release(FILL(1));
    release(FILL(2, 3, 4));
    KVP_EXPECT(self->one_in == 1);
    for (uint32_t i = 0; i < 40 * REFRESH_AFTER; i++) {
        now += 1000000;
        release(i % 2 ? MATCH(2, 3, 4) : MATCH(2));
        if (i % 64 == 0)
            expect_sound();
    }
    KVP_EXPECT(self->one_in > 1 && self->one_in <= 64 && (self->one_in & (self->one_in - 1)) == 0);
    KVP_EXPECT(oldest_age(self) == now);
    uint32_t before = self->one_in;
    for (uint32_t i = 0; i < 40 * REFRESH_AFTER; i++) {
        now += 1000000;
        release(MATCH(2, 3, 4));
    }
    KVP_EXPECT(self->one_in >= before);
    release(MATCH(1)); /* which is new again */
    for (uint32_t i = 0; i < 2 * REFRESH_AFTER; i++) {
        now += 1000000;
        release(MATCH(2, 3, 4));
    }
    KVP_EXPECT(self->one_in == 1);
    end();
}

int main(void) {
    KVP_RUN(a_wrong_segment_is_named);
    KVP_RUN(a_wrong_class_of_segments_is_named);
    KVP_RUN(a_block_in_front_that_does_not_know_is_named);
    KVP_RUN(the_older_the_oldest_block_the_fewer_releases_are_watched);
    return 0;
}
