/* The codec: what is encoded is decoded the same, and nothing else is taken. */
#include "tests/unit/cmocka_prelude.h"

#include <stdlib.h>

#include "common/random.h"
#include "common/wire.h"
#include "tests/unit/proto_samples.h"

enum {
    FRAME_MAX = 2 * AG_MESSAGE_BYTES_MAX, /* some tests make what is too large */
    PRINTED_MAX = 16 << 20,
};

static const enum ag_message types[] = {
#define X(number, NAME, name, senders, meaning) AG_##NAME,
    AG_MESSAGES(X)
#undef X
};
enum { TYPES_COUNT = sizeof types / sizeof types[0] };

static struct proto decoded;

/* From memory of exactly its size, so that a sanitizer sees a read beyond it. What was decoded
 * borrows from it: give it back with free(). */
static uint8_t *exactly(struct ag_bytes frame)
{
    uint8_t *copy = malloc(frame.size ? frame.size : 1);

    assert_non_null(copy);
    if (frame.size > 0)
        memcpy(copy, frame.data, frame.size);
    return copy;
}

/* Whether the frame is taken; a refusal must be well formed. */
static bool takes(struct ag_bytes frame)
{
    struct argosy_error err = {0};
    uint8_t *copy = exactly(frame);
    int rc = ag_proto_decode(ag_bytes_of(copy, frame.size), &decoded, &err);

    free(copy);
    if (rc == 0)
        return true;
    assert_fails(rc, ARGOSY_EPROTO);
    assert_int_equal(err.code, ARGOSY_EPROTO);
    if (strncmp(err.message, "rejected.malformed: ", 20) != 0 &&
        strncmp(err.message, "rejected.message: ", 18) != 0)
        fail_msg("a strange refusal: %s", err.message);
    return false;
}

static struct ag_buffer encode(const struct proto *message)
{
    struct ag_buffer frame = ag_buffer_empty(FRAME_MAX);

    ag_proto_encode(&frame, message);
    assert_false(frame.failed);
    return frame;
}

static bool takes_message(const struct proto *message)
{
    struct ag_buffer frame = encode(message);
    bool taken = takes(ag_buffer_bytes(&frame));

    ag_buffer_free(&frame);
    return taken;
}

static struct ag_buffer print(struct proto *message)
{
    struct ag_buffer text = ag_buffer_empty(PRINTED_MAX);

    print_fields(&text, message);
    assert_false(text.failed);
    return text;
}

/* The frame says what the message says. */
static void assert_says(const char *what, struct ag_bytes frame, struct proto *message)
{
    struct argosy_error err = {0};
    uint8_t *copy = exactly(frame);
    struct ag_buffer expected = print(message), got;

    if (ag_proto_decode(ag_bytes_of(copy, frame.size), &decoded, &err) < 0)
        fail_msg("%s of %s: %s", what, ag_message_name(message->type), err.message);
    got = print(&decoded);
    if (!ag_bytes_equal(ag_buffer_bytes(&got), ag_buffer_bytes(&expected)))
        fail_msg("%s of %s: expected\n%.4000s\ngot\n%.4000s", what, ag_message_name(message->type),
                 ag_buffer_as_text(&expected), ag_buffer_as_text(&got));
    ag_buffer_free(&expected);
    ag_buffer_free(&got);
    free(copy);
}

/* ---- there and back ------------------------------------------------------------------------- */

static void every_message_is_decoded_as_it_was_encoded(void **state)
{
    static const struct {
        enum style style;
        uint32_t items;
    } cases[] = {
        {STYLE_LEAST, 0},          {STYLE_LEAST, 1},   {STYLE_DISTINCT, 1},
        {STYLE_DISTINCT, 3},       {STYLE_LARGEST, 2}, {STYLE_DISTINCT, UINT32_MAX},
        {STYLE_LEAST, UINT32_MAX},
    };

    (void)state;
    for (int i = 0; i < TYPES_COUNT; i++)
        for (size_t j = 0; j < sizeof cases / sizeof cases[0]; j++) {
            struct proto *message = sample(types[i], cases[j].style, cases[j].items);
            struct ag_buffer frame;

            assert_non_null(message);
            frame = encode(message);
            assert_says("a round trip", ag_buffer_bytes(&frame), message);
            ag_buffer_free(&frame);
        }
}

static void every_message_takes_all_its_lists_full_of_the_largest(void **state)
{
    (void)state;
    for (int i = 0; i < TYPES_COUNT; i++) {
        /* 64 events with 103 attempts of a kilobyte each are no frame any more. */
        uint32_t items = types[i] == AG_EVENTS ? 32 : UINT32_MAX;
        struct proto *message = sample(types[i], STYLE_LARGEST, items);
        struct ag_buffer frame;

        assert_non_null(message);
        frame = encode(message);
        assert_says("the largest", ag_buffer_bytes(&frame), message);
        ag_buffer_free(&frame);
    }
}

