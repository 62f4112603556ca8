/* What a message of a peer in session means to the core: for the reactor, and for the simulator. */
#include "broker/core/core.h"

void core_event_of(const struct proto *in, struct core_event *out)
{
    out->type = CORE_ALIVE;
    switch (in->type) {
    case AG_BYE:
        out->type = CORE_LEAVE;
        break;
    case AG_CREDIT:
        out->type = CORE_CREDIT;
        out->credit = &in->credit;
        break;
    case AG_RESULTS:
        out->type = CORE_RESULTS;
        out->results = &in->results;
        break;
    case AG_PROGRESS:
        out->type = CORE_PROGRESS;
        out->progress = &in->progress;
        break;
    case AG_SUBMIT:
        out->type = CORE_SUBMIT;
        out->submit = &in->submit;
        break;
    case AG_WATCH:
        out->type = CORE_WATCH;
        out->watch = &in->watch;
        break;
    case AG_MORE:
        out->type = CORE_MORE;
        out->more = &in->more;
        break;
    case AG_CANCEL:
        out->type = CORE_CANCEL;
        out->cancel = &in->cancel;
        break;
    case AG_SEAL:
        out->type = CORE_SEAL;
        out->seal = &in->seal;
        break;
    default:
        break;
    }
}
