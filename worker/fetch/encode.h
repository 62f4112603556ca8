/* encode.h - values of a payload that become a request's body: forms and JSON.
 *
 * Threads: plain data. Pure.
 */
#ifndef FETCH_ENCODE_H
#define FETCH_ENCODE_H

#include "common/wire.h"
#include "worker/fetch/request.h"

/* A map of names to texts or arrays of texts, as application/x-www-form-urlencoded (WHATWG URL).
 * Both set data, data_size and data_type; false: the value is not what it must be, or no memory. */
bool encode_form(struct request *out, struct ag_reader *reader);

/* Any value, as application/json. */
bool encode_json(struct request *out, struct ag_reader *reader);

#endif
