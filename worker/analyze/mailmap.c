#include "worker/analyze/mailmap.h"

#include <ctype.h>
#include <stdlib.h>

#include "worker/analyze/names.h"

enum { KEY_BYTES_MAX = 1024 };

/* What a key stands for: texts of `text`, or NULL. */
struct proper {
    const char *name, *email;
};

struct mailmap {
    char *text;    /* cut into pieces */
    names_t *keys; /* "email", or "email\0name" for one name of it only; in lower case */
    struct proper *of_keys;
    size_t capacity;
};

/* Too long a key is nobody's. */
static struct ag_bytes key_of(const char *email, const char *name, char room[KEY_BYTES_MAX])
{
    size_t of_email = strlen(email), of_name = name != NULL ? strlen(name) + 1 : 0;

    if (of_email + of_name > KEY_BYTES_MAX)
        return ag_bytes_of(NULL, 0);
    for (size_t i = 0; i < of_email; i++)
        room[i] = (char)tolower((unsigned char)email[i]);
    for (size_t i = 0; i < of_name; i++)
        room[of_email + i] = i == 0 ? '\0' : (char)tolower((unsigned char)name[i - 1]);
    return ag_bytes_of(room, of_email + of_name);
}

static struct proper *put(struct mailmap *self, const char *email, const char *name)
{
    char room[KEY_BYTES_MAX];
    struct ag_bytes key = key_of(email, name, room);
    uint32_t number = key.data != NULL ? names_put(self->keys, key) : NAMES_NONE;

    if (number == NAMES_NONE)
        return NULL;
    if (number >= self->capacity) {
        size_t capacity = self->capacity * 2 + 64;
        struct proper *grown = realloc(self->of_keys, capacity * sizeof *grown);

        if (grown == NULL)
            return NULL;
        memset(grown + self->capacity, 0, (capacity - self->capacity) * sizeof *grown);
        self->of_keys = grown;
        self->capacity = capacity;
    }
    return &self->of_keys[number];
}

/* Cuts "NAME <EMAIL>" off the beginning of *rest; a missing name is NULL. */
static bool take_person(char **rest, char **name, char **email)
{
    char *open = strchr(*rest, '<'), *close = open != NULL ? strchr(open, '>') : NULL;
    char *end = open;

    if (close == NULL)
        return false;
    *name = *rest;
    while (isspace((unsigned char)**name))
        (*name)++;
    while (end > *name && isspace((unsigned char)end[-1]))
        end--;
    *end = '\0';
    *name = end > *name ? *name : NULL;
    *email = open + 1;
    *close = '\0';
    *rest = close + 1;
    return true;
}

static void read_line(struct mailmap *self, char *line)
{
    char *name, *email, *old_name = NULL, *old_email = NULL;
    struct proper *proper;

    if (line[0] == '#' || !take_person(&line, &name, &email) || email[0] == '\0')
        return;
    if (!take_person(&line, &old_name, &old_email)) {
        old_email = email; /* the name of this address; what stands behind it means nothing */
        email = NULL;
    }
    proper = put(self, old_email, old_name);
    if (proper == NULL)
        return;
    if (name != NULL || old_name != NULL)
        proper->name = name;
    if (email != NULL || old_name != NULL)
        proper->email = email;
}

mailmap_t *mailmap_new(struct ag_bytes text, uint64_t seed)
{
    mailmap_t *self = calloc(1, sizeof *self);
    char *rest = NULL;

    if (self == NULL)
        return NULL;
    self->keys = names_new(seed);
    self->text = malloc(text.size + 1);
    if (self->keys == NULL || self->text == NULL) {
        mailmap_destroy(&self);
        return NULL;
    }
    if (text.size > 0)
        memcpy(self->text, text.data, text.size);
    self->text[text.size] = '\0';
    for (char *line = strtok_r(self->text, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest))
        read_line(self, line);
    return self;
}

void mailmap_destroy(mailmap_t **self_p)
{
    mailmap_t *self = *self_p;

    *self_p = NULL;
    if (self == NULL)
        return;
    names_destroy(&self->keys);
    free(self->of_keys);
    free(self->text);
    free(self);
}

void mailmap_resolve(const mailmap_t *self, const char **name, const char **email)
{
    char room[KEY_BYTES_MAX];
    struct ag_bytes key = key_of(*email, *name, room);
    uint32_t number = key.data != NULL ? names_find(self->keys, key) : NAMES_NONE;
    const struct proper *proper;

    if (number == NAMES_NONE && (key = key_of(*email, NULL, room)).data != NULL)
        number = names_find(self->keys, key);
    if (number == NAMES_NONE)
        return;
    proper = &self->of_keys[number];
    if (proper->name != NULL)
        *name = proper->name;
    if (proper->email != NULL)
        *email = proper->email;
}
