#include "common/wire.h"

#include <argosy/error.h>

#include "common/limits.h"

/* What the first byte of a value says. `size` counts bytes of the head beyond the first; the body
 * is `count` bytes (text, bin, ext), or `count` values follow (array: 1 each, map: 2 each). */
enum shape { NIL, BOOL, WHOLE, NEGATIVE, FLOAT, TEXT, BIN, EXT, ARRAY, MAP, BAD };

struct head {
    enum shape shape;
    uint64_t value; /* the number, or how many bytes or values follow */
};

static uint64_t big_endian(const uint8_t *at, size_t size)
{
    uint64_t value = 0;

    for (size_t i = 0; i < size; i++)
        value = value << 8 | at[i];
    return value;
}

/* Rows for 0xc0 to 0xdf; the rest of the first bytes is in ranges. */
static const struct {
    enum shape shape;
    uint8_t size; /* of the number behind the first byte; for FLOAT the body */
} heads[32] = {
    {NIL, 0},   {BAD, 0},   {BOOL, 0},     {BOOL, 0},     {BIN, 1},      {BIN, 2},      {BIN, 4},
    {EXT, 1},   {EXT, 2},   {EXT, 4},      {FLOAT, 4},    {FLOAT, 8},    {WHOLE, 1},    {WHOLE, 2},
    {WHOLE, 4}, {WHOLE, 8}, {NEGATIVE, 1}, {NEGATIVE, 2}, {NEGATIVE, 4}, {NEGATIVE, 8}, {EXT, 0},
    {EXT, 0},   {EXT, 0},   {EXT, 0},      {EXT, 0},      {TEXT, 1},     {TEXT, 2},     {TEXT, 4},
    {ARRAY, 2}, {ARRAY, 4}, {MAP, 2},      {MAP, 4},
};

/* Take the head of the next value; body bytes and children are still to come. */
static struct head take_head(struct ag_reader *self)
{
    const struct head bad = {BAD, 0};
    uint8_t first;
    struct head head;
    size_t size;

    if (self->failed || self->at >= self->end)
        return self->failed = true, bad;
    first = *self->at++;
    if (first < 0x80)
        return (struct head){WHOLE, first};
    if (first < 0x90)
        return (struct head){MAP, first & 0x0f};
    if (first < 0xa0)
        return (struct head){ARRAY, first & 0x0f};
    if (first < 0xc0)
        return (struct head){TEXT, first & 0x1f};
    if (first >= 0xe0)
        return (struct head){NEGATIVE, 0};
    head.shape = heads[first - 0xc0].shape;
    size = heads[first - 0xc0].size;
    if (head.shape == BAD || (size_t)(self->end - self->at) < size)
        return self->failed = true, bad;
    if (head.shape == EXT && size == 0) /* fixext 1, 2, 4, 8, 16: a type byte and the body */
        return (struct head){EXT, 1 + ((uint64_t)1 << (first - 0xd4))};
    head.value = head.shape == BOOL ? first & 1 : big_endian(self->at, size);
    self->at += size;
    if (head.shape == EXT)
        head.value++; /* the type byte */
    if (head.shape == NEGATIVE && (self->at[-(ptrdiff_t)size] & 0x80) == 0)
        head.shape = WHOLE; /* a signed encoding may hold a number that is not negative */
    return head;
}

static bool has_body(enum shape shape)
{
    return shape == TEXT || shape == BIN || shape == EXT;
}

/* Pass over the body of text, bin or ext; returns where it began. */
static const uint8_t *take_body(struct ag_reader *self, uint64_t size)
{
    const uint8_t *body = self->at;

    if (self->failed || (uint64_t)(self->end - self->at) < size)
        return self->failed = true, NULL;
    self->at += size;
    return body;
}

/* Pass over one value without recursion: `open[]` counts what is still missing at each level. */
static void pass_value(struct ag_reader *self, size_t depth_max, size_t objects_max)
{
    uint64_t open[AG_WIRE_DEPTH_MAX + 1];
    size_t depth = 0, objects = 0;

    open[0] = 1;
    for (;;) {
        struct head head;
        uint64_t children;

        while (open[depth] == 0) {
            if (depth-- == 0)
                return;
        }
        open[depth]--;
        head = take_head(self);
        if (self->failed || ++objects > objects_max) {
            self->failed = true;
            return;
        }
        if (has_body(head.shape))
            take_body(self, head.value);
        if (head.shape != ARRAY && head.shape != MAP)
            continue;
        children = head.shape == MAP ? 2 * head.value : head.value;
        /* Each child takes a byte at least: a count that the bytes cannot hold is a lie. */
        if (children > (uint64_t)(self->end - self->at) ||
            (children > 0 && depth + 1 >= depth_max)) {
            self->failed = true;
            return;
        }
        if (children > 0)
            open[++depth] = children;
    }
}