static void an_append_to_a_full_buffer_fails_and_is_told(void **state)
{
    (void)state;
    for (int i = 0; i < TYPES_COUNT; i++) {
        struct proto *message = sample(types[i], STYLE_DISTINCT, 1);
        struct ag_buffer whole = encode(message);

        for (size_t size_max = 0; size_max < whole.size; size_max++) {
            struct ag_buffer frame = ag_buffer_empty(size_max);

            ag_proto_encode(&frame, message);
            assert_true(frame.failed);
            ag_buffer_free(&frame);
        }
        ag_buffer_free(&whole);
    }
}

static size_t encoded_size(const struct proto *message)
{
    struct ag_buffer frame = encode(message);
    size_t size = frame.size;

    ag_buffer_free(&frame);
    return size;
}

static void what_is_absent_travels_as_nil_and_what_is_empty_does_not(void **state)
{
    struct proto *message = sample(AG_RESULTS, STYLE_LEAST, 1);
    size_t size = encoded_size(message);

    (void)state;
    message->results.items[0].result = ag_bytes_of("", 0);
    assert_int_equal(encoded_size(message), size + 1); /* c4 00 for c0 */
    assert_true(takes_message(message));
    assert_non_null(decoded.results.items[0].result.data);
    assert_null(decoded.results.items[0].error.data);

    message = sample(AG_SUBMIT, STYLE_LEAST, 1);
    size = encoded_size(message);
    message->submit.jobs[0].group.bytes[15] = 1;
    assert_int_equal(encoded_size(message), size + 17); /* c4 10 and 16 bytes for c0 */
}

static void names_are_those_of_the_table(void **state)
{
    (void)state;
#define X(number, NAME, name, senders, meaning) assert_string_equal(ag_message_name(number), #NAME);
    AG_MESSAGES(X)
#undef X
    assert_string_equal(ag_message_name(0), "?");
    assert_string_equal(ag_message_name(7), "?");
    assert_string_equal(ag_message_name(UINT32_MAX), "?");
}

/* ---- what is not a message ------------------------------------------------------------------ */

static void a_frame_cut_at_any_byte_is_refused(void **state)
{
    (void)state;
    for (int i = 0; i < TYPES_COUNT; i++)
        for (uint32_t items = 0; items < 3; items++) {
            struct ag_buffer frame = encode(sample(types[i], STYLE_DISTINCT, items));

            for (size_t size = 0; size < frame.size; size++)
                if (takes(ag_bytes_of(frame.data, size)))
                    fail_msg("%s is taken with %zu of %zu bytes", ag_message_name(types[i]), size,
                             frame.size);
            ag_buffer_append(&frame, "\xc0", 1);
            assert_false(takes(ag_buffer_bytes(&frame)));
            ag_buffer_free(&frame);
        }
    assert_false(takes((struct ag_bytes){0}));
    assert_fails(ag_proto_decode((struct ag_bytes){0}, &decoded, NULL), ARGOSY_EPROTO);
}

static void unknown_numbers_are_refused_as_such(void **state)
{
    (void)state;
    for (uint32_t number = 0; number < 70000; number++) {
        uint8_t frame[] = {0x91,
                           0xce,
                           (uint8_t)(number >> 24),
                           (uint8_t)(number >> 16),
                           (uint8_t)(number >> 8),
                           (uint8_t)number};
        struct argosy_error err = {0};
        bool is_known = strcmp(ag_message_name(number), "?") != 0;

        assert_fails(ag_proto_decode(ag_bytes_of(frame, sizeof frame), &decoded, &err),
                     ARGOSY_EPROTO);
        assert_true(decoded.type == number);
        if (strncmp(err.message, is_known ? "rejected.malformed: " : "rejected.message: ",
                    is_known ? 20 : 18) != 0)
            fail_msg("number %u: %s", (unsigned)number, err.message);
        if (number == 300) /* then in steps */
            number = 65000;
    }
}

static void what_does_not_begin_with_a_number_is_malformed(void **state)
{
    static const char *const frames[] = {
        "\x90", "\x91\xc0", "\x91\xa4PING", "\x80",
        "\x04", "\xa4PING", "\x81\x04\x01", "\x92\xff\x01",
    };

    (void)state;
    for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++) {
        struct argosy_error err = {0};

        assert_fails(ag_proto_decode(ag_bytes_of_text(frames[i]), &decoded, &err), ARGOSY_EPROTO);
        assert_memory_equal(err.message, "rejected.malformed: ", 20);
        assert_true(decoded.type == 0);
    }
}

/* ---- fields one by one ---------------------------------------------------------------------- */

/* Finds the field with a number in a message, whatever it is. */
struct finder {
    struct visitor visitor; /* first */
    unsigned wanted, seen;
    struct field found;
};

