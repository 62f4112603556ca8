#include "common/entropy.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "common/error.h"

int ag_entropy(void *out, size_t size, struct argosy_error *err)
{
    uint8_t *at = out;

    while (size > 0) {
        ssize_t got = getrandom(at, size, 0);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return ag_fail(err, ARGOSY_EIO, "getrandom: %s", strerror(errno));
        at += got;
        size -= (size_t)got;
    }
    return ARGOSY_OK;
}
