/* fuzz_wire.c - any bytes from the network: the check and the decoder neither crash nor believe
 * what they should not, and what was decoded says the same when it is sent on.
 *
 * With -DARGOSY_FUZZ=ON libFuzzer brings the bytes and main(). Else main() replays files: each
 * argument is one, or a folder of them, as a crash or a corpus leaves behind.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/assert.h"
#include "common/proto.h"
#include "common/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Lists that stay raw were promised to be sound. */
static void walk_lists(const struct proto *message)
{
    struct proto_attempt attempt;
    struct proto_token token;
    struct ag_bytes list;
    uint32_t count = 0;

    if (message->type == AG_HELLO) {
        for (list = message->hello.holding; ag_proto_next_token(&list, &token);)
            count++;
        AG_ASSERT(count == message->hello.holding_count);
    }
    if (message->type == AG_EVENTS)
        for (uint32_t i = 0; i < message->events.count; i++) {
            count = 0;
            for (list = message->events.items[i].attempts; ag_proto_next_attempt(&list, &attempt);)
                count++;
            AG_ASSERT(count == message->events.items[i].attempts_count);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct proto message; /* large, and one at a time */
    struct ag_bytes frame = ag_bytes_of(data, size);
    struct ag_buffer first = ag_buffer_empty(2 * AG_MESSAGE_BYTES_MAX);
    struct ag_buffer second = ag_buffer_empty(2 * AG_MESSAGE_BYTES_MAX);
    struct argosy_error err = {0};

    (void)ag_wire_check(frame, AG_WIRE_DEPTH_MAX, AG_BODY_OBJECTS_MAX);
    if (ag_proto_decode(frame, &message, &err) == 0) {
        walk_lists(&message);
        ag_proto_encode(&first, &message);
        AG_ASSERT(!first.failed);
        AG_ASSERT(ag_proto_decode(ag_buffer_bytes(&first), &message, &err) == 0);
        ag_proto_encode(&second, &message);
        AG_ASSERT(ag_bytes_equal(ag_buffer_bytes(&first), ag_buffer_bytes(&second)));
    } else {
        AG_ASSERT(err.code == ARGOSY_EPROTO && ag_is_utf8(ag_bytes_of_text(err.message)));
    }
    ag_buffer_free(&first);
    ag_buffer_free(&second);
    return 0;
}

#ifndef ARGOSY_FUZZ

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

/* One more than any frame, so that what is too large stays too large. */
enum { INPUT_MAX = AG_MESSAGE_BYTES_MAX + 1 };

/* Returns how many files were replayed; -1 when one cannot be read. */
static int replay_file(const char *path)
{
    FILE *file = fopen(path, "re");
    uint8_t *data = malloc(INPUT_MAX), *exact;
    size_t size = 0;
    bool failed = file == NULL || data == NULL;

    if (!failed) {
        size = fread(data, 1, INPUT_MAX, file);
        failed = ferror(file) != 0;
    }
    if (failed)
        fprintf(stderr, "fuzz_wire: cannot read '%s': %s\n", path, strerror(errno));
    if (file != NULL)
        fclose(file);
    exact = failed ? NULL : realloc(data, size ? size : 1); /* a read beyond it shows */
    if (exact != NULL)
        LLVMFuzzerTestOneInput(exact, size);
    free(exact != NULL ? exact : data);
    return failed ? -1 : 1;
}

static int replay(const char *path)
{
    DIR *folder = opendir(path);
    struct dirent *entry;
    int count = 0;

    if (folder == NULL)
        return replay_file(path);
    while (count >= 0 && (entry = readdir(folder)) != NULL) {
        char inner[PATH_MAX];

        if (entry->d_name[0] == '.')
            continue;
        if ((size_t)snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name) >= sizeof inner) {
            fprintf(stderr, "fuzz_wire: the path of '%s' is too long\n", entry->d_name);
            count = -1;
        } else {
            count = replay_file(inner) < 0 ? -1 : count + 1;
        }
    }
    closedir(folder);
    return count;
}

int main(int argc, char **argv)
{
    int total = 0;

    if (argc < 2) {
        fprintf(stderr, "Usage: fuzz_wire FILE-OR-FOLDER...\n");
        return 2;
    }
    for (int i = 1; i < argc; i++) {
        int count = replay(argv[i]);

        if (count < 0)
            return EXIT_FAILURE;
        total += count;
    }
    printf("%d inputs replayed\n", total);
    return EXIT_SUCCESS;
}

#endif
