#include "worker/analyze/recall.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "worker/analyze/engine.h"
#include "worker/analyze/recall_record.h"

enum { ID_BYTES = 20 };
_Static_assert((int)ID_BYTES == (int)SOURCE_STAMP_BYTES, "what changes with a file's content");

/* In a directory's value, before each record. */
struct record_head {
    uint8_t id[ID_BYTES];
    uint32_t name_size, record_size;
};

/* A directory that is being walked. */
struct frame {
    struct ag_buffer known; /* what was found under its id */
    size_t at;              /* the record to come, in `known` */
    struct ag_buffer found; /* what will be kept under its id; its sub-directories have their own */
    bool has_news;          /* `found` is more than was known */
};

struct recall {
    cache_t *cache;
    struct shard shard;
    const languages_t *languages;
    EVP_MD *sha256;
    EVP_MD_CTX *digest;
    uint8_t begin[EVP_MAX_MD_SIZE]; /* of each key: the engine and its languages */
    struct ag_buffer value;
    struct frame frames[RECALL_DEPTH_MAX];
    size_t depth; /* of directories; frames above RECALL_DEPTH_MAX do not exist */
};

/* ---- keys
 * ---------------------------------------------------------------------------------------------- */

static bool digest_text(recall_t *self, const char *text)
{
    return EVP_DigestUpdate(self->digest, text != NULL ? text : "\1",
                            strlen(text != NULL ? text : "\1") + 1) == 1;
}

static bool digest_number(recall_t *self, unsigned number)
{
    return EVP_DigestUpdate(self->digest, &number, sizeof number) == 1;
}

/* A row that is not the engine's own. */
static bool digest_language(recall_t *self, const struct language *row)
{
    bool good = digest_text(self, row->name) && digest_text(self, row->extensions) &&
                digest_text(self, row->files) && digest_text(self, row->interpreters) &&
                digest_text(self, row->aliases) && digest_number(self, row->rules);

    for (size_t i = 0; i < LANGUAGE_LINES_MAX && good; i++)
        good = digest_text(self, row->lines[i].open) && digest_number(self, row->lines[i].rules) &&
               digest_text(self, row->lines[i].not_before) &&
               digest_text(self, row->lines[i].until);
    for (size_t i = 0; i < LANGUAGE_BLOCKS_MAX && good; i++)
        good = digest_text(self, row->blocks[i].open) && digest_text(self, row->blocks[i].close) &&
               digest_number(self, row->blocks[i].rules) &&
               digest_text(self, row->blocks[i].not_before);
    for (size_t i = 0; i < LANGUAGE_STRINGS_MAX && good; i++)
        good =
            digest_text(self, row->strings[i].open) && digest_text(self, row->strings[i].close) &&
            digest_number(self, (unsigned char)row->strings[i].escape) &&
            digest_number(self, row->strings[i].rules) && digest_text(self, row->strings[i].prefix);
    for (size_t i = 0; i < LANGUAGE_EMBEDS_MAX && good; i++)
        good = digest_text(self, row->embeds[i].open) &&
               digest_text(self, row->embeds[i].language) &&
               digest_number(self, row->embeds[i].rules);
    return good;
}

static bool make_begin(recall_t *self)
{
    bool good =
        EVP_DigestInit_ex(self->digest, self->sha256, NULL) == 1 && digest_text(self, ENGINE_HASH);

    for (size_t i = language_table_count; i < languages_count(self->languages) && good; i++)
        good = digest_language(self, languages_at(self->languages, i));
    return good && EVP_DigestFinal_ex(self->digest, self->begin, NULL) == 1;
}

/* The key of something: what sort of value, the id, what else matters. False: no key can be made,
 * so nothing is known. */
static bool make_key(recall_t *self, char sort, struct ag_bytes id, const char *name,
                     uint8_t key[CACHE_KEY_BYTES])
{
    uint8_t full[EVP_MAX_MD_SIZE];

    if (EVP_DigestInit_ex(self->digest, self->sha256, NULL) != 1 ||
        EVP_DigestUpdate(self->digest, self->begin, sizeof self->begin) != 1 ||
        EVP_DigestUpdate(self->digest, &sort, 1) != 1 ||
        EVP_DigestUpdate(self->digest, id.data, id.size) != 1 ||
        EVP_DigestUpdate(self->digest, name, strlen(name)) != 1 ||
        EVP_DigestFinal_ex(self->digest, full, NULL) != 1)
        return false;
    memcpy(key, full, CACHE_KEY_BYTES);
    return true;
}

