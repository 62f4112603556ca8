#include "common/log.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/error.h"

enum {
    FIELD_NAME = 40,                       /* bytes of a field's name; they are words of ours */
    TAIL = FIELD_NAME + AG_LOG_VALUE + 32, /* what msg, cut and the end of a line need at most */
    REPEAT_TOLD_MS = 10000,                /* how often a line that goes on and on is told */
    STOP_MS = 200                          /* how long the last words may wait for a reader */
};

/* O_NONBLOCK on stderr would be seen by every program that shares it with us (the shell, to begin
 * with). So each write is asked for with poll() first and is at most PIPE_BUF bytes, which a pipe
 * that polls writable takes at once. The exception: another process fills the pipe between our poll
 * and our write; then we wait for its reader as that process does. */
static struct {
    pthread_mutex_t lock;
    atomic_int most; /* the highest level that any module wants; -1 when stopped */
    struct ag_log_levels levels;
    char program[32];
    bool json;
    int fd;
    int64_t (*unix_ms)(void);

    char last[AG_LOG_LINE]; /* the line before, for the fold */
    size_t last_size;
    enum ag_log_level last_level;
    uint64_t repeats; /* of it, untold */
    int64_t told_ms;

    char pending[AG_LOG_PENDING];
    size_t pending_size;
    uint64_t untold; /* drops */
    atomic_uint_least64_t dropped;
} state = {.lock = PTHREAD_MUTEX_INITIALIZER, .most = -1};

static const char *const level_words[] = {
#define X(name, word, meaning) [AG_LOG_##name] = (word),
    AG_LOG_LEVELS(X)
#undef X
};

enum { LEVEL_COUNT = sizeof level_words / sizeof *level_words };

/* ---- levels ------------------------------------------------------------------------------------
 */

static int read_level(const char *text, size_t length, enum ag_log_level *out,
                      struct argosy_error *err)
{
    unsigned i;

    for (i = 0; i < LEVEL_COUNT; i++)
        if (strlen(level_words[i]) == length && memcmp(level_words[i], text, length) == 0) {
            *out = (enum ag_log_level)i;
            return ARGOSY_OK;
        }
    return ag_fail(err, ARGOSY_EINVAL,
                   "'%.*s' is not a level (error, warning, info, debug or trace)",
                   length < 64 ? (int)length : 64, text);
}

/* Find the module's row, or make one. */
static struct ag_log_module *module_row(struct ag_log_levels *levels, const char *name,
                                        size_t length)
{
    struct ag_log_module *row;
    unsigned i;

    for (i = 0; i < levels->count; i++)
        if (strlen(levels->modules[i].name) == length &&
            memcmp(levels->modules[i].name, name, length) == 0)
            return &levels->modules[i];
    if (levels->count == AG_LOG_MODULES || length == 0 || length >= sizeof row->name)
        return NULL;
    row = &levels->modules[levels->count++];
    memcpy(row->name, name, length);
    row->name[length] = '\0';
    return row;
}

int ag_log_levels_parse(const char *text, struct ag_log_levels *out, struct argosy_error *err)
{
    struct ag_log_levels levels = {.base = AG_LOG_INFO};
    const char *at = text;

    for (;;) {
        size_t length = strcspn(at, ","), name = strcspn(at, "=,");
        enum ag_log_level level;
        struct ag_log_module *row;
        int rc;

        if (at[name] != '=') {
            if ((rc = read_level(at, length, &levels.base, err)) < 0)
                return rc;
        } else {
            if ((rc = read_level(at + name + 1, length - name - 1, &level, err)) < 0)
                return rc;
            if (name == 3 && memcmp(at, "all", 3) == 0)
                levels.base = level;
            else if ((row = module_row(&levels, at, name)) != NULL)
                row->level = level;
            else
                return ag_fail(err, ARGOSY_EINVAL,
                               "'%.64s' names no module (1-31 characters, at most %d modules)", at,
                               AG_LOG_MODULES);
        }
        if (at[length] == '\0')
            break;
        at += length + 1;
    }
    *out = levels;
    return ARGOSY_OK;
}

