/* json.h - JSON to msgpack and back, at the edges where people and their tools read and write.
 *
 * What msgpack has and JSON has not: bytes become text when they are UTF-8, else
 * {"$base64": "..."}; whole numbers beyond 63 bits become reals; extension types, infinities and
 * NaN become null; a key that is no text becomes its JSON; of a key given twice the last counts.
 * Reals are printed with 15 digits, so that people read 0.1 and not 0.10000000000000001.
 *
 * Threads: any. Pure.
 */
#ifndef AG_JSON_H
#define AG_JSON_H

#include <argosy/error.h>
#include <jansson.h>

#include "common/buffer.h"

/* *out is yours to json_decref(). ARGOSY_EPROTO when it is no msgpack or passes the bounds of
 * limits.h, ARGOSY_ENOMEM. */
int ag_json_from_msgpack(struct ag_bytes msgpack, json_t **out, struct argosy_error *err);

/* Appends. ARGOSY_ENOMEM; the buffer's failure. */
int ag_json_to_msgpack(const json_t *json, struct ag_buffer *out);

/* One JSON value, nothing behind it; names given twice are refused. ARGOSY_EINVAL says where. */
int ag_json_parse(const char *text, size_t size, json_t **out, struct argosy_error *err);

/* Appends it on one line, without a newline. ARGOSY_ENOMEM. */
int ag_json_print(const json_t *json, struct ag_buffer *out);

#endif
