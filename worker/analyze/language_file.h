/* language_file.h - languages that a worker learns from a file, besides the table's.
 *
 * ZPL, a section for each language; doc/analysis.md has the keys:
 *
 *     shaderlab
 *         name = "ShaderLab"
 *         extensions = "shader"
 *         line = "//"
 *         block = "<# #>"
 *
 * Threads: constant once made.
 */
#ifndef ANALYZE_LANGUAGE_FILE_H
#define ANALYZE_LANGUAGE_FILE_H

#include <argosy/error.h>

#include "worker/analyze/languages.h"

enum { LANGUAGE_FILE_ROWS_MAX = 256, LANGUAGE_FILE_MARKER_MAX = 16, LANGUAGE_FILE_NAME_MAX = 64 };

typedef struct language_file language_file_t;

/* ARGOSY_EINVAL names the line and the value that is wrong, or why the file cannot be read;
 * ARGOSY_ENOMEM. */
int language_file_load(language_file_t **out, const char *path, struct argosy_error *err);
void language_file_destroy(language_file_t **self_p);

/* For languages_new(); lives as long as the file. `self` may be NULL: then there are none. */
struct language_rows language_file_rows(const language_file_t *self);

#endif
