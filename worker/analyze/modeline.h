/* modeline.h - what an editor is told about a file by the file itself.
 *
 * Emacs: "-*- mode: c++; -*-" or "-*- C++ -*-" on the first line, or on the second behind #!.
 * Vim: "vim: set ft=perl:" and its kin on one of the first or last five lines.
 *
 * Threads: any. Pure.
 */
#ifndef ANALYZE_MODELINE_H
#define ANALYZE_MODELINE_H

#include "common/bytes.h"

/* The mode's name inside `content`; empty when there is none. */
struct ag_bytes modeline_find(struct ag_bytes content);

#endif
