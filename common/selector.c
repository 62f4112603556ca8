#include "common/selector.h"

#include "common/error.h"
#include "common/limits.h"

bool ag_selector_matches(struct ag_bytes selector, struct ag_bytes type)
{
    if (selector.size == 0 || selector.size > type.size)
        return false;
    if (memcmp(selector.data, type.data, selector.size) != 0)
        return false;
    return selector.size == type.size || type.data[selector.size] == '.';
}

bool ag_selector_list_matches(struct ag_bytes selectors, struct ag_bytes type)
{
    while (selectors.size > 0) {
        const uint8_t *comma = memchr(selectors.data, ',', selectors.size);
        size_t size = comma != NULL ? (size_t)(comma - selectors.data) : selectors.size;

        if (ag_selector_matches(ag_bytes_of(selectors.data, size), type))
            return true;
        if (comma == NULL)
            return false;
        selectors.data += size + 1;
        selectors.size -= size + 1;
    }
    return false;
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

int ag_selector_check(const char *text, struct argosy_error *err)
{
    size_t size = strlen(text);
    char before = '.';

    for (size_t i = 0; i <= size; i++) {
        bool ok = i == size || text[i] == '.' ? before != '.' : is_word(text[i]);

        if (!ok || size > AG_NAME_BYTES_MAX)
            return ag_fail(err, ARGOSY_EINVAL,
                           "'%.64s' is not a selector (the beginning of a type, such as "
                           "fetch.timeout)",
                           text);
        before = text[i];
    }
    return 0;
}