static void find(struct visitor *visitor, const struct field *field)
{
    struct finder *self = (struct finder *)visitor;

    if (self->seen++ == self->wanted)
        self->found = *field;
}

static bool find_field(struct proto *message, unsigned number, struct field *field)
{
    struct finder finder = {.visitor = {find}, .wanted = number};

    fields_of_message(&finder.visitor, message);
    *field = finder.found;
    return finder.seen > number;
}

static void check_number(struct proto *message, const struct field *field)
{
    static const uint8_t largest[] = {0xce, 0xff, 0xff, 0xff, 0xff};
    static const uint8_t one_more[] = {0xcf, 0, 0, 0, 1, 0, 0, 0, 0};
    uint32_t *number = field->at;

    *number = (uint32_t)field->low;
    assert_true(takes_message(message));
    *number = (uint32_t)field->high;
    assert_true(takes_message(message));
    if (field->low > 0) {
        *number = (uint32_t)field->low - 1;
        assert_false(takes_message(message));
    }
    if (field->high < UINT32_MAX) {
        *number = (uint32_t)field->high + 1;
        assert_false(takes_message(message));
        *number = UINT32_MAX;
        assert_false(takes_message(message));
    } else { /* what 32 bits do not hold, written into the frame */
        struct ag_buffer frame = encode(message), wide = ag_buffer_empty(FRAME_MAX);
        const uint8_t *at = memmem(frame.data, frame.size, largest, sizeof largest);
        size_t before;

        assert_non_null(at);
        before = (size_t)(at - frame.data);
        ag_buffer_append(&wide, frame.data, before);
        ag_buffer_append(&wide, one_more, sizeof one_more);
        ag_buffer_append(&wide, at + sizeof largest, frame.size - before - sizeof largest);
        assert_false(takes(ag_buffer_bytes(&wide)));
        ag_buffer_free(&frame);
        ag_buffer_free(&wide);
    }
}

static void check_size(struct proto *message, const struct field *field)
{
    bool is_payload = field->kind == FIELD_PAYLOAD || field->kind == FIELD_PAYLOAD_OR_NIL;
    bool shares_its_bound = field->kind == FIELD_BIN_OR_NIL; /* result and error: tested apart */
    size_t too_much = is_payload ? AG_MESSAGE_BYTES_MAX : (size_t)field->high + 1;
    char *many = malloc(too_much);
    struct ag_bytes *bytes = field->at;

    assert_non_null(many);
    memset(many, 'x', too_much);
    *bytes = ag_bytes_of(many, (size_t)field->high);
    if (!shares_its_bound)
        assert_true(takes_message(message));
    *bytes = ag_bytes_of(many, too_much);
    assert_false(takes_message(message));
    *bytes = ag_bytes_of("", 0);
    assert_true(takes_message(message));
    *bytes = ag_bytes_of_text("\xc3\xa9 \xed\xa0\x80"); /* half of a surrogate pair */
    assert_int_equal(takes_message(message), field->kind != FIELD_TEXT && field->kind != FIELD_IDS);
    free(many);
}

/* A list is counted in front: take the frames with none and with one, and repeat the difference. */
static void check_count(enum ag_message type, unsigned number, const struct field *field)
{
    struct proto *message = sample(type, STYLE_DISTINCT, 1);
    struct ag_buffer one = encode(message), none;
    struct field again;
    size_t head = 0, item_size;

    assert_true(find_field(message, number, &again));
    *(uint32_t *)again.at = 0;
    if (again.raw != NULL)
        *again.raw = (struct ag_bytes){0};
    none = encode(message);
    while (one.data[head] == none.data[head])
        head++;
    assert_int_equal(none.data[head], 0x90);
    assert_int_equal(one.data[head], 0x91);
    item_size = one.size - none.size;
    for (uint32_t count = (uint32_t)field->high; count < field->high + 3; count++) {
        struct ag_buffer frame = ag_buffer_empty(FRAME_MAX);
        uint8_t array[] = {0xdc, (uint8_t)(count >> 8), (uint8_t)count};

        ag_buffer_append(&frame, one.data, head);
        ag_buffer_append(&frame, array, sizeof array);
        for (uint32_t i = 0; i < count; i++)
            ag_buffer_append(&frame, one.data + head + 1, item_size);
        ag_buffer_append(&frame, none.data + head + 1, none.size - head - 1);
        assert_false(frame.failed);
        assert_int_equal(takes(ag_buffer_bytes(&frame)), count == field->high);
        ag_buffer_free(&frame);
    }
    ag_buffer_free(&one);
    ag_buffer_free(&none);
}

