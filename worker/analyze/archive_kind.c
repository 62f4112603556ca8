#include "worker/analyze/archive_kind.h"

/* By its magic, or by its checksum alone: the oldest have no magic. */
static bool is_tar(struct ag_bytes first)
{
    unsigned long sum = 0, told = 0;
    size_t digits = 0;

    if (first.size < ARCHIVE_FIRST_BYTES)
        return false;
    if (memcmp(first.data + 257, "ustar", 5) == 0)
        return true;
    for (size_t i = 0; i < ARCHIVE_FIRST_BYTES; i++)
        sum += i >= 148 && i < 156 ? ' ' : first.data[i];
    for (size_t i = 148; i < 156; i++) {
        if (first.data[i] >= '0' && first.data[i] <= '7') {
            told = told * 8 + (first.data[i] - '0');
            digits++;
        } else if (digits > 0 || first.data[i] != ' ') {
            break;
        }
    }
    return digits > 0 && told == sum && first.data[0] != '\0';
}

enum archive_kind archive_kind_of(struct ag_bytes first)
{
    static const char *const zips[] = {"PK\3\4", "PK\5\6", "PK\7\10"};

    for (size_t i = 0; i < 3; i++)
        if (first.size >= 4 && memcmp(first.data, zips[i], 4) == 0)
            return ARCHIVE_ZIP;
    if (first.size >= 6 && memcmp(first.data, "7z\xbc\xaf\x27\x1c", 6) == 0)
        return ARCHIVE_7Z;
    return is_tar(first) ? ARCHIVE_TAR : ARCHIVE_NONE;
}
