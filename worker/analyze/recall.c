#include "worker/analyze/recall.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/analyze/engine.h"

enum { ID_BYTES = 20 };

/* A directory that is being walked. */
struct frame {
    tally_sums_t *before;
    uint64_t files_before;
    uint64_t path_max;  /* the longest path of a file in it, below it */
    uint64_t depth_max; /* directories inside each other in it, itself included */
    bool has_trouble;
};

/* What a directory's sums begin with in the cache: whether they hold elsewhere depends on them. */
struct folder_head {
    uint64_t path_max, depth_max;
    uint64_t files; /* that each() tells of in it */
};

struct recall {
    cache_t *cache;
    EVP_MD *sha256;
    EVP_MD_CTX *digest;
    struct ag_buffer value;
    bool whole_folders;
    struct frame frames[SOURCE_DEPTH_MAX + 1];
    size_t frames_count;
};

recall_t *recall_new(cache_t *cache, bool whole_folders)
{
    recall_t *self = calloc(1, sizeof *self);

    if (self == NULL) {
        cache_close(&cache);
        return NULL;
    }
    self->cache = cache;
    self->whole_folders = whole_folders;
    self->value = ag_buffer_empty(CACHE_VALUE_BYTES_MAX);
    self->digest = EVP_MD_CTX_new();
    self->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (self->digest == NULL || self->sha256 == NULL)
        recall_destroy(&self, NULL, 0);
    return self;
}

void recall_destroy(recall_t **self_p, char *trouble, size_t size)
{
    recall_t *self = *self_p;

    *self_p = NULL;
    if (size > 0)
        trouble[0] = '\0';
    if (self == NULL)
        return;
    while (self->frames_count > 0)
        tally_sums_destroy(&self->frames[--self->frames_count].before);
    cache_flush(self->cache);
    if (size > 0 && cache_trouble(self->cache) != NULL)
        snprintf(trouble, size, "%s", cache_trouble(self->cache));
    cache_close(&self->cache);
    EVP_MD_CTX_free(self->digest);
    EVP_MD_free(self->sha256);
    ag_buffer_free(&self->value);
    free(self);
}

/* The key of an object: what sort of value, the engine, the id, what else matters. False: no key
 * can be made, so nothing is known. */
static bool make_key(recall_t *self, char sort, const uint8_t *id, const char *name,
                     uint8_t key[CACHE_KEY_BYTES])
{
    uint8_t full[EVP_MAX_MD_SIZE];

    if (EVP_DigestInit_ex(self->digest, self->sha256, NULL) != 1 ||
        EVP_DigestUpdate(self->digest, ENGINE_HASH, sizeof ENGINE_HASH) != 1 ||
        EVP_DigestUpdate(self->digest, &sort, 1) != 1 ||
        EVP_DigestUpdate(self->digest, id, ID_BYTES) != 1 ||
        EVP_DigestUpdate(self->digest, name, strlen(name)) != 1 ||
        EVP_DigestFinal_ex(self->digest, full, NULL) != 1)
        return false;
    memcpy(key, full, CACHE_KEY_BYTES);
    return true;
}

/* ---- files
 * --------------------------------------------------------------------------------------------- */

/* As it is written. */
struct packed_file {
    uint64_t place; /* of its language in the table; UINT64_MAX: skipped */
    uint64_t why;
    struct counts counts;
};

/* The name decides about the language together with the content, so it is a part of the key. */
bool recall_get_file(recall_t *self, const struct source_file *file, struct recall_file *out)
{
    uint8_t key[CACHE_KEY_BYTES];
    struct packed_file packed;

    if (!make_key(self, 'f', file->id, file->name, key) ||
        !cache_get(self->cache, key, &self->value) || self->value.size != sizeof packed)
        return false;
    memcpy(&packed, self->value.data, sizeof packed);
    if ((packed.place >= language_table_count && packed.place != UINT64_MAX) ||
        packed.why >= SKIP_COUNT)
        return false;
    *out = (struct recall_file){
        .language = packed.place != UINT64_MAX ? &language_table[packed.place] : NULL,
        .why = (enum tally_skip)packed.why,
        .counts = packed.counts};
    return true;
}

