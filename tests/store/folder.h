/* folder.h - a directory of its own for each test of a store. */
#ifndef TESTS_STORE_FOLDER_H
#define TESTS_STORE_FOLDER_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct folder {
    char path[64], store[80]; /* the second is a file in the first */
};

static inline void folder_empty(const struct folder *self)
{
    DIR *listing = opendir(self->path);
    struct dirent *entry;
    char name[400];

    while (listing != NULL && (entry = readdir(listing)) != NULL) {
        snprintf(name, sizeof name, "%s/%s", self->path, entry->d_name);
        if (entry->d_name[0] != '.' && unlink(name) < 0)
            rmdir(name);
    }
    if (listing != NULL)
        closedir(listing);
}

static inline struct folder folder_new_in(const char *where)
{
    struct folder self;

    snprintf(self.path, sizeof self.path, "%s/argosy-store-XXXXXX", where);
    if (mkdtemp(self.path) == NULL)
        abort();
    snprintf(self.store, sizeof self.store, "%s/jobs.db", self.path);
    return self;
}

static inline struct folder folder_new(void)
{
    return folder_new_in("/tmp");
}

/* Where a sync costs nothing, if there is such a place. */
static inline struct folder folder_new_in_memory(void)
{
    return folder_new_in(access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
}

static inline void folder_remove(const struct folder *self)
{
    folder_empty(self);
    rmdir(self->path);
}

#endif
