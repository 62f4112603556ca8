#include "worker/analyze/license.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

enum { TEXT_LOOKED_AT = 4096 };

/* The first row whose texts all stand near the beginning, in words separated by one space. */
static const struct {
    const char *id, *texts[2];
} licenses[] = {
    {"AGPL-3.0", {"GNU AFFERO GENERAL PUBLIC LICENSE", "Version 3"}},
    {"LGPL-3.0", {"GNU LESSER GENERAL PUBLIC LICENSE", "Version 3"}},
    {"LGPL-2.1", {"GNU LESSER GENERAL PUBLIC LICENSE", "Version 2.1"}},
    {"LGPL-2.0", {"GNU LIBRARY GENERAL PUBLIC LICENSE", "Version 2"}},
    {"GPL-3.0", {"GNU GENERAL PUBLIC LICENSE", "Version 3"}},
    {"GPL-2.0", {"GNU GENERAL PUBLIC LICENSE", "Version 2"}},
    {"GPL-1.0", {"GNU GENERAL PUBLIC LICENSE", "Version 1"}},
    {"Apache-2.0", {"Apache License", "Version 2.0"}},
    {"MPL-2.0", {"Mozilla Public License", "2.0"}},
    {"MPL-1.1", {"MOZILLA PUBLIC LICENSE", "Version 1.1"}},
    {"EPL-2.0", {"Eclipse Public License", "v 2.0"}},
    {"EPL-1.0", {"Eclipse Public License", "v 1.0"}},
    {"BSL-1.0", {"Boost Software License", "Version 1.0"}},
    {"CC0-1.0", {"CC0 1.0 Universal", ""}},
    {"Unlicense", {"This is free and unencumbered software released into the public domain", ""}},
    {"MIT", {"Permission is hereby granted, free of charge, to any person obtaining a copy", ""}},
    {"ISC", {"Permission to use, copy, modify, and", "distribute this software for any purpose"}},
    {"BSD-3-Clause", {"Redistribution and use in source and binary forms", "Neither the name of"}},
    {"BSD-2-Clause",
     {"Redistribution and use in source and binary forms", "THIS SOFTWARE IS PROVIDED"}},
    {"Zlib", {"This software is provided 'as-is'", "Altered source versions"}},
    {"WTFPL", {"DO WHAT THE FUCK YOU WANT TO PUBLIC LICENSE", ""}},
};

bool license_is_file_name(const char *name)
{
    static const char *const names[] = {"license", "licence", "copying", "unlicense"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t size = strlen(names[i]);

        if (strncasecmp(name, names[i], size) == 0 && strchr(".-_", name[size]) != NULL)
            return true; /* strchr also finds the name's end */
    }
    return false;
}

/* Runs of white space become one space; texts differ in how they break their lines. */
static size_t squeeze(struct ag_bytes text, char out[TEXT_LOOKED_AT])
{
    size_t size = 0;

    for (size_t i = 0; i < text.size && size < TEXT_LOOKED_AT; i++) {
        bool white = isspace(text.data[i]);

        if (!white || (size > 0 && out[size - 1] != ' '))
            out[size++] = (char)(white ? ' ' : text.data[i]);
    }
    return size;
}

const char *license_of_text(struct ag_bytes text)
{
    char head[TEXT_LOOKED_AT];
    size_t size = squeeze(text, head);

    for (size_t i = 0; i < sizeof licenses / sizeof *licenses; i++) {
        const char *first = licenses[i].texts[0], *second = licenses[i].texts[1];

        if (memmem(head, size, first, strlen(first)) != NULL &&
            memmem(head, size, second, strlen(second)) != NULL)
            return licenses[i].id;
    }
    return "";
}

const char *license_called(struct ag_bytes id)
{
    for (size_t i = 0; i < sizeof licenses / sizeof *licenses; i++)
        if (ag_bytes_are(id, licenses[i].id))
            return licenses[i].id;
    return id.size == 0 ? "" : NULL;
}

struct ag_bytes license_expression(struct ag_bytes rest)
{
    size_t from = 0, to;

    while (from < rest.size && (rest.data[from] == ' ' || rest.data[from] == '\t'))
        from++;
    for (to = from;
         to < rest.size && to - from <= LICENSE_ID_BYTES_MAX &&
         (isalnum(rest.data[to]) || strchr(".-+() ", rest.data[to] ? rest.data[to] : '"'));)
        to++;
    while (to > from && (rest.data[to - 1] == ' ' || rest.data[to - 1] == '-'))
        to--; /* also the "--" of "-->" */
    if (to - from > LICENSE_ID_BYTES_MAX)
        to = from;
    return ag_bytes_of(rest.data + from, to - from);
}
