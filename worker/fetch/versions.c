#include "worker/fetch/versions.h"

/* FNV-1a. */
static uint64_t hash_of(const struct url *url)
{
    uint64_t hash = 14695981039346656037u;

    for (const char *c = url->host; *c != '\0'; c++)
        hash = (hash ^ (uint8_t)*c) * 1099511628211u;
    hash = (hash ^ (url->port & 0xff)) * 1099511628211u;
    hash = (hash ^ (url->port >> 8)) * 1099511628211u;
    return hash != 0 ? hash : 1;
}

bool versions_speaks_2(const versions_t *self, const struct url *url)
{
    uint64_t hash = hash_of(url);

    return self->speak_2[hash % VERSIONS_PLACES] == hash;
}

void versions_note(versions_t *self, const struct url *url, bool speaks_2)
{
    uint64_t hash = hash_of(url), *place = &self->speak_2[hash % VERSIONS_PLACES];

    if (speaks_2)
        *place = hash;
    else if (*place == hash)
        *place = 0;
}
