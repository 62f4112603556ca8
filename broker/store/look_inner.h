/* look_inner.h - what the files of look.h share. Private to them. */
#ifndef BROKER_STORE_LOOK_INNER_H
#define BROKER_STORE_LOOK_INNER_H

#include "broker/store/look.h"
#include "broker/store/sql.h"

struct look {
    sqlite3 *db;
    char *path;
};

/* As sql_fail(), and ARGOSY_EPROTO for a database that is damaged. */
int look_fail(look_t *self, const char *doing, struct argosy_error *err);

#endif
