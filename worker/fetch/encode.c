/* Values that become a request's body. */
#include "worker/fetch/encode.h"

#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/limits.h"

/* What becomes the request's body: the encoded text is taken over. */
static bool set_data(struct request *out, struct ag_buffer *text, const char *type)
{
    bool ok = !text->failed && ag_buffer_reserve(text, 1) != NULL;

    free(out->data);
    out->data_size = text->size;
    out->data = ok ? (char *)ag_buffer_take(text, &out->data_size) : NULL;
    if (ok && out->data == NULL)
        out->data = strdup("");
    out->data_type = type;
    out->bodies++;
    ag_buffer_free(text);
    return out->data != NULL;
}

static void put_encoded(struct ag_buffer *out, struct ag_bytes text)
{
    /* WHATWG URL, application/x-www-form-urlencoded: these stay, a space becomes a plus. */
    static const char plain[] = "*-._";

    for (size_t i = 0; i < text.size; i++) {
        char c = (char)text.data[i];

        if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
            memchr(plain, c, sizeof plain - 1) != NULL)
            ag_buffer_append(out, &c, 1);
        else if (c == ' ')
            ag_buffer_text(out, "+");
        else
            ag_buffer_printf(out, "%%%02X", (unsigned char)c);
    }
}

static bool put_field(struct ag_buffer *out, struct ag_bytes name, struct ag_reader *reader)
{
    struct ag_reader again = *reader;
    uint32_t count = ag_read_array(&again);

    if (again.failed)
        count = 1;
    else
        *reader = again;
    for (uint32_t i = 0; i < count; i++) {
        struct ag_bytes value = ag_read_text(reader, AG_PAYLOAD_BYTES_MAX);

        if (reader->failed)
            return false;
        if (out->size > 0)
            ag_buffer_text(out, "&");
        put_encoded(out, name);
        ag_buffer_text(out, "=");
        put_encoded(out, value);
    }
    return true;
}

bool encode_form(struct request *out, struct ag_reader *reader)
{
    struct ag_buffer text = ag_buffer_empty(4 * AG_PAYLOAD_BYTES_MAX);
    uint32_t pairs = ag_read_map(reader);

    for (uint32_t i = 0; i < pairs; i++) {
        struct ag_bytes name = ag_read_text(reader, AG_PAYLOAD_BYTES_MAX);

        if (reader->failed || !put_field(&text, name, reader)) {
            reader->failed = true;
            break;
        }
    }
    if (!reader->failed)
        return set_data(out, &text, "application/x-www-form-urlencoded");
    ag_buffer_free(&text);
    return false;
}

bool encode_json(struct request *out, struct ag_reader *reader)
{
    struct ag_buffer text = ag_buffer_empty(8 * AG_PAYLOAD_BYTES_MAX);
    struct ag_bytes raw = ag_read_raw(reader);
    json_t *json;

    if (reader->failed || ag_json_from_msgpack(raw, &json, NULL) < 0)
        return false;
    ag_json_print(json, &text);
    json_decref(json);
    return set_data(out, &text, "application/json");
}
