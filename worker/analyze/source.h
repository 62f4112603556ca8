/* source.h - what an analysis reads: one interface, one implementation for each kind of place.
 *
 * Start here: source_dir_new() or source_archive_new(), then source->each(). Files come in no
 * particular order.
 *
 * Threads: one at a time.
 */
#ifndef ANALYZE_SOURCE_H
#define ANALYZE_SOURCE_H

#include <argosy/error.h>
#include <stdatomic.h>

#include "common/buffer.h"

enum {
    SOURCE_DEPTH_MAX = 256, /* directories inside each other */
    SOURCE_PATH_MAX = 4096,
    SOURCE_FILE_BYTES_MAX = 64 << 20, /* a larger one is no source code */
    SOURCE_READ_BYTES = 256 << 10,    /* at once, between two looks at the stop flag */
    SOURCE_COUNTED_MAX = 4 << 20      /* files: some seconds; beyond it the total stays unknown */
};

/* Of archives, besides: nobody's sources need more, and hostile ones ask for anything. */
enum {
    SOURCE_ENTRIES_MAX = 1000000,            /* of any kind, also directories */
    SOURCE_RATIO_MAX = 1000,                 /* unpacked to packed bytes, ... */
    SOURCE_RATIO_FREE_BYTES = 1 << 20,       /* ... beyond so many unpacked ones */
    SOURCE_DICTIONARY_BYTES_MAX = 256 << 20, /* of a decoder; the largest that 7z -mx=9 takes */
    SOURCE_HEADER_BYTES_MAX = 4 << 20, /* what describes one entry: name, sparse map, attributes */
    SOURCE_INDEX_BYTES_MAX =
        256 << 20 /* what describes all of them: zip's directory, 7z's header */
};

enum { SOURCE_STAMP_BYTES = 20 };

/* What is known of a file without reading it. */
struct source_measure {
    uint64_t size;
    /* Another one when the file may have been changed: of its times, size and place on the disk. */
    uint8_t stamp[SOURCE_STAMP_BYTES];
    bool is_settled; /* it was not changed just now: equal stamps mean equal content */
};

struct source_file {
    const char *path;     /* relative to the source */
    const char *name;     /* its last part */
    uint64_t size;        /* 0 also where measure() or reading it is the way to know */
    bool is_vendored;     /* below a directory of other people's code */
    bool is_submodule;    /* a commit of another repository stands there: nothing to read */
    bool is_ignored;      /* git would ignore it: a file or a directory, not to be read */
    const uint8_t *id;    /* of its content, in a git repository; else NULL */
    const uint8_t *stamp; /* SOURCE_STAMP_BYTES of a settled one, once it was measured; or NULL */
    /* NULL: the size is known, or the id says more. ARGOSY_ENOTFOUND, ARGOSY_EIO. */
    int (*measure)(const struct source_file *self, struct source_measure *out,
                   struct argosy_error *err);
    /* Read it all into `out` (cleared first). ARGOSY_ENOTFOUND, ARGOSY_EIO with the reason,
     * ARGOSY_EPROTO (damaged or encrypted in its archive), ARGOSY_ETOOBIG, ARGOSY_ENOMEM,
     * ARGOSY_ESTATE when it was told to stop. */
    int (*read)(const struct source_file *self, struct ag_buffer *out, struct argosy_error *err);
    void *data; /* the source's own */
};

/* A directory. */
struct source_folder {
    const uint8_t *id; /* two with the same one hold the same; NULL: there is none */
    const char *root;  /* else the source's place on this machine, ... */
    const char *path;  /* ... and the directory's in it */
    bool is_vendored;
};

/* How a source tells what it meets. */
struct source_visitor {
    /* A regular file. Not 0 ends the walk with that code. */
    int (*file)(void *arg, const struct source_file *file);
    /* A directory or file that cannot be looked at: ARGOSY_ENOTFOUND, ARGOSY_EIO, ARGOSY_ETOOBIG (a
     * limit; the rest is not told of when the path is an archive's); in an archive also
     * ARGOSY_EPROTO (damaged, hostile). */
    int (*trouble)(void *arg, const char *path, const struct argosy_error *err);
    /* Around the files of a directory; may be NULL. An archive does not tell. */
    void (*enter)(void *arg, const struct source_folder *folder);
    void (*leave)(void *arg, const struct source_folder *folder);
    void *arg;
};

enum { SOURCE_CREW_MAX = 15 };

/* Threads that help to walk a source. */
struct source_crew {
    /* There is work for more than one: how many may come, at most SOURCE_CREW_MAX. Called once at
     * most, on the thread that walks. */
    unsigned (*hire)(void *arg);
    /* On thread `number`, from 0: what it shows its files to, alone. Negative: it goes again. */
    int (*join)(void *arg, unsigned number, struct source_visitor *out);
    void *arg;
};

struct source {
    bool is_stream; /* can only be read from its beginning to its end */
    int (*each)(struct source *self, const struct source_visitor *visitor);
    /* The same with helpers, which have gone when it returns; the order of files and directories is
     * any. NULL: nobody can help here. */
    int (*each_shared)(struct source *self, const struct source_visitor *visitor,
                       const struct source_crew *crew);
    /* How many files each() tells of, cheaply: nothing is opened but directories. May be called
     * within each(). ARGOSY_ETOOBIG: more than are worth counting, ARGOSY_ESTATE. NULL: such a
     * source knows only at its end. */
    int (*count)(const struct source *self, uint64_t *files);
    /* How far each() is, in bytes of `total` ones (fewer, or both 0), for a source that can tell it
     * at any moment. NULL: files are what it is measured by. */
    void (*progress)(const struct source *self, uint64_t *done, uint64_t *total);
    void (*destroy)(struct source **self_p);
};

struct analyze_roots;

struct source_options {
    const char *const *exclude; /* globs, against the path and against each name */
    size_t exclude_count;
    const atomic_int *stop; /* not 0: end soon, with ARGOSY_ESTATE */
    /* Of a directory: tell what git would ignore as such; rules outside of it are looked for below
     * these roots. NULL: git is not asked. */
    const struct analyze_roots *ignore_below;
};

/* A directory, or a single file. Links are not followed. ARGOSY_ENOTFOUND, ARGOSY_EIO. */
int source_dir_new(struct source **out, const char *path, const struct source_options *options,
                   struct argosy_error *err);

/* An archive: tar, plain or packed with gzip, bzip2, xz or zstd; zip; 7z. *out stays NULL, and 0 is
 * returned, when `path` is something else: its first bytes tell. Nothing is written to disk, and
 * one entry at a time is in memory; archives inside are not opened. each() may be called once.
 * ARGOSY_EPROTO (nothing in it can be read), ARGOSY_ETOOBIG (nor within the limits), ARGOSY_EIO,
 * ARGOSY_ENOTFOUND, ARGOSY_ENOMEM, ARGOSY_ESTATE. */
int source_archive_new(struct source **out, const char *path, const struct source_options *options,
                       struct argosy_error *err);

#endif
