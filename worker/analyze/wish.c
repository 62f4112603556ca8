#include "worker/analyze/wish.h"

#include <stdlib.h>
#include <string.h>

#include <argosy/error.h>

#include "common/limits.h"
#include "common/proto.h"
#include "worker/analyze/take.h"

/* Who writes src/ means the directory, whose path ends without a slash. */
static struct ag_bytes without_slashes(struct ag_bytes glob)
{
    while (glob.size > 1 && glob.data[glob.size - 1] == '/')
        glob.size--;
    return glob;
}

static bool read_exclude(struct wish *wish, struct ag_reader *reader)
{
    uint32_t count = ag_read_array(reader);

    if (reader->failed || count > WISH_EXCLUDES_MAX)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        struct ag_bytes glob = without_slashes(ag_read_text(reader, SOURCE_PATH_MAX));

        if (reader->failed || glob.size == 0)
            return false;
        free(wish->exclude[i]);
        wish->exclude[i] = strndup((const char *)glob.data, glob.size);
        if (wish->exclude[i] == NULL)
            return false;
        wish->exclude_count = wish->exclude_count > i ? wish->exclude_count : i + 1;
    }
    return true;
}

static bool read_by(struct wish *wish, struct ag_reader *reader)
{
    struct ag_bytes by = ag_read_text(reader, 16);

    if (ag_bytes_are(by, "language"))
        wish->by = BY_LANGUAGE;
    else if (ag_bytes_are(by, "file"))
        wish->by = BY_FILE;
    else if (ag_bytes_are(by, "dir"))
        wish->by = BY_DIR;
    else
        return false;
    return !reader->failed;
}

static bool read_path(struct wish *wish, struct ag_reader *reader)
{
    struct ag_bytes path = ag_read_text(reader, SOURCE_PATH_MAX - 1);

    if (reader->failed || path.size == 0 || path.data[0] != '/' ||
        memchr(path.data, '\0', path.size) != NULL)
        return false;
    memcpy(wish->path, path.data, path.size);
    wish->path[path.size] = '\0';
    return true;
}

static bool read_source(struct wish *wish, struct ag_reader *reader)
{
    return take_text(reader, &wish->source) == 0 && wish->source[0] != '\0';
}

static bool read_rev(struct wish *wish, struct ag_reader *reader)
{
    struct ag_bytes rev = ag_read_text(reader, sizeof wish->rev - 1);

    if (reader->failed || rev.size == 0 || memchr(rev.data, '\0', rev.size) != NULL)
        return false;
    memcpy(wish->rev, rev.data, rev.size);
    wish->rev[rev.size] = '\0';
    return true;
}

static bool read_history(struct wish *wish, struct ag_reader *reader)
{
    wish->history = ag_read_bool(reader);
    return !reader->failed;
}

static bool read_gitignore(struct wish *wish, struct ag_reader *reader)
{
    wish->gitignore = ag_read_bool(reader);
    return !reader->failed;
}

/* [index, of] */
static bool read_shard(struct wish *wish, struct ag_reader *reader)
{
    if (ag_read_array(reader) != 2)
        return false;
    wish->shard.index = (unsigned)ag_read_whole(reader, SHARDS_MAX - 1);
    wish->shard.of = (unsigned)ag_read_whole(reader, SHARDS_MAX);
    return !reader->failed && wish->shard.index < wish->shard.of;
}

static bool read_merge(struct wish *wish, struct ag_reader *reader)
{
    wish->merge = ag_read_bool(reader);
    return !reader->failed;
}

static const struct {
    const char *key;
    bool (*read)(struct wish *wish, struct ag_reader *reader);
    const char *wrong;
} keys[] = {
    {"path", read_path, "'path' must be an absolute path"},
    {"source", read_source, "'source' must be a text"},
    {"by", read_by, "'by' must be language, file or dir"},
    {"exclude", read_exclude, "'exclude' must be a list of at most 256 patterns"},
    {"rev", read_rev, "'rev' must be a branch, a tag or a commit"},
    {"history", read_history, "'history' must be true or false"},
    {"gitignore", read_gitignore, "'gitignore' must be true or false"},
    {"shard", read_shard, "'shard' must be [index, of], from [0, 1] to [63, 64]"},
    {"merge", read_merge, "'merge', of shards, must be true or false"},
};

static const char *read_payload(struct wish *wish, struct ag_bytes payload)
{
    struct ag_reader reader = ag_reader_of(payload);
    uint32_t pairs;

    if (ag_wire_check(payload, AG_WIRE_DEPTH_MAX, AG_BODY_OBJECTS_MAX) < 0)
        return "the payload is not msgpack";
    pairs = ag_read_map(&reader);
    for (uint32_t i = 0; i < pairs && !reader.failed; i++) {
        struct ag_bytes key = ag_read_text(&reader, AG_NAME_BYTES_MAX);
        size_t row = 0;

        while (row < sizeof keys / sizeof *keys && !ag_bytes_are(key, keys[row].key))
            row++;
        if (row == sizeof keys / sizeof *keys)
            ag_read_skip(&reader);
        else if (!keys[row].read(wish, &reader))
            return keys[row].wrong;
    }
    return reader.failed ? "the payload must be a map with text keys" : NULL;
}

static int take_file(void *arg, struct ag_bytes key, struct ag_reader *reader)
{
    if (ag_bytes_are(key, "file"))
        read_path(arg, reader);
    else
        ag_read_skip(reader);
    return 0;
}

/* The file that a fetch before it has written. */
static void take_input(struct wish *wish, struct ag_bytes inputs)
{
    struct proto_input input;
    struct ag_reader reader;

    if (!ag_proto_next_input(&inputs, &input) ||
        ag_wire_check(input.result, AG_WIRE_DEPTH_MAX, AG_BODY_OBJECTS_MAX) < 0)
        return;
    reader = ag_reader_of(input.result);
    take_map(&reader, take_file, wish);
}

const char *wish_read(struct wish *self, struct ag_bytes payload, struct ag_bytes inputs)
{
    const char *wrong = read_payload(self, payload);

    if (wrong == NULL && self->path[0] == '\0' && !self->merge)
        take_input(self, inputs);
    if (wrong == NULL && self->merge && self->shard.of > 0)
        return "'merge' and 'shard' are two different jobs";
    if (wrong == NULL && self->path[0] == '\0' && !self->merge)
        return "'path' is missing";
    return wrong;
}

void wish_fini(struct wish *self)
{
    for (size_t i = 0; i < self->exclude_count; i++)
        free(self->exclude[i]);
    free(self->source);
}
