#include "ctest.h"
#include "kvp/arena.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static kvp_arena made(kvp_arena_config config) {
    kvp_arena arena;
    int error;
    KVP_EXPECT(kvp_arena_init(&arena, &config, &error) == KVP_OK && error == 0);
    KVP_EXPECT_SOUND(kvp_arena_check(&arena));
    return arena;
}

/* Whether a child that reads, or writes, at the address dies of it. */
static bool faults(volatile char *address, bool is_write) {
    pid_t child = fork();
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL); /* the sanitizers have handlers of their own */
        signal(SIGBUS, SIG_DFL);
        if (is_write)
            *address = 1;
        else
            (void)*address;
        _exit(0);
    }
    int status;
    KVP_EXPECT(waitpid(child, &status, 0) == child);
    return WIFSIGNALED(status) && (WTERMSIG(status) == SIGSEGV || WTERMSIG(status) == SIGBUS);
}

/* A file of so many zeros that nobody else knows. */
static int new_file(uint64_t bytes) {
    char path[] = "/tmp/kvp_arena_XXXXXX";
    int fd = mkstemp(path);
    KVP_EXPECT(fd >= 0 && unlink(path) == 0 && ftruncate(fd, (off_t)bytes) == 0);
    return fd;
}

KVP_TEST(private_memory_is_zero_aligned_and_writable_to_its_last_byte) {
    static const uint64_t sizes[] = {1, 63, 4095, 4096, 4097, 1000000, (2 << 20) + 1, 5 << 20};
    static const uint64_t alignments[] = {1, 256, 4096, 65536, 4 << 20};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (size_t a = 0; a < sizeof alignments / sizeof *alignments; a++)
            for (int how = 0; how < 4; how++) {
                kvp_arena arena = made((kvp_arena_config){.bytes = sizes[s],
                                                          .alignment = alignments[a],
                                                          .fd = -1,
                                                          .has_huge_pages = how & 1,
                                                          .is_populated = how & 2});
                KVP_EXPECT((uintptr_t)arena.data % alignments[a] == 0);
                KVP_EXPECT(!(how & 1) || sizes[s] < 2 << 20 || (uintptr_t)arena.mapping % (2 << 20) == 0);
                for (uint64_t at = 0; at < sizes[s]; at += at + 1 < sizes[s] ? sizes[s] - 1 : 1)
                    KVP_EXPECT(arena.data[at] == 0);
                memset(arena.data, 0xAB, sizes[s]);
                KVP_EXPECT((unsigned char)arena.data[sizes[s] - 1] == 0xAB);
                kvp_arena_destroy(&arena);
                KVP_EXPECT(arena.data == NULL);
            }
}

KVP_TEST(the_first_byte_behind_private_memory_faults) {
    static const uint64_t sizes[] = {256, 4096, 40960 + 512};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        kvp_arena arena = made((kvp_arena_config){.bytes = sizes[s], .alignment = 256, .fd = -1});
        KVP_EXPECT(!faults(arena.data + sizes[s] - 1, true) && !faults(arena.data, true));
        KVP_EXPECT(faults(arena.data + sizes[s], true) && faults(arena.data + sizes[s], false));
        kvp_arena_destroy(&arena);
    }
}

KVP_TEST(a_file_is_guarded_behind_its_last_page) {
    int fd = new_file(8192);
    kvp_arena arena = made((kvp_arena_config){.bytes = 5000, .alignment = 256, .fd = fd, .is_writable = true});
    KVP_EXPECT(!faults(arena.data + 8191, true) && faults(arena.data + 8192, false));
    kvp_arena_destroy(&arena);
    close(fd);
}

KVP_TEST(two_arenas_of_a_file_see_the_same_bytes) {
    int fd = new_file(8192);
    kvp_arena_config config = {.bytes = 8192, .alignment = 64, .fd = fd, .is_writable = true, .is_populated = true};
    kvp_arena writer = made(config);
    config.is_writable = false;
    kvp_arena reader = made(config);
    int error;
    writer.data[5000] = 77;
    KVP_EXPECT(reader.data[5000] == 77 && reader.data[4999] == 0);
    KVP_EXPECT(kvp_arena_sync(&writer, &error) == KVP_OK && error == 0);
    char byte = 0;
    KVP_EXPECT(pread(fd, &byte, 1, 5000) == 1 && byte == 77);
    KVP_EXPECT(faults(reader.data, true) && !faults(reader.data, false));
    close(fd);
    KVP_EXPECT(reader.data[5000] == 77); /* the descriptor is not needed any more */
    kvp_arena_destroy(&writer);
    kvp_arena_destroy(&reader);
}