int ag_wire_check(struct ag_bytes bytes, size_t depth_max, size_t objects_max)
{
    struct ag_reader reader = ag_reader_of(bytes);

    if (depth_max > AG_WIRE_DEPTH_MAX)
        depth_max = AG_WIRE_DEPTH_MAX;
    if (bytes.data == NULL)
        return ARGOSY_EPROTO;
    pass_value(&reader, depth_max, objects_max);
    return reader.failed || reader.at != reader.end ? ARGOSY_EPROTO : 0;
}

/* Take a head that must have this shape. */
static uint64_t expect(struct ag_reader *self, enum shape shape, uint64_t max)
{
    struct head head = take_head(self);

    if (self->failed || head.shape != shape || head.value > max) {
        self->failed = true;
        return 0;
    }
    return head.value;
}

uint32_t ag_read_array(struct ag_reader *self)
{
    return (uint32_t)expect(self, ARRAY, UINT32_MAX);
}

uint32_t ag_read_map(struct ag_reader *self)
{
    return (uint32_t)expect(self, MAP, UINT32_MAX);
}

uint64_t ag_read_whole(struct ag_reader *self, uint64_t max)
{
    return expect(self, WHOLE, max);
}

bool ag_read_bool(struct ag_reader *self)
{
    return expect(self, BOOL, 1) != 0;
}

/* RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. */
static bool is_utf8(const uint8_t *at, size_t size)
{
    const uint8_t *end = size > 0 ? at + size : at;

    while (at < end) {
        uint8_t first;
        uint64_t eight;
        unsigned more;
        uint8_t low = 0x80, high = 0xbf; /* what the second byte may be */

        if (end - at >= 8) { /* nearly all of it is ASCII */
            memcpy(&eight, at, 8);
            if ((eight & 0x8080808080808080u) == 0) {
                at += 8;
                continue;
            }
        }
        first = *at++;
        if (first < 0x80)
            continue;
        if (first >= 0xc2 && first <= 0xdf)
            more = 1;
        else if (first >= 0xe0 && first <= 0xef)
            more = 2;
        else if (first >= 0xf0 && first <= 0xf4)
            more = 3;
        else
            return false;
        if (first == 0xe0)
            low = 0xa0;
        else if (first == 0xed)
            high = 0x9f;
        else if (first == 0xf0)
            low = 0x90;
        else if (first == 0xf4)
            high = 0x8f;
        for (; more > 0; more--, at++, low = 0x80, high = 0xbf)
            if (at == end || *at < low || *at > high)
                return false;
    }
    return true;
}

bool ag_is_utf8(struct ag_bytes text)
{
    return is_utf8(text.data, text.size);
}

static struct ag_bytes take_bytes(struct ag_reader *self, enum shape shape, size_t size_max)
{
    uint64_t size = expect(self, shape, size_max);
    const uint8_t *body = take_body(self, size);

    if (body == NULL || (shape == TEXT && !is_utf8(body, (size_t)size))) {
        self->failed = true;
        return (struct ag_bytes){0};
    }
    return ag_bytes_of(body, (size_t)size);
}

struct ag_bytes ag_read_text(struct ag_reader *self, size_t size_max)
{
    return take_bytes(self, TEXT, size_max);
}

struct ag_bytes ag_read_bin(struct ag_reader *self, size_t size_max)
{
    return take_bytes(self, BIN, size_max);
}

bool ag_read_is_nil(struct ag_reader *self)
{
    if (self->failed || self->at >= self->end || *self->at != 0xc0)
        return false;
    self->at++;
    return true;
}

struct ag_bytes ag_read_bin_or_nil(struct ag_reader *self, size_t size_max)
{
    if (ag_read_is_nil(self))
        return (struct ag_bytes){0};
    return ag_read_bin(self, size_max);
}

struct ag_id ag_read_id(struct ag_reader *self)
{
    struct ag_bytes bytes = ag_read_bin(self, sizeof(struct ag_id));
    struct ag_id id = {0};

    if (bytes.size != sizeof id)
        self->failed = true;
    else
        memcpy(&id, bytes.data, sizeof id);
    return id;
}

struct ag_id ag_read_id_or_nil(struct ag_reader *self)
{
    if (ag_read_is_nil(self))
        return (struct ag_id){0};
    return ag_read_id(self);
}

struct ag_bytes ag_read_raw(struct ag_reader *self)
{
    const uint8_t *begin = self->at;

    pass_value(self, AG_WIRE_DEPTH_MAX, AG_BODY_OBJECTS_MAX);
    if (self->failed)
        return (struct ag_bytes){0};
    return ag_bytes_of(begin, (size_t)(self->at - begin));
}

void ag_read_skip(struct ag_reader *self)
{
    (void)ag_read_raw(self);
}