static void every_field_keeps_its_bounds(void **state)
{
    (void)state;
    for (int i = 0; i < TYPES_COUNT; i++) {
        struct proto *message;
        struct field field;

        for (unsigned number = 0;
             find_field(message = sample(types[i], STYLE_DISTINCT, 1), number, &field); number++) {
            switch (field.kind) {
            case FIELD_U32:
                check_number(message, &field);
                break;
            case FIELD_TEXT:
            case FIELD_BIN:
            case FIELD_BIN_OR_NIL:
            case FIELD_PAYLOAD:
            case FIELD_PAYLOAD_OR_NIL:
            case FIELD_IDS:
                check_size(message, &field);
                break;
            case FIELD_COUNT:
            case FIELD_TOKENS:
            case FIELD_ATTEMPTS:
            case FIELD_INPUTS:
                check_count(types[i], number, &field);
                break;
            case FIELD_U64: /* all values are fine */
            case FIELD_BOOL:
            case FIELD_ID: /* the wrong type is tried below */
            case FIELD_ID_OR_NIL:
                break;
            }
        }
    }
}

static void a_result_and_its_error_share_one_bound(void **state)
{
    const size_t half = AG_RESULT_BYTES_MAX / 2;
    char *many = calloc(1, half + 1);

    (void)state;
    assert_non_null(many);
    for (size_t more = 0; more < 2; more++) {
        struct proto *message = sample(AG_RESULTS, STYLE_DISTINCT, 1);

        message->results.items[0].result = ag_bytes_of(many, half);
        message->results.items[0].error = ag_bytes_of(many, half + more);
        assert_int_equal(takes_message(message), more == 0);
        message = sample(AG_EVENTS, STYLE_DISTINCT, 1);
        message->events.items[0].result = ag_bytes_of(many, half + more);
        message->events.items[0].error = ag_bytes_of(many, half);
        assert_int_equal(takes_message(message), more == 0);
    }
    free(many);
}

static void attempts_that_nobody_has_checked_can_be(void **state)
{
    struct ag_buffer list = ag_buffer_empty(AG_MESSAGE_BYTES_MAX);
    struct proto_attempt attempt = {
        .attempt = 1, .worker = ag_bytes_of_text("w"), .type = ag_bytes_of_text("t")};

    (void)state;
    assert_true(ag_proto_are_attempts(ag_buffer_bytes(&list), 0));
    assert_false(ag_proto_are_attempts(ag_buffer_bytes(&list), 1));
    ag_proto_append_attempt(&list, &attempt);
    ag_proto_append_attempt(&list, &attempt);
    assert_true(ag_proto_are_attempts(ag_buffer_bytes(&list), 2));
    assert_false(ag_proto_are_attempts(ag_buffer_bytes(&list), 1));
    assert_false(ag_proto_are_attempts(ag_buffer_bytes(&list), UINT32_MAX));
    list.data[list.size / 2] = 0xc1; /* no msgpack at all */
    assert_false(ag_proto_are_attempts(ag_buffer_bytes(&list), 2));
    ag_buffer_free(&list);
}

static void attempts_in_an_event_keep_their_bounds(void **state)
{
    static const struct {
        size_t worker, type, message;
        bool is_taken;
    } cases[] = {
        {64, 64, 1024, true},
        {65, 1, 1, false},
        {1, 65, 1, false},
        {1, 1, 1025, false},
    };
    static char many[2000];

    (void)state;
    memset(many, 'x', sizeof many);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct proto *message = sample(AG_EVENTS, STYLE_DISTINCT, 1);
        struct ag_buffer list = ag_buffer_empty(10000);
        struct proto_attempt attempt = {.worker = ag_bytes_of(many, cases[i].worker),
                                        .type = ag_bytes_of(many, cases[i].type),
                                        .message = ag_bytes_of(many, cases[i].message)};

        ag_proto_append_attempt(&list, &attempt);
        message->events.items[0].attempts = ag_buffer_bytes(&list);
        assert_int_equal(takes_message(message), cases[i].is_taken);
        ag_buffer_free(&list);
    }
}

static void the_version_is_ours_if_it_is_among_those_listed(void **state)
{
    struct ag_buffer frame = encode(sample(AG_HELLO, STYLE_LEAST, 0));

    (void)state;
    assert_int_equal(frame.data[2], 0x91); /* [1, [versions], ... */
    for (uint8_t count = 0; count < 12; count++)
        for (uint8_t ours = 0; ours <= count; ours++) {
            struct ag_buffer other = ag_buffer_empty(FRAME_MAX);
            uint8_t versions[20] = {(uint8_t)(0x90 | count)};
            bool taken;

            for (uint8_t i = 0; i < count; i++)
                versions[1 + i] = i == ours ? AG_PROTO_VERSION : AG_PROTO_VERSION + 1 + i;
            ag_buffer_append(&other, frame.data, 2);
            ag_buffer_append(&other, versions, 1u + count);
            ag_buffer_append(&other, frame.data + 4, frame.size - 4);
            taken = takes(ag_buffer_bytes(&other));
            assert_int_equal(taken, count <= 8);
            if (taken)
                assert_int_equal(decoded.hello.speaks_ours, ours < count);
            ag_buffer_free(&other);
        }
    ag_buffer_free(&frame);
}

