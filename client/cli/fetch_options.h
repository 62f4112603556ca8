/* fetch_options.h - the options of `argosy fetch` as what all jobs of the batch share.
 *
 * What is wrong is said here, by the option's name, before anything is submitted.
 */
#ifndef CLI_FETCH_OPTIONS_H
#define CLI_FETCH_OPTIONS_H

#include "client/cli/cli.h"

/* Puts keys of a fetch's payload (doc/fetch.md) into `base`. 0, or an exit code after a message. */
int fetch_options_read(const struct cli *cli, json_t *base);

#endif
