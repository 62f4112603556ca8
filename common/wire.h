/* wire.h - read msgpack from the network: checked before anything is believed, nothing allocated.
 *
 * Start here: ag_wire_check() on the whole frame, then an ag_reader over it. A reader is safe on
 * any bytes also without the check; the check adds the bounds on depth and on the number of
 * objects, which is what turns msgpack bombs away (155 bytes can ask msgpack-c for 254 GB).
 *
 * A failure is sticky: after the first value that is not what was asked for, every read returns an
 * empty value, so a decoder needs one look at `failed` at its end.
 *
 * Threads: plain data. Pure. Format: https://github.com/msgpack/msgpack/blob/master/spec.md
 */
#ifndef AG_WIRE_H
#define AG_WIRE_H

#include "common/bytes.h"
#include "common/id.h"

/* Whether the bytes are UTF-8 (RFC 3629). */
bool ag_is_utf8(struct ag_bytes text);

/* One msgpack value, whole, nothing behind it, at most depth_max levels (it stands on level 1, what
 * an array or map holds one below that) and objects_max values. Longer encodings of a number or
 * size than needed are fine: they mean the same. Returns 0 or ARGOSY_EPROTO. */
int ag_wire_check(struct ag_bytes bytes, size_t depth_max, size_t objects_max);

struct ag_reader {
    const uint8_t *at, *end;
    bool failed;
};

static inline struct ag_reader ag_reader_of(struct ag_bytes bytes)
{
    const uint8_t *end = bytes.data ? bytes.data + bytes.size : NULL;

    return (struct ag_reader){.at = bytes.data, .end = end};
}

uint32_t ag_read_array(struct ag_reader *self); /* the number of values that follow */
uint32_t ag_read_map(struct ag_reader *self);   /* the number of pairs that follow */
uint64_t ag_read_whole(struct ag_reader *self, uint64_t max);
bool ag_read_bool(struct ag_reader *self);
struct ag_bytes ag_read_text(struct ag_reader *self, size_t size_max); /* a str, valid UTF-8 */
struct ag_bytes ag_read_bin(struct ag_reader *self, size_t size_max);
struct ag_bytes ag_read_bin_or_nil(struct ag_reader *self, size_t size_max);
struct ag_id ag_read_id(struct ag_reader *self);        /* a bin of 16 */
struct ag_id ag_read_id_or_nil(struct ag_reader *self); /* zero for nil */
bool ag_read_is_nil(struct ag_reader *self);            /* takes the nil if there is one */
void ag_read_skip(struct ag_reader *self);              /* one value, whatever it holds */

/* The bytes of one value, whatever it holds. */
struct ag_bytes ag_read_raw(struct ag_reader *self);

#endif
