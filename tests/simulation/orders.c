/* Every order of small sets of events, from the same beginning: what random seeds meet rarely. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/simulation/sim.h"

const char *orders_run(unsigned long *count)
{
    *count = 0;
    return NULL;
}
