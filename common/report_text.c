/* The form for people: the shape of a Python 3.11 exception group. */
#include <string.h>

#include "common/report_tree.h"
#include "common/wire.h"

enum {
    SHOWN_ERRORS = 32, /* of one group; the rest is counted */
    SHOWN_SAMPLES = 5, /* leaves of a fold */
    SHOWN_BYTES = 400  /* of one text */
};

/* Whatever a text holds, it stays on its line and cannot speak to the terminal. */
static void put_clean(const char *text, FILE *out)
{
    size_t size = strlen(text), shown = size < SHOWN_BYTES ? size : SHOWN_BYTES;
    bool is_utf8 = ag_is_utf8(ag_bytes_of(text, size));

    while (is_utf8 && shown > 0 && shown < size && ((unsigned char)text[shown] & 0xC0) == 0x80)
        shown--;
    for (size_t i = 0; i < shown; i++) {
        unsigned char c = (unsigned char)text[i];

        /* C1 controls are two bytes in UTF-8: C2 80 to C2 9F. */
        if (c < 0x20 || c == 0x7f || (c >= 0x80 && !is_utf8)) {
            fprintf(out, "\\x%02x", c);
        } else if (c == 0xC2 && i + 1 < shown && (unsigned char)text[i + 1] < 0xA0) {
            fprintf(out, "\\x%02x", (unsigned char)text[++i]);
        } else {
            fputc(c, out);
        }
    }
    if (shown < size)
        fputs("...", out);
}

static void put_line(unsigned indent, FILE *out)
{
    fprintf(out, "%*s| ", (int)indent, "");
}

/* 01JD...A4: enough to find it, and the whole id is in the other forms. */
static void put_job(const struct argosy_node *leaf, FILE *out)
{
    size_t size = strlen(leaf->job);

    if (size > 6)
        fprintf(out, "%.4s\u2026%s", leaf->job, leaf->job + size - 2);
}

static void put_causes(const struct argosy_node *leaf, unsigned indent, FILE *out)
{
    for (size_t i = 0; i < leaf->attempts_count; i++) {
        const struct argosy_attempt *attempt = &leaf->attempts[i];

        /* The last attempt is the leaf itself; equal ones say nothing new. */
        if (attempt->attempt == leaf->attempt || strcmp(attempt->type, leaf->error_type) == 0)
            continue;
        put_line(indent, out);
        fprintf(out, "    attempt %u", attempt->attempt);
        if (attempt->worker[0] != '\0') {
            fputs(" on ", out);
            put_clean(attempt->worker, out);
        }
        fputs(": ", out);
        put_clean(attempt->type, out);
        fputs(": ", out);
        put_clean(attempt->message, out);
        fputc('\n', out);
    }
}

static void put_notes(const struct argosy_node *node, unsigned indent, FILE *out)
{
    for (size_t i = 0; i < node->notes_count; i++) {
        put_line(indent, out);
        put_clean(node->notes[i], out);
        fputc('\n', out);
    }
}

/* The job, its causes and its notes; `above` is the line that was written before. */
static void put_sample(const struct argosy_node *leaf, const struct argosy_node *above,
                       unsigned indent, FILE *out)
{
    bool has_type = strcmp(leaf->error_type, above->error_type) != 0;
    bool has_message = strcmp(leaf->message, above->message) != 0;

    if (leaf->job[0] != '\0' || leaf->subject[0] != '\0' || has_type || has_message) {
        put_line(indent, out);
        fputs("  ", out);
        put_job(leaf, out);
        if (leaf->job[0] != '\0' && leaf->subject[0] != '\0')
            fputc(' ', out);
        put_clean(leaf->subject, out);
        if (leaf->attempts_max > 0)
            fprintf(out, "  attempt %u of %u", leaf->attempt, leaf->attempts_max);
        if (leaf->attempts_max > 0 && leaf->worker[0] != '\0') {
            fputs(" on ", out);
            put_clean(leaf->worker, out);
        }
        if (has_type || has_message)
            fputs("  ", out);
        if (has_type) {
            put_clean(leaf->error_type, out);
            fputs(": ", out);
        }
        if (has_type || has_message)
            put_clean(leaf->message, out);
        fputc('\n', out);
    }
    put_causes(leaf, indent, out);
    put_notes(leaf, indent, out);
}

static void put_error(const struct argosy_node *node, unsigned indent, FILE *out)
{
    bool is_fold = node->type == ARGOSY_FOLD;
    size_t shown = node->children_count < SHOWN_SAMPLES ? node->children_count : SHOWN_SAMPLES;

    put_line(indent, out);
    put_clean(node->error_type[0] ? node->error_type : "various", out);
    fputs(": ", out);
    put_clean(node->message, out);
    if (is_fold) {
        fprintf(out, " (%llu jobs", (unsigned long long)node->count);
        if (node->host[0] != '\0') {
            fputs(", host ", out);
            put_clean(node->host, out);
        }
        fputc(')', out);
    }
    fputc('\n', out);
    if (!is_fold) {
        put_sample(node, node, indent, out);
        return;
    }
    for (size_t i = 0; i < shown; i++)
        put_sample(node->children[i], node, indent, out);
    if (node->count > shown) {
        put_line(indent, out);
        fprintf(out, "  and %llu more\n", (unsigned long long)(node->count - shown));
    }
}

static void put_title(const struct argosy_node *group, FILE *out)
{
    fputs("ExceptionGroup: ", out);
    put_clean(group->message, out);
    fprintf(out, " (%zu sub-exception%s)\n", group->children_count,
            group->children_count == 1 ? "" : "s");
}

/* As in Python, a group that is the last one of its group closes both with its own last line. */
static void put_children(const struct argosy_node *group, unsigned indent, FILE *out)
{
    size_t shown = group->children_count < SHOWN_ERRORS ? group->children_count : SHOWN_ERRORS;
    bool is_open = false;

    for (size_t i = 0; i < shown; i++) {
        const struct argosy_node *child = group->children[i];

        fprintf(out, "%*s%s---------------- %zu ----------------\n",
                (int)(i == 0 ? indent : indent + 2), "", i == 0 ? "+-+" : "+", i + 1);
        is_open = child->type != ARGOSY_GROUP || child->children_count == 0;
        if (child->type != ARGOSY_GROUP) {
            put_error(child, indent + 2, out);
            continue;
        }
        put_line(indent + 2, out);
        put_title(child, out);
        put_sample(child, child, indent + 2, out);
        put_children(child, indent + 2, out);
    }
    if (shown < group->children_count) {
        fprintf(out, "%*s+---------------- ... ----------------\n", (int)indent + 2, "");
        put_line(indent + 2, out);
        fprintf(out, "and %zu more\n", group->children_count - shown);
        is_open = true;
    }
    if (is_open)
        fprintf(out, "%*s+------------------------------------\n", (int)indent + 2, "");
}

int argosy_report_write_text(const argosy_report *self, FILE *out)
{
    fputs("  + ", out);
    put_title(self->root, out);
    put_notes(self->root, 2, out);
    put_children(self->root, 2, out);
    return ferror(out) ? ARGOSY_EIO : 0;
}