bool ag_log_wants(enum ag_log_level level, const char *module)
{
    unsigned i;

    if ((int)level > atomic_load_explicit(&state.most, memory_order_relaxed))
        return false;
    for (i = 0; i < state.levels.count; i++)
        if (strcmp(state.levels.modules[i].name, module) == 0)
            return level <= state.levels.modules[i].level;
    return level <= state.levels.base;
}

/* ---- one line ----------------------------------------------------------------------------------
 */

struct line {
    char text[AG_LOG_LINE];
    size_t size;
    bool json;
};

static void put(struct line *self, const char *text, size_t size)
{
    if (size > sizeof self->text - self->size) /* callers keep to FIELD_NAME and TAIL */
        size = sizeof self->text - self->size;
    memcpy(self->text + self->size, text, size);
    self->size += size;
}

static void put_text(struct line *self, const char *text)
{
    put(self, text, strlen(text));
}

/* Bytes of the well-formed UTF-8 character at `s`, 0 if it is none (RFC 3629: no surrogates, no
 * longer form than needed, nothing above U+10FFFF). */
static size_t utf8_size(const uint8_t *s, size_t size)
{
    uint32_t code;
    size_t need, i;

    if (s[0] < 0x80)
        return 1;
    need = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4 || need > size)
        return 0;
    code = s[0] & (0x7fu >> need);
    for (i = 1; i < need; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (s[i] & 0x3fu);
    }
    if ((need == 3 && code < 0x800) || (need == 4 && (code < 0x10000 || code > 0x10ffff)) ||
        (code >= 0xd800 && code <= 0xdfff))
        return 0;
    return need;
}

/* How the character at `s` is written, into `out`; returns how many bytes of `s` it took. Controls
 * (C0, DEL and C1, which terminals obey as well) and broken UTF-8 never pass as they are. */
static size_t escape(bool json, const uint8_t *s, size_t size, char out[16])
{
    size_t length = utf8_size(s, size);
    bool c1 = length == 2 && s[0] == 0xc2 && s[1] < 0xa0;

    if (s[0] == '"' || s[0] == '\\')
        snprintf(out, 16, "\\%c", s[0]);
    else if (s[0] == '\n' || s[0] == '\t' || s[0] == '\r')
        snprintf(out, 16, "\\%c", s[0] == '\n' ? 'n' : s[0] == '\t' ? 't' : 'r');
    else if (length == 0)
        snprintf(out, 16, json ? "\\ufffd" : "\\x%02x", s[0]);
    else if (s[0] < 0x20 || s[0] == 0x7f || c1)
        snprintf(out, 16, json ? "\\u%04x" : "\\x%02x", c1 ? s[1] : s[0]);
    else {
        memcpy(out, s, length);
        out[length] = '\0';
    }
    return length > 0 ? length : 1;
}

/* A plain word needs no quotes in logfmt. */
static bool is_plain(struct ag_bytes value)
{
    size_t i;

    for (i = 0; i < value.size; i++)
        if (value.data[i] <= ' ' || value.data[i] >= 0x7f || strchr("\"=\\", value.data[i]) != NULL)
            return false;
    return value.size > 0 && value.size <= AG_LOG_VALUE;
}

static void put_value(struct line *self, struct ag_bytes value)
{
    size_t at = 0, written = 0;

    if (!self->json && is_plain(value)) {
        put(self, (const char *)value.data, value.size);
        return;
    }
    put(self, "\"", 1);
    while (at < value.size) {
        char escaped[16];
        size_t took = escape(self->json, value.data + at, value.size - at, escaped);
        size_t length = strlen(escaped);

        if (written + length > AG_LOG_VALUE - 3) {
            put(self, "...", 3);
            break;
        }
        put(self, escaped, length);
        written += length;
        at += took;
    }
    put(self, "\"", 1);
}

static void put_name(struct line *self, const char *name)
{
    char head[FIELD_NAME + 8];

    put_text(self, self->json ? "," : " ");
    snprintf(head, sizeof head, self->json ? "\"%.*s\":" : "%.*s=", FIELD_NAME, name);
    put_text(self, head);
}

static void put_pair(struct line *self, const char *name, const char *value)
{
    put_name(self, name);
    put_value(self, ag_bytes_of_text(value));
}

