#include "worker/fetch/jars.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/limits.h"

struct place {
    struct jar jar;
    char name[AG_NAME_BYTES_MAX + 1];
    uint64_t used; /* the turn in which it was taken last */
};

struct jars {
    struct place places[JARS_MAX];
    unsigned count;
    uint64_t turn;
};

jars_t *jars_new(void)
{
    return calloc(1, sizeof(jars_t));
}

void jars_destroy(jars_t **self_p)
{
    jars_t *self = *self_p;

    if (self == NULL)
        return;
    for (unsigned i = 0; i < self->count; i++)
        curl_share_cleanup(self->places[i].jar.share);
    free(self);
    *self_p = NULL;
}

static CURLSH *make_share(void)
{
    CURLSH *share = curl_share_init();

    if (share != NULL) {
        curl_share_setopt(share, CURLSHOPT_SHARE, CURL_LOCK_DATA_COOKIE);
        curl_share_setopt(share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
    }
    return share;
}

/* A place for a new jar: a free one, or that of the jar which nobody has used for longest. */
static struct place *make_place(jars_t *self)
{
    struct place *oldest = NULL;

    if (self->count < JARS_MAX)
        return &self->places[self->count++];
    for (unsigned i = 0; i < JARS_MAX; i++) {
        struct place *place = &self->places[i];

        if (place->jar.users == 0 && (oldest == NULL || place->used < oldest->used))
            oldest = place;
    }
    return oldest;
}

struct jar *jars_take(jars_t *self, const char *name)
{
    struct place *place = NULL;

    for (unsigned i = 0; i < self->count && place == NULL; i++)
        if (self->places[i].jar.share != NULL && strcmp(self->places[i].name, name) == 0)
            place = &self->places[i];
    if (place == NULL) {
        place = make_place(self);
        if (place == NULL)
            return NULL;
        curl_share_cleanup(place->jar.share);
        place->jar = (struct jar){.share = make_share()};
        snprintf(place->name, sizeof place->name, "%s", name);
    }
    if (place->jar.share == NULL)
        return NULL;
    place->used = ++self->turn;
    place->jar.users++;
    return &place->jar;
}

void jars_release(struct jar *jar)
{
    jar->users--;
}