KVP_TEST(a_lazy_arena_of_eight_gigabytes_takes_only_the_pages_that_are_touched) {
    uint64_t bytes = ((uint64_t)8 << 30) + 256;
    kvp_arena arena = made((kvp_arena_config){.bytes = bytes, .alignment = 256, .fd = -1});
    static const uint64_t places[] = {0, (uint64_t)1 << 31, (uint64_t)1 << 32, ((uint64_t)1 << 32) + 4096};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        arena.data[places[i]] = (char)(i + 1);
    arena.data[bytes - 1] = 99;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        KVP_EXPECT(arena.data[places[i]] == (char)(i + 1));
    KVP_EXPECT(arena.data[bytes - 1] == 99);
    kvp_arena_destroy(&arena);
}

KVP_TEST(what_is_too_large_or_not_a_file_is_refused) {
    kvp_arena arena;
    int error;
    kvp_arena_config config = {.bytes = (uint64_t)1 << 63, .alignment = 1, .fd = -1};
    KVP_EXPECT(kvp_arena_init(&arena, &config, &error) == KVP_TOO_LARGE && error == 0);
    config.bytes = (uint64_t)1 << 61;
    KVP_EXPECT(kvp_arena_init(&arena, &config, &error) == KVP_NO_MEMORY);
    KVP_EXPECT(error == ENOMEM || error == EINVAL); /* the second under valgrind */
    config = (kvp_arena_config){.bytes = 4096, .alignment = (uint64_t)1 << 62, .fd = -1};
    KVP_EXPECT(kvp_arena_init(&arena, &config, &error) == KVP_TOO_LARGE);
    config = (kvp_arena_config){.bytes = 4096, .alignment = 1, .fd = 10000};
    KVP_EXPECT(kvp_arena_init(&arena, &config, &error) == KVP_NO_MEMORY && error == EBADF);
    config = (kvp_arena_config){.bytes = 0, .alignment = 1, .fd = -1, .is_populated = true};
    KVP_EXPECT(kvp_arena_init(&arena, &config, &error) == KVP_NO_MEMORY && error == EINVAL);
    int fd = open("/dev/zero", O_RDONLY);
    config = (kvp_arena_config){.bytes = 4096, .alignment = 1, .fd = fd, .is_writable = true};
    KVP_EXPECT(kvp_arena_init(&arena, &config, &error) == KVP_NO_MEMORY && error == EACCES);
    close(fd);
}

KVP_TEST(the_check_names_each_broken_invariant) {
    kvp_arena arena = made((kvp_arena_config){.bytes = 5000, .alignment = 256, .fd = -1});
    KVP_EXPECT_BROKEN_BY(arena.mapping, arena.data + 1, kvp_arena_check(&arena), "the data begin before the mapping");
    KVP_EXPECT_BROKEN_BY(arena.mapping, NULL, kvp_arena_check(&arena), "the data begin before the mapping");
    KVP_EXPECT_BROKEN_BY(arena.mapping, arena.mapping + 1, kvp_arena_check(&arena),
                         "the data or the mapping are not aligned");
    KVP_EXPECT_BROKEN_BY(arena.bytes, 0, kvp_arena_check(&arena), "the bytes go beyond the room for them");
    KVP_EXPECT_BROKEN_BY(arena.data, arena.data + 1, kvp_arena_check(&arena),
                         "the data or the mapping are not aligned");
    KVP_EXPECT_BROKEN_BY(arena.bytes, arena.room + 1, kvp_arena_check(&arena), "the bytes go beyond the room for them");
    KVP_EXPECT_BROKEN_BY(arena.room, arena.room + 256, kvp_arena_check(&arena),
                         "the room does not end at the guard page");
    KVP_EXPECT_BROKEN_BY(arena.bytes, 100, kvp_arena_check(&arena), "there is a gap before the guard page");
    kvp_arena_destroy(&arena);
    kvp_arena_destroy(&arena);
}

int main(void) {
    KVP_RUN(private_memory_is_zero_aligned_and_writable_to_its_last_byte);
    KVP_RUN(the_first_byte_behind_private_memory_faults);
    KVP_RUN(a_file_is_guarded_behind_its_last_page);
    KVP_RUN(two_arenas_of_a_file_see_the_same_bytes);
    KVP_RUN(a_lazy_arena_of_eight_gigabytes_takes_only_the_pages_that_are_touched);
    KVP_RUN(what_is_too_large_or_not_a_file_is_refused);
    KVP_RUN(the_check_names_each_broken_invariant);
    return 0;
}
