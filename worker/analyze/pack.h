/* pack.h - pairs of a msgpack map, as the engine's results have them. Internal to the engine.
 *
 * Threads: plain data. Pure.
 */
#ifndef ANALYZE_PACK_H
#define ANALYZE_PACK_H

#include <msgpack/pack.h>
#include <string.h>

#include "common/wire.h"

static inline void pack_key(msgpack_packer *p, const char *key)
{
    msgpack_pack_str_with_body(p, key, strlen(key));
}

static inline void pack_number(msgpack_packer *p, const char *key, uint64_t value)
{
    pack_key(p, key);
    msgpack_pack_uint64(p, value);
}

/* Names of files and of people may be any bytes: text when they are UTF-8, else bytes. */
static inline void pack_text(msgpack_packer *p, const char *key, const char *text)
{
    struct ag_bytes bytes = ag_bytes_of_text(text);

    pack_key(p, key);
    if (ag_is_utf8(bytes))
        msgpack_pack_str_with_body(p, text, bytes.size);
    else
        msgpack_pack_bin_with_body(p, text, bytes.size);
}

#endif