/* ---- shapes --------------------------------------------------------------------------------- */

/* One value in a frame. */
struct place {
    size_t at, size;
    unsigned elements;   /* of an array; 0 for other values */
    size_t last_element; /* where the last of them begins */
};

struct places {
    struct place items[512];
    unsigned count;
};

/* Returns the end of the value at `at`; every value in it is listed too. */
static size_t list_places(struct places *places, struct ag_bytes frame, size_t at)
{
    struct ag_reader reader = ag_reader_of(ag_bytes_of(frame.data + at, frame.size - at));
    struct ag_bytes raw = ag_read_raw(&reader);
    struct place *place = &places->items[places->count++];
    bool is_long = raw.size > 2 && raw.data[0] == 0xdc; /* more than 15 elements */
    size_t next = at + (is_long ? 3 : 1);

    assert_true(places->count < 512 && raw.size > 0);
    *place = (struct place){.at = at, .size = raw.size};
    if (is_long || (raw.data[0] & 0xf0) == 0x90) {
        place->elements = is_long ? raw.data[2] : raw.data[0] & 15;
        for (unsigned i = 0; i < place->elements; i++) {
            place->last_element = next;
            next = list_places(places, frame, next);
        }
    }
    return at + raw.size;
}

static struct ag_buffer replace(struct ag_bytes frame, size_t at, size_t size,
                                struct ag_bytes instead)
{
    struct ag_buffer out = ag_buffer_empty(FRAME_MAX);

    ag_buffer_append(&out, frame.data, at);
    ag_buffer_append(&out, instead.data, instead.size);
    ag_buffer_append(&out, frame.data + at + size, frame.size - at - size);
    assert_false(out.failed);
    return out;
}

/* Where the number of an array's elements stands: in its first byte, or behind it. */
static size_t count_at(struct ag_bytes bytes, const struct place *place)
{
    return bytes.data[place->at] == 0xdc ? place->at + 2 : place->at;
}

/* Fields that came after the first peers: these do not send them. */
static bool may_lack_its_last(enum ag_message type, const struct place *place)
{
    return (type == AG_SUBMIT && place->elements == 6) || /* retry: budget_percent */
           (type == AG_EVENTS && place->elements == 14);  /* entry: note */
}

/* In these samples a list has one item and everything that has more elements is a tuple. */
static void tuples_may_grow_at_their_end_and_may_not_shrink(void **state)
{
    static const char *const extras[] = {"\xc0", "\x92\x01\x81\xa1k\x02", "\xa5later",
                                         "\xcb\x3f\xf8\1\1\1\1\1\1"};
    static struct places places;
    unsigned tuples = 0;

    (void)state;
    for (int i = 0; i < TYPES_COUNT; i++) {
        struct proto *message = sample(types[i], STYLE_DISTINCT, 1);
        struct ag_buffer frame = encode(message);
        struct ag_bytes bytes = ag_buffer_bytes(&frame);

        places.count = 0;
        list_places(&places, bytes, 0);
        for (unsigned j = 0; j < places.count; j++) {
            const struct place *place = &places.items[j];
            struct ag_buffer other;

            if (place->elements < 2)
                continue;
            tuples++;
            for (size_t k = 0; k < sizeof extras / sizeof extras[0]; k++) {
                assert_true(place->elements != 15);
                other = replace(bytes, place->at + place->size, 0, ag_bytes_of_text(extras[k]));
                other.data[count_at(bytes, place)]++;
                assert_says("with a later field", ag_buffer_bytes(&other), message);
                ag_buffer_free(&other);
            }
            other = replace(bytes, place->last_element,
                            place->at + place->size - place->last_element, ag_bytes_of_text(""));
            other.data[count_at(bytes, place)]--;
            if (takes(ag_buffer_bytes(&other)) != may_lack_its_last(types[i], place))
                fail_msg("%s: without the field at %zu", ag_message_name(types[i]),
                         place->last_element);
            ag_buffer_free(&other);
        }
        ag_buffer_free(&frame);
    }
    assert_int_equal(tuples, TYPES_COUNT + 18); /* the messages and what is in their lists */
}

/* The frame without the last element of its tuple of so many. */
static struct ag_buffer without_last(struct ag_bytes frame, unsigned elements)
{
    static struct places places;
    unsigned i = 0;
    struct ag_buffer out;
    const struct place *place;

    places.count = 0;
    list_places(&places, frame, 0);
    while (places.items[i].elements != elements)
        assert_true(++i < places.count);
    place = &places.items[i];
    out = replace(frame, place->last_element, place->at + place->size - place->last_element,
                  ag_bytes_of_text(""));
    out.data[count_at(frame, place)]--;
    return out;
}

