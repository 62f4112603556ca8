/* media.h - the content of one file on a simulated disk: as programs see it, and as the power cut
 * would leave it.
 *
 * A write changes what programs see (`cached`) and is remembered as a list of changes, one for each
 * sector, which a sync carries to what is safe (`stable`). A sector is written whole or not at all.
 * A cut keeps any of the changes: since the last sync a sector may have been carried out in any of
 * its versions, and so may the file's size, which may grow before the data that it makes room for.
 *
 * Start here: media_write(), media_sync(), media_cut(). Knows nothing of SQLite, names or locks.
 * No memory: abort().
 */
#ifndef TESTS_STORE_MEDIA_H
#define TESTS_STORE_MEDIA_H

#include <stddef.h>
#include <stdint.h>

#include "common/random.h"

struct content {
    uint8_t *data;
    size_t size, room;
};

struct media {
    size_t sector_bytes;
    struct content cached, stable;
    struct content changes; /* see struct change in media.c; all of the same size, oldest first */
    uint64_t changes_made;  /* ever; the last of them are those in `changes` */
};

void media_init(struct media *self, size_t sector_bytes);
void media_fini(struct media *self);

/* Returns how many of the `size` bytes were there. */
size_t media_read(const struct media *self, void *out, size_t size, uint64_t at);

void media_write(struct media *self, const void *data, size_t size, uint64_t at);
void media_resize(struct media *self, uint64_t size);

/* Makes safe what was changed before `changes_made` was `upto`: a sync takes time, and promises
 * nothing of what is written meanwhile. */
void media_sync(struct media *self, uint64_t upto);

/* A sync that failed, as Linux has it: of the sectors some were carried out, and all of them count
 * as clean from now on; no later sync will try them again. Programs still see them. */
void media_lose(struct media *self, uint64_t upto, struct ag_random *random);

/* What a cut leaves becomes the content of `after`, which is initialised by this; `self` is empty
 * then. */
void media_cut(struct media *self, struct ag_random *random, struct media *after);

#endif
