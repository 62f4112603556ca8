/* fleet.h - a private fleet for one batch: a broker and workers on this machine, for their user
 * only.
 *
 * They listen in a temporary directory, die with this process whatever becomes of it, and may reach
 * any address and any path that the user may.
 */
#ifndef CLI_FLEET_H
#define CLI_FLEET_H

#include <argosy/error.h>
#include <stdint.h>

typedef struct fleet fleet_t;

struct fleet_config {
    uint32_t workers;
    const char *kinds; /* that they do */
    uint32_t slots;    /* of each worker, of its only kind; 0: its default */
    const char *level; /* of their logs */
    const char *store; /* of the broker */
    const char *cache; /* of the workers; NULL: none */
};

/* ARGOSY_EIO, ARGOSY_ENOMEM. */
int fleet_start(fleet_t **out, const struct fleet_config *config, struct argosy_error *err);

const char *fleet_endpoint(const fleet_t *self);

/* Now and then: a worker that has died is replaced, within reason. ARGOSY_EIO when it cannot go on.
 */
int fleet_look_after(fleet_t *self, struct argosy_error *err);

/* Stop all of it and leave nothing behind. Sets NULL. */
void fleet_stop(fleet_t **self_p);

#endif
