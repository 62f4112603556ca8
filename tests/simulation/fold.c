#include "tests/simulation/fold.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/core/record.h"
#include "broker/store/tables.h"

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
        core_gone_add(&subject->gone, &record.gone);
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
            core_gone_add(&self->subjects[record.forget.group].gone, &record.forget.gone);
        break;
    case RECORD_SEAL:
    case RECORD_STOP:
    case RECORD_END:
    case RECORD_ENDED:
    case RECORD_QUEUE:
    case RECORD_SCHEDULE:
    case RECORD_WORKER:
        break;
    }
}

/* Whether a later record of the same queue, schedule, worker or stop of a group makes this one
 * void. */
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
        if (record->type == RECORD_WORKER && later.type == RECORD_WORKER &&
            ag_id_equal(&later.id, &record->id))
            return true;
        if (record->type == RECORD_STOP && later.type == RECORD_STOP &&
            later.number == record->number)
            return true;
        if (record->type == RECORD_SCHEDULE && ag_id_equal(&later.id, &record->id) &&
            (later.type == RECORD_SCHEDULE ||
             (later.type == RECORD_FORGET && later.forget.subject == SUBJECT_SCHEDULE)))
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
    if ((record.type == RECORD_QUEUE || record.type == RECORD_SCHEDULE ||
         record.type == RECORD_STOP || record.type == RECORD_WORKER) &&
        is_superseded(journal, at, &record))
        return;
    if (record.type == RECORD_WORKER && record.worker.has_left)
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

/* ---- the tables --------------------------------------------------------------------------------
 */

static void write_tables(tables_t *tables, const struct ag_buffer *journal,
                         struct argosy_error *err)
{
    struct ag_bytes record;
    uint64_t number;
    int rc = tables_begin(tables, err);

    for (size_t at = 0; rc == 0 && journal_next(journal, &at, &number, &record);)
        rc = tables_apply(tables, number, record, err);
    if (rc == 0)
        tables_commit(tables, err);
}

static int take_record(void *arg, uint64_t number, const struct record *record,
                       struct argosy_error *err)
{
    struct ag_buffer *journal = arg, bytes = ag_buffer_empty(journal->size_max);

    (void)err;
    record_write(record, &bytes);
    journal_append(journal, number, ag_buffer_bytes(&bytes));
    ag_buffer_free(&bytes);
    return 0;
}

/* The number of the first record that differs; 0 none. */
static uint64_t difference(const struct ag_buffer *a, const struct ag_buffer *b)
{
    struct ag_bytes of_a = {0}, of_b = {0};
    uint64_t number_a = 0, number_b = 0;
    size_t at_a = 0, at_b = 0;

    for (;;) {
        bool more_a = journal_next(a, &at_a, &number_a, &of_a);
        bool more_b = journal_next(b, &at_b, &number_b, &of_b);

        if (!more_a && !more_b)
            return 0;
        if (!more_a || (more_b && number_b < number_a))
            return number_b;
        if (!more_b || number_a < number_b || !ag_bytes_equal(of_a, of_b))
            return number_a;
    }
}

const char *journal_fold_by_tables(struct ag_buffer *journal)
{
    static char what[400];
    struct ag_buffer read = ag_buffer_empty(journal->size_max);
    struct argosy_error err = {0};
    tables_t *tables;
    uint64_t last, surprises = 0;

    if (tables_open(&tables, ":memory:", &err) == 0) {
        write_tables(tables, journal, &err);
        surprises = tables_surprises(tables);
        if (err.code == 0)
            tables_load(tables, take_record, &read, &last, &err);
        tables_close(&tables);
    }
    journal_fold(journal);
    snprintf(what, sizeof what, "%s", err.message);
    if (err.code == 0 && surprises > 0)
        snprintf(what, sizeof what, "the tables lack what %llu records change",
                 (unsigned long long)surprises);
    else if (err.code == 0 && difference(&read, journal) > 0)
        snprintf(what, sizeof what, "the tables and the model differ at record %llu",
                 (unsigned long long)difference(&read, journal));
    ag_buffer_free(&read);
    return what[0] != '\0' ? what : NULL;
}
