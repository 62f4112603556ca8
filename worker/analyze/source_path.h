/* source_path.h - what all sources leave out, and what is other people's code, by its path.
 *
 * Threads: any. Pure.
 */
#ifndef ANALYZE_SOURCE_PATH_H
#define ANALYZE_SOURCE_PATH_H

#include "worker/analyze/source.h"

/* .git and its like: never entered. */
bool source_is_version_control(const char *name);

/* node_modules and its like. */
bool source_is_vendored(const char *name);

/* `name` is the last part of `path`. */
bool source_is_excluded(const struct source_options *options, const char *path, const char *name);

enum source_place { SOURCE_PLAIN, SOURCE_VENDORED, SOURCE_LEFT_OUT };

/* What a walk over directories would make of a file with this path: for sources that have a list of
 * paths and no directories. `path` is written to, but has its text again in the end. */
enum source_place source_place_of(const struct source_options *options, char *path);

#endif
