/* admin.h - answers QUERY: what the broker is and what is in it, as msgpack maps for people's
 * tools.
 *
 * Start here: admin_answer(). The verbs and their maps are in doc/protocol.md, section 6.
 *
 * Threads: the reactor's only. Reads the core, changes nothing.
 */
#ifndef BROKER_ADMIN_H
#define BROKER_ADMIN_H

#include "broker/core/core.h"

/* What the core does not know about its broker. */
struct admin_facts {
    const char *name;
    uint64_t epoch;
    int64_t uptime_ms;
    uint64_t bytes_max, jobs_max;
    uint64_t rejected; /* messages that never reached the core */
    uint64_t cpu_us;   /* that the process has used */
};

/* Fill `answer` (request, type, message, body); `body` is what its body points into. */
void admin_answer(const core_t *core, const struct admin_facts *facts,
                  const struct proto_query *query, struct ag_buffer *body,
                  struct proto_answer *answer);

#endif