static void older_peers_have_no_budget_and_no_note(void **state)
{
    static const struct {
        enum ag_message type;
        unsigned elements;
    } cases[] = {{AG_SUBMIT, 6}, {AG_EVENTS, 14}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct proto *message = sample(cases[i].type, STYLE_DISTINCT, 1);
        struct ag_buffer frame = encode(message);
        struct ag_buffer old = without_last(ag_buffer_bytes(&frame), cases[i].elements);

        if (cases[i].type == AG_SUBMIT)
            message->submit.jobs[0].retry.budget_percent = 0;
        else
            message->events.items[0].note = ag_bytes_of_text("");
        assert_says("of an older peer", ag_buffer_bytes(&old), message);
        ag_buffer_free(&frame);
        ag_buffer_free(&old);
    }
}

static void count_optional(struct visitor *visitor, const struct field *field)
{
    if (field->kind == FIELD_INPUTS) /* each may have a result */
        ((struct finder *)visitor)->seen += *(const uint32_t *)field->at;
    ((struct finder *)visitor)->seen += field->kind == FIELD_ID_OR_NIL ||
                                        field->kind == FIELD_BIN_OR_NIL ||
                                        field->kind == FIELD_PAYLOAD_OR_NIL;
}

static void no_value_may_have_another_type(void **state)
{
    static struct places places;

    (void)state;
    for (int i = 0; i < TYPES_COUNT; i++) {
        static const struct {
            const char *bytes;
            size_t size;
        } wrong[] = {{"\xcb\x3f\xf8\0\0\0\0\0\0", 9},
                     {"\xff", 1},
                     {"\x81\xc0\xc0", 3},
                     {"\xd4\x01\x01", 3},
                     {"\xc0", 1}};
        struct proto *message = sample(types[i], STYLE_DISTINCT, 1);
        struct finder optional = {.visitor = {count_optional}};
        struct ag_buffer frame = encode(message);
        unsigned nil_is_fine = 0;

        fields_of_message(&optional.visitor, message);
        places.count = 0;
        list_places(&places, ag_buffer_bytes(&frame), 0);
        for (unsigned j = 0; j < places.count; j++)
            for (size_t k = 0; k < sizeof wrong / sizeof wrong[0]; k++) {
                struct ag_buffer other =
                    replace(ag_buffer_bytes(&frame), places.items[j].at, places.items[j].size,
                            ag_bytes_of(wrong[k].bytes, wrong[k].size));
                bool taken = takes(ag_buffer_bytes(&other));

                nil_is_fine += taken && k == 4;
                if (taken && k != 4)
                    fail_msg("%s is taken with a wrong type (%zu) at %zu",
                             ag_message_name(types[i]), k, places.items[j].at);
                ag_buffer_free(&other);
            }
        assert_int_equal(nil_is_fine, optional.seen);
        ag_buffer_free(&frame);
    }
}

static void the_frame_has_a_largest_size(void **state)
{
    /* A PING, then a field of a later version that fills the frame. */
    const size_t head = 3, bin_head = 5;
    uint8_t *frame = calloc(1, AG_MESSAGE_BYTES_MAX + 1);

    (void)state;
    assert_non_null(frame);
    for (size_t size = AG_MESSAGE_BYTES_MAX; size <= AG_MESSAGE_BYTES_MAX + 1; size++) {
        uint32_t bin = (uint32_t)(size - head - bin_head);
        const uint8_t start[] = {0x93,
                                 AG_PING,
                                 1,
                                 0xc6,
                                 (uint8_t)(bin >> 24),
                                 (uint8_t)(bin >> 16),
                                 (uint8_t)(bin >> 8),
                                 (uint8_t)bin};

        memcpy(frame, start, sizeof start);
        assert_int_equal(takes(ag_bytes_of(frame, size)), size == AG_MESSAGE_BYTES_MAX);
    }
    free(frame);
}

static void a_frame_of_too_many_values_is_refused(void **state)
{
    enum { OBJECTS_MAX = 131072 }; /* as doc/protocol.md has it */
    uint8_t *frame = calloc(1, OBJECTS_MAX + 16);

    (void)state;
    assert_non_null(frame);
    for (uint32_t more = 0; more < 2; more++) { /* the message, its number, the PING's, the list */
        uint32_t count = OBJECTS_MAX - 4 + more;
        const uint8_t start[] = {0x93,
                                 AG_PING,
                                 1,
                                 0xdd,
                                 (uint8_t)(count >> 24),
                                 (uint8_t)(count >> 16),
                                 (uint8_t)(count >> 8),
                                 (uint8_t)count};

        memcpy(frame, start, sizeof start);
        assert_int_equal(takes(ag_bytes_of(frame, sizeof start + count)), more == 0);
    }
    free(frame);
}

/* ---- mutations ------------------------------------------------------------------------------ */

enum { CORPUS_MAX = 256, MUTATIONS = 200000 };

struct corpus {
    struct ag_buffer frames[CORPUS_MAX];
    unsigned count;
};

