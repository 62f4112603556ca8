#include "client/cli/fetch_result.h"

#include <string.h>

#include "client/cli/amounts.h"
#include "common/duration.h"
#include "common/wire.h"

/* A value of another type is passed over. */
static uint64_t read_number(struct ag_reader *reader)
{
    struct ag_reader again = *reader;
    uint64_t number = ag_read_whole(&again, UINT64_MAX);

    ag_read_skip(reader);
    return again.failed ? 0 : number;
}

static struct ag_bytes read_text(struct ag_reader *reader)
{
    struct ag_reader again = *reader;
    struct ag_bytes text = ag_read_text(&again, SIZE_MAX);

    if (again.failed) { /* a path that is no text */
        again = *reader;
        text = ag_read_bin(&again, SIZE_MAX);
    }
    ag_read_skip(reader);
    return again.failed ? (struct ag_bytes){0} : text;
}

struct fetch_result fetch_result_read(const struct argosy_event *event)
{
    struct ag_reader reader = ag_reader_of(ag_bytes_of(event->result, event->result_size));
    struct fetch_result result = {0};
    uint32_t pairs = event->result != NULL ? ag_read_map(&reader) : 0;

    for (uint32_t i = 0; i < pairs && !reader.failed; i++) {
        struct ag_bytes key = ag_read_text(&reader, SIZE_MAX);

        if (ag_bytes_are(key, "status"))
            result.status = read_number(&reader);
        else if (ag_bytes_are(key, "bytes"))
            result.bytes = read_number(&reader);
        else if (ag_bytes_are(key, "url"))
            result.url = read_text(&reader);
        else if (ag_bytes_are(key, "file"))
            result.file = read_text(&reader);
        else
            ag_read_skip(&reader);
    }
    return result;
}

/* What printf would do for %llu, for a line that is printed a million times. */
static void put_number(uint64_t number, FILE *out)
{
    char text[24], *at = text + sizeof text;

    do {
        *--at = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    fwrite(at, 1, (size_t)(text + sizeof text - at), out);
}

static void put_time(const struct argosy_event *event, const char *gap, FILE *out)
{
    put_number(event->run_ms, out);
    fputs("ms", out);
    fputs(gap, out);
}

static void print_failure(const struct argosy_event *event, const char *gap, FILE *out)
{
    const struct argosy_node *error = event->error;
    const char *subject = error != NULL && error->subject[0] != '\0' ? error->subject : event->job;

    fputs(error != NULL                      ? error->error_type
          : event->state == ARGOSY_CANCELLED ? "cancelled"
                                             : "failed",
          out);
    fputs(gap, out);
    fputc('-', out);
    fputs(gap, out);
    put_time(event, gap, out);
    print_clean(subject, strlen(subject), out);
    fputc('\n', out);
}

void fetch_result_print(const struct cli *cli, const struct argosy_event *event, FILE *out)
{
    const char *gap = cli->is_terminal ? "  " : "\t";
    struct fetch_result result = fetch_result_read(event);
    char size[AG_AMOUNT_TEXT_SIZE];

    if (event->state != ARGOSY_SUCCEEDED || event->result == NULL) {
        print_failure(event, gap, out);
        return;
    }
    put_number(result.status, out);
    fputs(gap, out);
    fputs(ag_size_print(result.bytes, size), out);
    fputs(gap, out);
    put_time(event, gap, out);
    print_clean((const char *)result.url.data, result.url.size, out);
    if (result.file.size > 0) {
        fputs(gap, out);
        print_clean((const char *)result.file.data, result.file.size, out);
    }
    fputc('\n', out);
}