static void put_field(struct line *self, const struct ag_log_field *field)
{
    char text[48];

    put_name(self, field->name);
    switch (field->type) {
    case AG_FIELD_TEXT:
        put_value(self, field->text);
        return;
    case AG_FIELD_ID:
        put_value(self, ag_bytes_of_text(ag_id_print(&field->id, text)));
        return;
    case AG_FIELD_BOOL:
        put_text(self, field->truth ? "true" : "false");
        return;
    case AG_FIELD_SIGNED:
        snprintf(text, sizeof text, "%" PRId64, field->whole);
        break;
    case AG_FIELD_UNSIGNED:
        snprintf(text, sizeof text, "%" PRIu64, field->natural);
        break;
    case AG_FIELD_REAL:
        if (isfinite(field->real))
            snprintf(text, sizeof text, "%.6g", field->real);
        else
            snprintf(text, sizeof text, "null"); /* JSON has no other word for it */
        break;
    }
    put_text(self, text);
}

/* The time has always the same length, so the rest of two lines can be compared. */
enum { TIME_SIZE = sizeof "{\"time\":\"2026-02-03T04:05:06.789Z\"" - 1 };

static void put_time(struct line *self, int64_t unix_ms)
{
    time_t seconds = (time_t)(unix_ms / 1000);
    char date[32], text[64];
    struct tm tm = {0};

    gmtime_r(&seconds, &tm);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text, sizeof text, self->json ? "{\"time\":\"%s.%03dZ\"" : "time=%s.%03dZ", date,
             (int)(unix_ms % 1000));
    put_text(self, text);
}

static void make_line(struct line *self, int64_t unix_ms, enum ag_log_level level,
                      const char *module, const char *message, const struct ag_log_field *fields)
{
    bool cut = false;

    self->size = 0;
    self->json = state.json;
    put_time(self, unix_ms);
    put_pair(self, "level", level_words[level]);
    put_pair(self, "program", state.program);
    put_pair(self, "module", module);
    for (; fields->name != NULL && !cut; fields++) {
        if (fields->type == AG_FIELD_TEXT && fields->text.data == NULL)
            continue;
        if (sizeof self->text - self->size < TAIL + FIELD_NAME + AG_LOG_VALUE + 16)
            cut = true;
        else
            put_field(self, fields);
    }
    if (cut)
        put_text(self, self->json ? ",\"cut\":true" : " cut=true");
    put_pair(self, "msg", message);
    put_text(self, self->json ? "}\n" : "\n");
}

/* ---- out, without waiting; all under the lock ---------------------------------------------------
 */