static void mutate(struct ag_buffer *frame, const struct corpus *corpus, struct ag_random *random)
{
    static const uint8_t telling[] = {0x00, 0x7f, 0x80, 0x8f, 0x90, 0x91, 0x9f, 0xa0, 0xbf, 0xc0,
                                      0xc1, 0xc2, 0xc4, 0xc6, 0xc9, 0xcb, 0xcc, 0xcf, 0xd0, 0xd3,
                                      0xd4, 0xd8, 0xd9, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xe0, 0xff};
    struct ag_bytes all = ag_buffer_bytes(frame);
    size_t at = ag_random_below(random, all.size + 1);
    size_t size = ag_random_below(random, all.size - at < 20 ? all.size - at + 1 : 20);
    const struct ag_buffer *from = &corpus->frames[ag_random_below(random, corpus->count)];
    size_t from_at = ag_random_below(random, from->size);
    uint8_t byte = telling[ag_random_below(random, sizeof telling)];
    struct ag_buffer changed;

    switch (ag_random_below(random, 6)) {
    case 0: /* flip a bit */
        if (at < all.size)
            frame->data[at] ^= (uint8_t)(1u << ag_random_below(random, 8));
        return;
    case 1: /* a byte that means something */
        if (at < all.size)
            frame->data[at] = byte;
        return;
    case 2: /* cut out */
        changed = replace(all, at, size, ag_bytes_of_text(""));
        break;
    case 3: /* put in */
        changed = replace(all, at, 0, ag_bytes_of(&byte, 1));
        break;
    case 4: /* repeat */
        changed = replace(all, at, 0, ag_bytes_of(all.data + at, size));
        break;
    default: /* from another message */
        changed = replace(all, at, size,
                          ag_bytes_of(from->data + from_at,
                                      from->size - from_at < 30 ? from->size - from_at : 30));
        break;
    }
    ag_buffer_free(frame);
    *frame = changed;
}

/* What was taken says the same when it is sent on. */
static bool survives(struct ag_bytes frame)
{
    struct argosy_error err = {0};
    uint8_t *copy = exactly(frame);
    bool taken = ag_proto_decode(ag_bytes_of(copy, frame.size), &decoded, &err) == 0;

    if (taken) {
        struct ag_buffer text = print(&decoded), again = encode(&decoded), text_again;
        uint8_t *copy_again = exactly(ag_buffer_bytes(&again));

        assert_ok(ag_proto_decode(ag_bytes_of(copy_again, again.size), &decoded, &err));
        text_again = print(&decoded);
        assert_true(ag_bytes_equal(ag_buffer_bytes(&text), ag_buffer_bytes(&text_again)));
        ag_buffer_free(&text);
        ag_buffer_free(&text_again);
        ag_buffer_free(&again);
        free(copy_again);
    }
    free(copy);
    return taken;
}

static void mutated_messages_are_refused_or_sound(void **state)
{
    static struct corpus corpus;
    struct ag_random random;
    unsigned taken = 0;

    (void)state;
    for (int i = 0; i < TYPES_COUNT; i++) {
        corpus.frames[corpus.count++] = encode(sample(types[i], STYLE_LEAST, 0));
        corpus.frames[corpus.count++] = encode(sample(types[i], STYLE_LEAST, 1));
        corpus.frames[corpus.count++] = encode(sample(types[i], STYLE_DISTINCT, 1));
        corpus.frames[corpus.count++] = encode(sample(types[i], STYLE_DISTINCT, 3));
    }
    assert_true(corpus.count <= CORPUS_MAX);
    ag_random_seed(&random, 2026);
    for (int i = 0; i < MUTATIONS; i++) {
        const struct ag_buffer *from = &corpus.frames[ag_random_below(&random, corpus.count)];
        struct ag_buffer frame = replace(ag_buffer_bytes(from), 0, 0, ag_bytes_of_text(""));

        for (uint64_t times = 1 + ag_random_below(&random, 4); times > 0 && frame.size > 0; times--)
            mutate(&frame, &corpus, &random);
        taken += survives(ag_buffer_bytes(&frame));
        ag_buffer_free(&frame);
    }
    for (unsigned i = 0; i < corpus.count; i++)
        ag_buffer_free(&corpus.frames[i]);
    corpus.count = 0;
    assert_in_range(taken, MUTATIONS / 20, MUTATIONS / 2); /* both happen, or this tests little */
}

/* ---- doc/protocol.md ------------------------------------------------------------------------ */

static char *read_specification(void)
{
    struct ag_buffer text = ag_buffer_empty(1 << 20);
    FILE *file = fopen(ARGOSY_SOURCE_DIR "/doc/protocol.md", "re");
    char line[1000];
    size_t size;

    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL)
        ag_buffer_text(&text, line);
    assert_int_equal(ferror(file), 0);
    fclose(file);
    ag_buffer_append(&text, "", 1);
    assert_false(text.failed);
    return (char *)ag_buffer_take(&text, &size);
}

