/* zpl.h - reads configuration files in ZPL (rfc.zeromq.org/spec/4) with czmq's zconfig.
 *
 * Its own library, so that libargosy needs no czmq.
 *
 * Threads: any; reads the file while it is called.
 */
#ifndef AG_ZPL_H
#define AG_ZPL_H

#include "common/config.h"

enum { AG_ZPL_BYTES_MAX = 1 << 20 };

/* An ag_config_reader. */
int ag_zpl_read(const char *path, ag_config_take *take, void *arg, struct argosy_error *err);

#endif
