/* arguments.h - the map that a QUERY or CONTROL brings along, read and checked.
 *
 * Start here: arguments_read(). Keys and verbs are in doc/protocol.md, section 6.
 *
 * Ownership: texts point into the message. Threads: plain data.
 */
#ifndef BROKER_ARGUMENTS_H
#define BROKER_ARGUMENTS_H

#include "broker/core/core.h"

struct arguments {
    bool has_id;
    struct ag_id id, as, group;
    struct ag_bytes state, kind, queue, cursor, worker, name, cron, zone, catch_up, durability, job;
    uint64_t limit, after, grace_ms, number, at_unix_ms, every_ms, times;
};

/* ARGOSY_EPROTO: not a map, a key that is not known, or a value out of its range; err says which.
 */
int arguments_read(struct ag_bytes map, struct arguments *out, struct argosy_error *err);

/* What a CONTROL orders. ARGOSY_EPROTO as above, also for a verb that is not known (then the
 * message begins with "rejected.verb"). */
int arguments_to_control(const struct proto_query *query, struct core_control *out,
                         struct argosy_error *err);

#endif