/* The bytes in front of a line's comment: "9a 01   an array of ten, HELLO". */
static void append_hex(struct ag_buffer *frame, const char *line)
{
    unsigned byte;
    int used;

    while (sscanf(line, "%2x%n", &byte, &used) == 1 && used == 2 &&
           (line[2] == ' ' || line[2] == '\0')) {
        uint8_t one = (uint8_t)byte;

        ag_buffer_append(frame, &one, 1);
        if (line[2] == '\0' || line[3] == ' ')
            break;
        line += 3;
    }
}

static void check_example(const char *name, struct ag_buffer *frame)
{
    struct argosy_error err = {0};
    struct ag_buffer again;

    if (ag_proto_decode(ag_buffer_bytes(frame), &decoded, &err) < 0)
        fail_msg("the example of %s: %s", name, err.message);
    assert_string_equal(ag_message_name(decoded.type), name);
    again = encode(&decoded);
    if (!ag_bytes_equal(ag_buffer_bytes(frame), ag_buffer_bytes(&again)))
        fail_msg("the example of %s is not what we would send", name);
    ag_buffer_free(&again);
}

static void the_examples_of_the_specification_are_what_the_codec_says(void **state)
{
    static const char *const promised[] = {
        "HELLO",  "WELCOME", "SUBMIT", "ACCEPTED", "JOBS",  "RESULTS",  "RECORDED", "WATCH",
        "EVENTS", "CANCEL",  "ANSWER", "RECALL",   "DRAIN", "PROGRESS", "NEWS",     "CONTROL"};
    char *text = read_specification(), *rest = strstr(text, "\n## 9. Examples"), *line;
    struct ag_buffer frame = ag_buffer_empty(FRAME_MAX);
    char name[32] = "";
    bool is_code = false, was_seen[64] = {false};

    (void)state;
    assert_non_null(rest);
    while ((line = strsep(&rest, "\n")) != NULL) {
        if (sscanf(line, "### %31s", name) == 1)
            continue;
        if (strncmp(line, "```", 3) == 0) {
            if (is_code && name[0] != '\0') {
                check_example(name, &frame);
                assert_true((unsigned)decoded.type < 64);
                was_seen[decoded.type] = true;
            }
            is_code = !is_code;
            ag_buffer_clear(&frame);
        } else if (is_code) {
            append_hex(&frame, line);
        }
    }
    for (int i = 0; i < TYPES_COUNT; i++)
        for (size_t j = 0; j < sizeof promised / sizeof promised[0]; j++)
            if (strcmp(ag_message_name(types[i]), promised[j]) == 0 && !was_seen[types[i]])
                fail_msg("%s has no example", promised[j]);
    ag_buffer_free(&frame);
    free(text);
}

static void the_specification_lists_every_message(void **state)
{
    char *text = read_specification();

    (void)state;
    for (int i = 0; i < TYPES_COUNT; i++) {
        char row[64];

        snprintf(row, sizeof row, "\n| %u | %s | ", (unsigned)types[i], ag_message_name(types[i]));
        if (strstr(text, row) == NULL)
            fail_msg("doc/protocol.md has no row '%s'", row + 1);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_is_decoded_as_it_was_encoded),
        cmocka_unit_test(every_message_takes_all_its_lists_full_of_the_largest),
        cmocka_unit_test(an_append_to_a_full_buffer_fails_and_is_told),
        cmocka_unit_test(what_is_absent_travels_as_nil_and_what_is_empty_does_not),
        cmocka_unit_test(names_are_those_of_the_table),
        cmocka_unit_test(a_frame_cut_at_any_byte_is_refused),
        cmocka_unit_test(unknown_numbers_are_refused_as_such),
        cmocka_unit_test(what_does_not_begin_with_a_number_is_malformed),
        cmocka_unit_test(every_field_keeps_its_bounds),
        cmocka_unit_test(a_result_and_its_error_share_one_bound),
        cmocka_unit_test(attempts_in_an_event_keep_their_bounds),
        cmocka_unit_test(attempts_that_nobody_has_checked_can_be),
        cmocka_unit_test(the_version_is_ours_if_it_is_among_those_listed),
        cmocka_unit_test(tuples_may_grow_at_their_end_and_may_not_shrink),
        cmocka_unit_test(older_peers_have_no_budget_and_no_note),
        cmocka_unit_test(no_value_may_have_another_type),
        cmocka_unit_test(the_frame_has_a_largest_size),
        cmocka_unit_test(a_frame_of_too_many_values_is_refused),
        cmocka_unit_test(mutated_messages_are_refused_or_sound),
        cmocka_unit_test(the_examples_of_the_specification_are_what_the_codec_says),
        cmocka_unit_test(the_specification_lists_every_message),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