static bool make_file_key(recall_t *self, const struct source_file *file,
                          uint8_t key[CACHE_KEY_BYTES])
{
    return file->id != NULL &&
           make_key(self, 'f', ag_bytes_of(file->id, ID_BYTES), file->name, key);
}

static bool make_folder_key(recall_t *self, const struct source_folder *folder,
                            uint8_t key[CACHE_KEY_BYTES])
{
    char text[32 + SOURCE_PATH_MAX];

    snprintf(text, sizeof text, "%u/%u %s", self->shard.index, self->shard.of,
             folder->id != NULL ? "" : folder->path);
    if (folder->id != NULL)
        return make_key(self, 'd', ag_bytes_of(folder->id, ID_BYTES), text, key);
    /* With its zero, so that no two pairs of root and path read the same. */
    return make_key(self, 'p', ag_bytes_of(folder->root, strlen(folder->root) + 1), text, key);
}

/* ---- one of them
 * --------------------------------------------------------------------------------------- */

static recall_t *recall_new(cache_t *cache, const struct shard *shard, const languages_t *languages)
{
    recall_t *self = calloc(1, sizeof *self);

    if (self == NULL) {
        cache_close(&cache);
        return NULL;
    }
    self->cache = cache;
    self->languages = languages;
    self->shard = shard->of > 1 ? *shard : (struct shard){0};
    self->value = ag_buffer_empty(CACHE_VALUE_BYTES_MAX);
    self->digest = EVP_MD_CTX_new();
    self->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (self->digest == NULL || self->sha256 == NULL || !make_begin(self))
        recall_close(&self);
    return self;
}

recall_t *recall_open(const char *folder, const struct shard *shard, const languages_t *languages)
{
    struct argosy_error err = {0};
    cache_t *cache;

    if (folder == NULL)
        return NULL;
    if (cache_open(&cache, folder, &err) == 0)
        return recall_new(cache, shard, languages);
    ag_log_warning("analyze", "cache cannot be used", ag_kv("reason", err.message));
    return NULL;
}

void recall_close(recall_t **self_p)
{
    recall_t *self = *self_p;

    *self_p = NULL;
    if (self == NULL)
        return;
    for (size_t i = 0; i < RECALL_DEPTH_MAX; i++) {
        ag_buffer_free(&self->frames[i].known);
        ag_buffer_free(&self->frames[i].found);
    }
    cache_flush(self->cache);
    if (cache_trouble(self->cache) != NULL)
        ag_log_warning("analyze", "cache is broken", ag_kv("reason", cache_trouble(self->cache)));
    cache_close(&self->cache);
    EVP_MD_CTX_free(self->digest);
    EVP_MD_free(self->sha256);
    ag_buffer_free(&self->value);
    free(self);
}

/* ---- directories
 * --------------------------------------------------------------------------------------- */

/* NULL: too deep. */
static struct frame *frame_of(recall_t *self)
{
    return self->depth > 0 && self->depth <= RECALL_DEPTH_MAX ? &self->frames[self->depth - 1]
                                                              : NULL;
}

void recall_enter(recall_t *self, const struct source_folder *folder)
{
    uint8_t key[CACHE_KEY_BYTES];
    struct frame *frame;

    self->depth++;
    frame = frame_of(self);
    if (frame == NULL)
        return;
    frame->known.size_max = frame->found.size_max = CACHE_VALUE_BYTES_MAX;
    ag_buffer_clear(&frame->known);
    ag_buffer_clear(&frame->found);
    frame->at = 0;
    /* Nothing is looked at in other people's code. */
    frame->has_news = !folder->is_vendored && !(make_folder_key(self, folder, key) &&
                                                cache_get(self->cache, key, &frame->known));
}