void recall_put_file(recall_t *self, const struct source_file *file,
                     const struct recall_file *judged)
{
    struct packed_file packed = {.place = judged->language != NULL
                                              ? (uint64_t)(judged->language - language_table)
                                              : UINT64_MAX,
                                 .why = judged->language != NULL ? 0 : judged->why,
                                 .counts = judged->counts};
    uint8_t key[CACHE_KEY_BYTES];

    if (make_key(self, 'f', file->id, file->name, key))
        cache_put(self->cache, key, ag_bytes_of(&packed, sizeof packed));
}

/* ---- directories
 * --------------------------------------------------------------------------------------- */

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* In the directory around it, one that holds this much has been seen. */
static void note_in_frame(recall_t *self, uint64_t path_max, uint64_t depth_max)
{
    struct frame *frame;

    if (self->frames_count == 0)
        return;
    frame = &self->frames[self->frames_count - 1];
    frame->path_max = larger(frame->path_max, path_max);
    frame->depth_max = larger(frame->depth_max, depth_max);
}

/* Paths in frames are measured from the source's top: a directory's own are what is behind it. */
static bool is_known(recall_t *self, const struct source_folder *folder, tally_t *tally,
                     uint64_t *files)
{
    uint8_t key[CACHE_KEY_BYTES];
    struct folder_head head;

    if (!make_key(self, folder->is_vendored ? 'v' : 't', folder->id, "", key) ||
        !cache_get(self->cache, key, &self->value) || self->value.size < sizeof head)
        return false;
    memcpy(&head, self->value.data, sizeof head);
    /* Deeper in another tree, some of it might be beyond the limits. */
    if (head.path_max > SOURCE_PATH_MAX ||
        folder->path_size + head.path_max + 2 > SOURCE_PATH_MAX ||
        head.depth_max > SOURCE_DEPTH_MAX || folder->depth + head.depth_max > SOURCE_DEPTH_MAX ||
        !tally_add_sums(
            tally, ag_bytes_of(self->value.data + sizeof head, self->value.size - sizeof head)))
        return false;
    *files += head.files;
    note_in_frame(self, folder->path_size + head.path_max, folder->depth + head.depth_max);
    return true;
}

bool recall_enter(recall_t *self, const struct source_folder *folder, tally_t *tally,
                  uint64_t *files)
{
    struct frame *frame;

    if (!self->whole_folders)
        return false;
    if (is_known(self, folder, tally, files))
        return true;
    frame = &self->frames[self->frames_count++];
    *frame = (struct frame){.before = tally_sums_now(tally),
                            .files_before = *files,
                            .path_max = folder->path_size,
                            .depth_max = folder->depth + 1};
    frame->has_trouble = frame->before == NULL;
    return false;
}

void recall_leave(recall_t *self, const struct source_folder *folder, tally_t *tally,
                  uint64_t files, bool is_whole)
{
    struct frame *frame;
    struct folder_head head;
    uint8_t key[CACHE_KEY_BYTES];

    if (!self->whole_folders)
        return;
    frame = &self->frames[--self->frames_count];
    head = (struct folder_head){.path_max = frame->path_max - folder->path_size,
                                .depth_max = frame->depth_max - folder->depth,
                                .files = files - frame->files_before};
    if (is_whole && !frame->has_trouble &&
        make_key(self, folder->is_vendored ? 'v' : 't', folder->id, "", key)) {
        ag_buffer_clear(&self->value);
        ag_buffer_append(&self->value, &head, sizeof head);
        tally_pack_since(tally, frame->before, &self->value);
        if (!self->value.failed)
            cache_put(self->cache, key, ag_buffer_bytes(&self->value));
    }
    tally_sums_destroy(&frame->before);
    note_in_frame(self, frame->path_max, frame->depth_max);
    if (frame->has_trouble)
        recall_note_trouble(self);
}

void recall_note_file(recall_t *self, const struct source_file *file)
{
    note_in_frame(self, strlen(file->path), 0);
}

void recall_note_trouble(recall_t *self)
{
    if (self->frames_count > 0)
        self->frames[self->frames_count - 1].has_trouble = true;
}

/* ---- commits
 * ------------------------------------------------------------------------------------------- */

bool recall_get_commit(recall_t *self, const uint8_t *id, struct ag_buffer *out)
{
    uint8_t key[CACHE_KEY_BYTES];

    return make_key(self, 'c', id, "", key) && cache_get(self->cache, key, out);
}

void recall_put_commit(recall_t *self, const uint8_t *id, struct ag_bytes value)
{
    uint8_t key[CACHE_KEY_BYTES];

    if (make_key(self, 'c', id, "", key))
        cache_put(self->cache, key, value);
}
