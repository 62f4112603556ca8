/* troubles.h - what could not be read: counted, and the first few by path told as leaves.
 *
 * Bound: TROUBLES_TOLD leaves. Which ones does not depend on the order in which they came, so that
 * the troubles of parts are those of the whole.
 *
 * Threads: one at a time.
 */
#ifndef ANALYZE_TROUBLES_H
#define ANALYZE_TROUBLES_H

#include <argosy/error.h>
#include <msgpack/pack.h>

#include "common/buffer.h"
#include "common/wire.h"

enum {
    TROUBLES_TOLD = 64,
    TROUBLE_TYPE_BYTES = 32, /* with the zero */
    TROUBLE_MESSAGE_BYTES = 256
};

struct troubles {
    uint64_t count;
    size_t told;
    struct trouble {
        char *path;
        char type[TROUBLE_TYPE_BYTES], message[TROUBLE_MESSAGE_BYTES];
    } rows[TROUBLES_TOLD];
};

void troubles_fini(struct troubles *self);

/* ARGOSY_ENOMEM. */
int troubles_add(struct troubles *self, const char *path, const char *type, const char *message);

/* Adds all that `other` has. ARGOSY_ENOMEM. */
int troubles_absorb(struct troubles *self, const struct troubles *other);

/* The error of a job that succeeded with the rest; nothing without troubles. `source` is how the
 * job calls what it counted, of which `files` were read. */
void troubles_pack_error(const struct troubles *self, const char *source, uint64_t files,
                         struct ag_buffer *out);

/* {count, errors} and back; what is read is added. ARGOSY_EPROTO, ARGOSY_ENOMEM. */
void troubles_pack(const struct troubles *self, msgpack_packer *packer);
int troubles_take(struct troubles *self, struct ag_reader *reader);

#endif
