/* Texts that the core owns: names that are shared, copies, and tables that are found by text. */
#include <stdlib.h>

#include "broker/core/state.h"

struct name *name_new(struct ag_bytes text)
{
    struct name *name = malloc(sizeof *name + text.size + 1);

    if (name == NULL)
        return NULL;
    name->refs = 1;
    if (text.size > 0)
        memcpy(name->text, text.data, text.size);
    name->text[text.size] = '\0';
    return name;
}

struct name *name_ref(struct name *name)
{
    name->refs++;
    return name;
}

void name_unref(struct name **name_p)
{
    if (*name_p != NULL && --(*name_p)->refs == 0)
        free(*name_p);
    *name_p = NULL;
}

struct ag_bytes bytes_copy(struct ag_bytes bytes, bool *failed)
{
    uint8_t *copy;

    if (bytes.data == NULL)
        return bytes;
    copy = malloc(bytes.size + 1); /* never 0, so that empty stays different from absent */
    if (copy == NULL) {
        *failed = true;
        return (struct ag_bytes){0};
    }
    memcpy(copy, bytes.data, bytes.size);
    return ag_bytes_of(copy, bytes.size);
}

char *text_copy(struct ag_bytes text, bool *failed)
{
    char *copy = malloc(text.size + 1);

    if (copy == NULL) {
        *failed = true;
        return NULL;
    }
    if (text.size > 0)
        memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    return copy;
}

/* Sixteen bytes at a time through the hash of ids, whose seed strangers do not know. */
static struct ag_id digest(struct ag_bytes text, uint64_t seed)
{
    uint64_t parts[2] = {seed ^ text.size, ~seed};
    struct ag_id id;

    for (size_t at = 0; at < text.size; at += sizeof id) {
        size_t size = text.size - at < sizeof id ? text.size - at : sizeof id;

        memset(&id, 0, sizeof id);
        memcpy(&id, text.data + at, size);
        parts[0] = ag_id_hash(&id, parts[0]);
        parts[1] = ag_id_hash(&id, parts[1] + size);
    }
    memcpy(&id, parts, sizeof id);
    return id;
}

struct ag_map_node *text_find(const struct ag_map *map, struct ag_bytes text, size_t offset,
                              struct ag_id *id)
{
    struct ag_map_node *node;

    *id = digest(text, map->seed);
    /* Two texts with one digest: the second stands one further. Whoever removes the first makes the
     * second unfindable, which costs it its limit; with 128 secret bits nobody will see that. */
    while ((node = ag_map_find(map, id)) != NULL) {
        if (ag_bytes_are(text, (const char *)node + offset))
            return node;
        id->bytes[0]++;
    }
    return NULL;
}

static bool has_tag(const char *list, const char *tag, size_t size)
{
    while (*list != '\0') {
        size_t length = strcspn(list, ",");

        if (length == size && memcmp(list, tag, size) == 0)
            return true;
        list += length + (list[length] == ',');
    }
    return false;
}

bool tags_have(const char *list, const char *wanted)
{
    while (*wanted != '\0') {
        size_t length = strcspn(wanted, ",");

        if (length > 0 && !has_tag(list, wanted, length))
            return false;
        wanted += length + (wanted[length] == ',');
    }
    return true;
}
