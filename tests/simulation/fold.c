#include "tests/simulation/fold.h"

#include <stdlib.h>
#include <string.h>

#include "broker/core/record.h"

struct head {
    uint64_t number;
    uint64_t size;
};

/* What is known of the job or group that the record of this number made. */
struct subject {
    uint64_t group; /* the number of the group that it is in; 0 none */
    bool is_gone;
    struct core_gone gone; /* of a group: its members that are forgotten */
    struct ag_bytes attempt, cancel;
};

struct fold {
    struct subject *subjects; /* by number */
    uint64_t last;
    struct ag_buffer out;
};

void journal_append(struct ag_buffer *journal, uint64_t number, struct ag_bytes record)
{
    struct head head = {number, record.size};

    ag_buffer_append(journal, &head, sizeof head);
    ag_buffer_append(journal, record.data, record.size);
    if (journal->failed)
        abort();
}

bool journal_next(const struct ag_buffer *journal, size_t *at, uint64_t *number,
                  struct ag_bytes *record)
{
    struct head head;

    if (*at >= journal->size)
        return false;
    memcpy(&head, journal->data + *at, sizeof head);
    *number = head.number;
    *record = ag_bytes_of(journal->data + *at + sizeof head, head.size);
    *at += sizeof head + head.size;
    return true;
}

static void read_or_abort(struct ag_bytes bytes, struct record *record)
{
    if (record_read(bytes, record, NULL) < 0)
        abort();
}

static void add(struct core_gone *sum, const struct core_gone *more)
{
    sum->succeeded += more->succeeded;
    sum->failed += more->failed;
    sum->cancelled += more->cancelled;
    sum->retried += more->retried;
    sum->unconfirmed += more->unconfirmed;
    sum->busy_ms += more->busy_ms;
}

static void look_at(struct fold *self, struct ag_bytes bytes)
{
    struct record record;
    struct subject *subject;

    read_or_abort(bytes, &record);
    if (record.number > self->last)
        abort();
    subject = &self->subjects[record.number];
    switch (record.type) {
    case RECORD_GROUP:
        subject->group = record.group.parent;
        break;
    case RECORD_GONE:
        add(&subject->gone, &record.gone);
        break;
    case RECORD_JOB:
        subject->group = record.job.group;
        break;
    case RECORD_ATTEMPT:
        subject->attempt = bytes;
        break;
    case RECORD_CANCEL:
        subject->cancel = bytes;
        break;
    case RECORD_FORGET:
        if (record.forget.subject == SUBJECT_SCHEDULE || record.number == 0)
            break;
        subject->is_gone = true;
        if (record.forget.group > 0)
            add(&self->subjects[record.forget.group].gone, &record.forget.gone);
        break;
    case RECORD_SEAL:
    case RECORD_STOP:
    case RECORD_END:
    case RECORD_ENDED:
    case RECORD_QUEUE:
    case RECORD_SCHEDULE:
        break;
    }
}

/* Whether a later record of the same queue or schedule makes this one void. */
static bool is_superseded(const struct ag_buffer *journal, size_t at, const struct record *record)
{
    struct ag_bytes bytes;
    struct record later;
    uint64_t number;

    while (journal_next(journal, &at, &number, &bytes)) {
        read_or_abort(bytes, &later);
        if (record->type == RECORD_QUEUE && later.type == RECORD_QUEUE &&
            later.queue.name.size == record->queue.name.size &&
            memcmp(later.queue.name.data, record->queue.name.data, later.queue.name.size) == 0)
            return true;
        if (record->type == RECORD_SCHEDULE && ag_id_equal(&later.id, &record->id) &&
            (later.type == RECORD_SCHEDULE || later.type == RECORD_FORGET))
            return true;
    }
    return false;
}

static void keep_gone(struct fold *self, const struct record *group)
{
    const struct core_gone *gone = &self->subjects[group->number].gone;
    struct record record = {
        .type = RECORD_GONE, .id = group->id, .number = group->number, .gone = *gone};
    struct ag_buffer bytes = ag_buffer_empty(1 << 12);

    if (gone->succeeded + gone->failed + gone->cancelled > 0) {
        record_write(&record, &bytes);
        journal_append(&self->out, group->number, ag_buffer_bytes(&bytes));
    }
    ag_buffer_free(&bytes);
}

static void keep(struct fold *self, const struct ag_buffer *journal, size_t at, uint64_t number,
                 struct ag_bytes bytes)
{
    const struct subject *subject;
    struct record record;

    read_or_abort(bytes, &record);
    subject = &self->subjects[record.number];
    if (record.type == RECORD_FORGET || record.type == RECORD_GONE ||
        record.type == RECORD_ATTEMPT || record.type == RECORD_CANCEL || subject->is_gone)
        return;
    if ((record.type == RECORD_JOB || record.type == RECORD_END) && subject->group > 0 &&
        self->subjects[subject->group].is_gone)
        return;
    if ((record.type == RECORD_QUEUE || record.type == RECORD_SCHEDULE) &&
        is_superseded(journal, at, &record))
        return;
    journal_append(&self->out, number, bytes);
    if (record.type == RECORD_GROUP)
        keep_gone(self, &record);
    if (record.type == RECORD_JOB && subject->attempt.size > 0)
        journal_append(&self->out, number, subject->attempt);
    if (record.type == RECORD_JOB && subject->cancel.size > 0)
        journal_append(&self->out, number, subject->cancel);
}

void journal_fold(struct ag_buffer *journal)
{
    struct fold self = {.out = ag_buffer_empty(journal->size_max)};
    struct ag_bytes record;
    uint64_t number;

    for (size_t at = 0; journal_next(journal, &at, &number, &record);)
        self.last = number;
    self.subjects = calloc(self.last + 1, sizeof *self.subjects);
    if (self.subjects == NULL)
        abort();
    for (size_t at = 0; journal_next(journal, &at, &number, &record);)
        look_at(&self, record);
    for (size_t at = 0; journal_next(journal, &at, &number, &record);)
        keep(&self, journal, at, number, record);
    free(self.subjects);
    ag_buffer_free(journal);
    *journal = self.out;
}