void recall_leave(recall_t *self, const struct source_folder *folder)
{
    struct frame *frame = frame_of(self);
    uint8_t key[CACHE_KEY_BYTES];

    self->depth--;
    if (frame != NULL && frame->has_news && !frame->found.failed &&
        make_folder_key(self, folder, key))
        cache_put(self->cache, key, ag_buffer_bytes(&frame->found));
}

static const uint8_t *version_of(const struct source_file *file)
{
    return file->id != NULL ? file->id : file->stamp;
}

static bool is_of(const struct record_head *head, const uint8_t *name,
                  const struct source_file *file)
{
    return memcmp(head->id, version_of(file), ID_BYTES) == 0 &&
           head->name_size == strlen(file->name) && memcmp(name, file->name, head->name_size) == 0;
}

/* The record of a file in its directory's value. Files come in the order in which they stand there,
 * but some may be left out, now or then; what is not found is looked for by itself. So a value that
 * lacks some, for they could not be read or were not wanted, does no harm. */
static struct ag_bytes find_in_frame(struct frame *frame, const struct source_file *file)
{
    size_t at = frame->at;
    struct record_head head;

    while (frame->known.size - at >= sizeof head) {
        const uint8_t *name = frame->known.data + at + sizeof head;
        size_t left = frame->known.size - at - sizeof head;

        memcpy(&head, frame->known.data + at, sizeof head);
        if (head.name_size > left || head.record_size > left - head.name_size)
            break;
        at += sizeof head + head.name_size + head.record_size;
        if (is_of(&head, name, file)) {
            frame->at = at;
            return ag_bytes_of(name + head.name_size, head.record_size);
        }
    }
    return ag_bytes_of(NULL, 0);
}

static void add_to_frame(struct frame *frame, const struct source_file *file,
                         struct ag_bytes record)
{
    struct record_head head = {.name_size = (uint32_t)strlen(file->name),
                               .record_size = (uint32_t)record.size};

    memcpy(head.id, version_of(file), ID_BYTES);
    ag_buffer_append(&frame->found, &head, sizeof head);
    ag_buffer_append(&frame->found, file->name, head.name_size);
    ag_buffer_append(&frame->found, record.data, record.size);
}

/* ---- files
 * --------------------------------------------------------------------------------------------- */

bool recall_find(recall_t *self, const struct source_file *file, struct inspected *out)
{
    struct frame *frame = frame_of(self);
    struct ag_bytes record = {0};
    uint8_t key[CACHE_KEY_BYTES];

    if (frame != NULL)
        record = find_in_frame(frame, file);
    if (record.data == NULL) {
        if (!make_file_key(self, file, key) || !cache_get(self->cache, key, &self->value))
            return false;
        record = ag_buffer_bytes(&self->value);
        if (frame != NULL)
            frame->has_news = true;
    }
    if (!recall_record_read(record, self->languages, out))
        return false;
    if (frame != NULL)
        add_to_frame(frame, file, record);
    return true;
}

void recall_keep(recall_t *self, const struct source_file *file, const struct inspected *inspected)
{
    struct frame *frame = frame_of(self);
    uint8_t key[CACHE_KEY_BYTES];

    ag_buffer_clear(&self->value);
    recall_record_write(inspected, self->languages, &self->value);
    if (self->value.failed)
        return;
    if (frame != NULL) {
        frame->has_news = true;
        add_to_frame(frame, file, ag_buffer_bytes(&self->value));
    }
    if (make_file_key(self, file, key))
        cache_put(self->cache, key, ag_buffer_bytes(&self->value));
}

/* ---- commits
 * ------------------------------------------------------------------------------------------- */

bool recall_get_commit(recall_t *self, const uint8_t *id, struct ag_buffer *out)
{
    uint8_t key[CACHE_KEY_BYTES];

    return make_key(self, 'c', ag_bytes_of(id, ID_BYTES), "", key) &&
           cache_get(self->cache, key, out);
}

void recall_put_commit(recall_t *self, const uint8_t *id, struct ag_bytes value)
{
    uint8_t key[CACHE_KEY_BYTES];

    if (make_key(self, 'c', ag_bytes_of(id, ID_BYTES), "", key))
        cache_put(self->cache, key, value);
}
