#include "tests/store/media.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/assert.h"

#define NO_SECTOR UINT64_MAX

struct change {
    uint64_t size;   /* of the file after it */
    uint64_t sector; /* NO_SECTOR: only the size has changed */
    uint8_t image[]; /* the whole sector after it; zeros behind the end of the file */
};

/* What of the changes is carried out. */
struct rule {
    size_t sizes;             /* this many of the first changes have their size kept */
    unsigned percent;         /* of the sectors are kept */
    struct ag_random *random; /* NULL: all of them */
};

/* ---- bytes ---------------------------------------------------------------------------------- */

static void content_reserve(struct content *self, size_t room)
{
    if (room <= self->room)
        return;
    if (room < 2 * self->room)
        room = 2 * self->room;
    self->data = realloc(self->data, room);
    if (self->data == NULL)
        abort();
    self->room = room;
}

/* What is new is zero. */
static void content_resize(struct content *self, size_t size)
{
    content_reserve(self, size);
    if (size > self->size)
        memset(self->data + self->size, 0, size - self->size);
    self->size = size;
}

/* What does not fit is left out. */
static void content_put(struct content *self, const void *data, size_t size, size_t at)
{
    if (at >= self->size)
        return;
    if (size > self->size - at)
        size = self->size - at;
    memcpy(self->data + at, data, size);
}

static void content_free(struct content *self)
{
    free(self->data);
    *self = (struct content){0};
}

/* ---- changes -------------------------------------------------------------------------------- */

static size_t change_bytes(const struct media *self)
{
    return sizeof(struct change) + self->sector_bytes;
}

static size_t change_count(const struct media *self)
{
    return self->changes.size / change_bytes(self);
}

static struct change *change_at(const struct media *self, size_t i)
{
    return (struct change *)(void *)(self->changes.data + i * change_bytes(self));
}

/* How many of the changes are older than `upto`. */
static size_t count_upto(const struct media *self, uint64_t upto)
{
    uint64_t first = self->changes_made - change_count(self);

    return upto > first ? (size_t)(upto - first) : 0;
}

static void remember(struct media *self, uint64_t sector)
{
    size_t i = change_count(self);
    struct change *change;

    content_resize(&self->changes, self->changes.size + change_bytes(self));
    change = change_at(self, i);
    change->size = self->cached.size;
    change->sector = sector;
    if (sector != NO_SECTOR)
        media_read(self, change->image, self->sector_bytes, sector * self->sector_bytes);
    self->changes_made++;
}

static bool is_kept(const struct rule *rule)
{
    return rule->random == NULL || ag_random_below(rule->random, 100) < rule->percent;
}

/* A random part of all versions, applied in the order of the writes, leaves each sector in any of
 * its versions, as would any order: that the disk has reordered the writes needs no more. */
static void carry_out(struct media *self, size_t count, struct rule rule)
{
    for (size_t i = 0; i < count; i++) {
        const struct change *change = change_at(self, i);

        if (i < rule.sizes)
            content_resize(&self->stable, change->size);
        if (change->sector != NO_SECTOR && is_kept(&rule))
            content_put(&self->stable, change->image, self->sector_bytes,
                        change->sector * self->sector_bytes);
    }
}

static void forget(struct media *self, size_t count)
{
    size_t gone = count * change_bytes(self);

    if (gone == 0)
        return;
    self->changes.size -= gone;
    memmove(self->changes.data, self->changes.data + gone, self->changes.size);
}

/* ---- the file ------------------------------------------------------------------------------- */

void media_init(struct media *self, size_t sector_bytes)
{
    *self = (struct media){.sector_bytes = sector_bytes};
}

void media_fini(struct media *self)
{
    content_free(&self->cached);
    content_free(&self->stable);
    content_free(&self->changes);
}

size_t media_read(const struct media *self, void *out, size_t size, uint64_t at)
{
    if (at >= self->cached.size)
        return 0;
    if (size > self->cached.size - at)
        size = self->cached.size - at;
    memcpy(out, self->cached.data + at, size);
    return size;
}

/* Sector by sector, so that a cut may leave the file with any of the sizes on the way. */
void media_write(struct media *self, const void *data, size_t size, uint64_t at)
{
    const uint8_t *from = data;

    while (size > 0) {
        size_t part = self->sector_bytes - at % self->sector_bytes;

        if (part > size)
            part = size;
        if (at + part > self->cached.size)
            content_resize(&self->cached, at + part);
        content_put(&self->cached, from, part, at);
        remember(self, at / self->sector_bytes);
        from += part;
        at += part;
        size -= part;
    }
}

void media_resize(struct media *self, uint64_t size)
{
    content_resize(&self->cached, size);
    remember(self, NO_SECTOR);
}

void media_sync(struct media *self, uint64_t upto)
{
    size_t count = count_upto(self, upto);

    carry_out(self, count, (struct rule){.sizes = count});
    forget(self, count);
}

void media_lose(struct media *self, uint64_t upto, struct ag_random *random)
{
    size_t count = count_upto(self, upto);

    /* The size stands in the file system's own journal, which has not failed. */
    carry_out(self, count,
              (struct rule){.sizes = count,
                            .percent = (unsigned)ag_random_below(random, 100),
                            .random = random});
    forget(self, count);
}

/* Nothing and all are as likely as anything between: the worst is one file kept and another not. */
static size_t some_of(struct ag_random *random, size_t n)
{
    switch (ag_random_below(random, 4)) {
    case 0:
        return 0;
    case 1:
        return n;
    default:
        return ag_random_below(random, n + 1);
    }
}

void media_cut(struct media *self, struct ag_random *random, struct media *after)
{
    size_t count = change_count(self);

    carry_out(self, count,
              (struct rule){.sizes = some_of(random, count),
                            .percent = (unsigned)some_of(random, 100),
                            .random = random});
    media_init(after, self->sector_bytes);
    after->stable = self->stable;
    content_resize(&after->cached, after->stable.size);
    if (after->stable.size > 0)
        memcpy(after->cached.data, after->stable.data, after->stable.size);
    self->stable = (struct content){0};
    media_fini(self);
    self->changes_made = 0;
}
