#include "common/json.h"

#include <msgpack.h>
#include <stdlib.h>

#include "common/error.h"
#include "common/limits.h"
#include "common/wire.h"

/* ---- from msgpack
 * ------------------------------------------------------------------------------------- */

/* RFC 4648 section 4. */
static json_t *base64(const uint8_t *data, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *text = malloc((size + 2) / 3 * 4 + 1);
    char *at = text;
    json_t *json;

    if (text == NULL)
        return NULL;
    for (size_t i = 0; i < size; i += 3) {
        uint32_t three = (uint32_t)data[i] << 16;

        if (i + 1 < size)
            three |= (uint32_t)data[i + 1] << 8;
        if (i + 2 < size)
            three |= data[i + 2];
        *at++ = digits[three >> 18];
        *at++ = digits[three >> 12 & 63];
        *at++ = i + 1 < size ? digits[three >> 6 & 63] : '=';
        *at++ = i + 2 < size ? digits[three & 63] : '=';
    }
    *at = '\0';
    json = json_pack("{s:s}", "$base64", text);
    free(text);
    return json;
}

static json_t *from_bytes(const void *data, size_t size)
{
    if (size == 0)
        return json_string("");
    if (ag_is_utf8(ag_bytes_of(data, size)))
        return json_stringn(data, size);
    return base64(data, size);
}

static json_t *from_object(const msgpack_object *object);

static json_t *from_array(const msgpack_object_array *array)
{
    json_t *json = json_array();

    for (uint32_t i = 0; json != NULL && i < array->size; i++) {
        if (json_array_append_new(json, from_object(&array->ptr[i])) < 0) {
            json_decref(json);
            return NULL;
        }
    }
    return json;
}

/* JSON's names are text: other keys are written as their JSON. */
static int put_member(json_t *json, const msgpack_object_kv *pair)
{
    json_t *value = from_object(&pair->val);
    json_t *key = value != NULL ? from_object(&pair->key) : NULL;
    char *text = NULL;
    int rc = -1;

    if (key == NULL) {
        json_decref(value);
        return -1;
    }
    if (json_is_string(key))
        rc = json_object_setn_new(json, json_string_value(key), json_string_length(key), value);
    else if ((text = json_dumps(key, JSON_ENCODE_ANY | JSON_COMPACT)) != NULL)
        rc = json_object_set_new(json, text, value);
    else
        json_decref(value);
    free(text);
    json_decref(key);
    return rc;
}

static json_t *from_map(const msgpack_object_map *map)
{
    json_t *json = json_object();

    for (uint32_t i = 0; json != NULL && i < map->size; i++) {
        if (put_member(json, &map->ptr[i]) < 0) {
            json_decref(json);
            return NULL;
        }
    }
    return json;
}

static json_t *from_object(const msgpack_object *object)
{
    switch (object->type) {
    case MSGPACK_OBJECT_BOOLEAN:
        return json_boolean(object->via.boolean);
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        if (object->via.u64 > INT64_MAX)
            return json_real((double)object->via.u64);
        return json_integer((json_int_t)object->via.u64);
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        return json_integer(object->via.i64);
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64: {
        json_t *real = json_real(object->via.f64); /* NULL for infinities, which JSON has not */

        return real != NULL ? real : json_null();
    }
    case MSGPACK_OBJECT_STR:
        return from_bytes(object->via.str.ptr, object->via.str.size);
    case MSGPACK_OBJECT_BIN:
        return from_bytes(object->via.bin.ptr, object->via.bin.size);
    case MSGPACK_OBJECT_ARRAY:
        return from_array(&object->via.array);
    case MSGPACK_OBJECT_MAP:
        return from_map(&object->via.map);
    case MSGPACK_OBJECT_NIL:
    case MSGPACK_OBJECT_EXT:
        break;
    }
    return json_null();
}

int ag_json_from_msgpack(struct ag_bytes bytes, json_t **out, struct argosy_error *err)
{
    msgpack_unpacked unpacked;
    size_t offset = 0;
    int rc = ag_wire_check(bytes, AG_WIRE_DEPTH_MAX, AG_BODY_OBJECTS_MAX);

    *out = NULL;
    if (rc < 0)
        return ag_fail(err, ARGOSY_EPROTO, "not msgpack, or nested too deeply");
    msgpack_unpacked_init(&unpacked);
    if (msgpack_unpack_next(&unpacked, (const char *)bytes.data, bytes.size, &offset) ==
        MSGPACK_UNPACK_SUCCESS)
        *out = from_object(&unpacked.data);
    msgpack_unpacked_destroy(&unpacked);
    return *out != NULL ? 0 : ag_fail(err, ARGOSY_ENOMEM, "no memory for a value");
}

/* ---- to msgpack
 * --------------------------------------------------------------------------------------- */

static void pack(msgpack_packer *p, const json_t *json)
{
    const json_t *item;
    void *member;
    size_t index;

    switch (json_typeof(json)) {
    case JSON_OBJECT:
        msgpack_pack_map(p, json_object_size(json));
        /* By length, not by foreach: a key that came from msgpack may hold a zero. */
        for (member = json_object_iter((json_t *)json); member != NULL;
             member = json_object_iter_next((json_t *)json, member)) {
            msgpack_pack_str_with_body(p, json_object_iter_key(member),
                                       json_object_iter_key_len(member));
            pack(p, json_object_iter_value(member));
        }
        break;
    case JSON_ARRAY:
        msgpack_pack_array(p, json_array_size(json));
        json_array_foreach(json, index, item) pack(p, item);
        break;
    case JSON_STRING:
        msgpack_pack_str_with_body(p, json_string_value(json), json_string_length(json));
        break;
    case JSON_INTEGER:
        msgpack_pack_int64(p, json_integer_value(json));
        break;
    case JSON_REAL:
        msgpack_pack_double(p, json_real_value(json));
        break;
    case JSON_TRUE:
        msgpack_pack_true(p);
        break;
    case JSON_FALSE:
        msgpack_pack_false(p);
        break;
    case JSON_NULL:
        msgpack_pack_nil(p);
        break;
    }
}

int ag_json_to_msgpack(const json_t *json, struct ag_buffer *out)
{
    msgpack_packer packer;

    msgpack_packer_init(&packer, out, ag_buffer_write);
    pack(&packer, json);
    return out->failed ? ARGOSY_ENOMEM : 0;
}

/* ---- text
 * --------------------------------------------------------------------------------------------- */

int ag_json_parse(const char *text, size_t size, json_t **out, struct argosy_error *err)
{
    json_error_t where;

    *out = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &where);
    if (*out == NULL)
        return ag_fail(err, ARGOSY_EINVAL, "not JSON: %s (line %d, column %d)", where.text,
                       where.line, where.column);
    return 0;
}

static int append(const char *data, size_t size, void *buffer)
{
    ag_buffer_append(buffer, data, size);
    return ((struct ag_buffer *)buffer)->failed ? -1 : 0;
}

int ag_json_print(const json_t *json, struct ag_buffer *out)
{
    if (json_dump_callback(json, append, out,
                           JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15)) < 0)
        return ARGOSY_ENOMEM;
    return 0;
}