static void forget_pending(void)
{
    const char *at = state.pending, *end = at + state.pending_size;

    while ((at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        at++;
        atomic_fetch_add_explicit(&state.dropped, 1, memory_order_relaxed);
    }
    state.pending_size = 0;
}

/* As many whole lines as one write may hold; what is left of a line that was written in part goes
 * first. */
static size_t next_write(void)
{
    size_t size = state.pending_size;

    if (size > AG_LOG_LINE) {
        const char *end = memrchr(state.pending, '\n', AG_LOG_LINE);

        size = end ? (size_t)(end - state.pending) + 1 : AG_LOG_LINE;
    }
    return size;
}

/* Write what waits as long as the reader takes it, waiting at most `wait_ms` for him. */
static void drain(int wait_ms)
{
    int64_t until = wait_ms > 0 ? ag_clock_mono_ms() + wait_ms : 0;

    while (state.pending_size > 0) {
        struct pollfd ready = {.fd = state.fd, .events = POLLOUT};
        int64_t left = wait_ms > 0 ? until - ag_clock_mono_ms() : 0;
        int found = poll(&ready, 1, left > 0 ? (int)left : 0);
        ssize_t size;

        if (found == 0 || (found < 0 && errno != EINTR))
            return;
        if (found < 0)
            continue;
        if ((ready.revents & POLLOUT) == 0 || (ready.revents & (POLLERR | POLLNVAL)) != 0) {
            forget_pending(); /* nobody will ever read it; and no SIGPIPE for a log line */
            return;
        }
        size = write(state.fd, state.pending, next_write());
        if (size < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (size < 0) {
            forget_pending();
            return;
        }
        state.pending_size -= (size_t)size;
        memmove(state.pending, state.pending + size, state.pending_size);
    }
}

static bool keep(const struct line *line)
{
    if (line->size > sizeof state.pending - state.pending_size)
        return false;
    memcpy(state.pending + state.pending_size, line->text, line->size);
    state.pending_size += line->size;
    return true;
}

/* A line of the log's own, with a count. */
static bool keep_count(int64_t now, enum ag_log_level level, const char *message, uint64_t count)
{
    const struct ag_log_field fields[] = {ag_kv("count", count), {0}};
    struct line line;

    make_line(&line, now, level, "log", message, fields);
    return keep(&line);
}

static void drop(uint64_t lines)
{
    state.untold += lines;
    atomic_fetch_add_explicit(&state.dropped, lines, memory_order_relaxed);
}

static void tell_drops(int64_t now)
{
    if (state.untold > 0 &&
        keep_count(now, AG_LOG_WARNING, "lines were dropped: stderr is read too slowly",
                   state.untold))
        state.untold = 0;
}

static void tell_repeats(int64_t now)
{
    if (state.repeats > 0 &&
        !keep_count(now, state.last_level, "the last line was repeated", state.repeats))
        drop(1);
    state.repeats = 0;
    state.told_ms = now;
}

/* The clock may be set back; then the count is due as well. */
static bool repeats_are_due(int64_t now)
{
    return now - state.told_ms >= REPEAT_TOLD_MS || now < state.told_ms;
}

static bool is_repeat(const struct line *line)
{
    return line->size == state.last_size &&
           memcmp(line->text + TIME_SIZE, state.last + TIME_SIZE, line->size - TIME_SIZE) == 0;
}

void ag_log_write(enum ag_log_level level, const char *module, const char *message,
                  const struct ag_log_field *fields)
{
    int64_t now;
    struct line line;

    if (!ag_log_wants(level, module))
        return;
    now = state.unix_ms();
    make_line(&line, now, level, module, message, fields);

    pthread_mutex_lock(&state.lock);
    drain(0);
    if (is_repeat(&line)) {
        state.repeats++;
        if (repeats_are_due(now))
            tell_repeats(now);
    } else {
        tell_drops(now);
        tell_repeats(now);
        if (state.untold > 0 || !keep(&line)) /* in order: none passes one that was dropped */
            drop(1);
        memcpy(state.last, line.text, line.size);
        state.last_size = line.size;
        state.last_level = level;
    }
    drain(0);
    pthread_mutex_unlock(&state.lock);
}

/* ---- start and stop ----------------------------------------------------------------------------
 */

void ag_log_start(const struct ag_log_config *config)
{
    int most = (int)config->levels.base;
    unsigned i;

    pthread_mutex_lock(&state.lock);
    snprintf(state.program, sizeof state.program, "%s", config->program);
    state.levels = config->levels;
    state.json = config->json;
    state.fd = config->fd > 0 ? config->fd : STDERR_FILENO;
    state.unix_ms = config->unix_ms ? config->unix_ms : ag_clock_unix_ms;
    state.last_size = state.pending_size = 0;
    state.repeats = state.untold = 0;
    state.told_ms = state.unix_ms();
    atomic_store(&state.dropped, 0);
    for (i = 0; i < state.levels.count; i++)
        if ((int)state.levels.modules[i].level > most)
            most = (int)state.levels.modules[i].level;
    pthread_mutex_unlock(&state.lock);
    atomic_store(&state.most, most);
}

void ag_log_stop(void)
{
    if (atomic_exchange(&state.most, -1) < 0)
        return;
    pthread_mutex_lock(&state.lock);
    tell_repeats(state.unix_ms());
    tell_drops(state.unix_ms());
    drain(STOP_MS);
    if (state.untold > 0) { /* there was no room for it before */
        tell_drops(state.unix_ms());
        drain(0);
    }
    pthread_mutex_unlock(&state.lock);
}

void ag_log_flush(void)
{
    if (atomic_load(&state.most) < 0)
        return;
    pthread_mutex_lock(&state.lock);
    drain(0);
    if (state.repeats > 0 && repeats_are_due(state.unix_ms()))
        tell_repeats(state.unix_ms());
    tell_drops(state.unix_ms());
    drain(0);
    pthread_mutex_unlock(&state.lock);
}

uint64_t ag_log_dropped(void)
{
    return atomic_load_explicit(&state.dropped, memory_order_relaxed);
}
