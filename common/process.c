#include "common/process.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "common/entropy.h"

int ag_process_prepare(uint32_t parent, struct argosy_error *err)
{
    unsigned seed;
    sigset_t signals;
    int rc = ag_entropy(&seed, sizeof seed, err);

    if (rc < 0)
        return rc;
    srand(seed);
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    if (parent != 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if ((uint32_t)getppid() != parent)
            raise(SIGTERM); /* stays pending until the loop reads it */
    }
    return 0;
}
