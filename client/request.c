/* Questions: kept as the frame they are, until they are answered. */
#include <stdlib.h>
#include <string.h>

#include "client/client.h"
#include "common/error.h"

static void request_free(argosy_client *self, struct request *request)
{
    ag_link_remove(&request->link);
    ag_buffer_free(&request->frame);
    free(request);
    self->requests_count--;
}

static int ask(argosy_client *self, struct proto *message, uint64_t number, uint64_t *out,
               struct argosy_error *err)
{
    struct request *request;

    if (self->requests_count >= REQUESTS_MAX)
        return ag_fail(err, ARGOSY_EAGAIN, "%d requests are unanswered", REQUESTS_MAX);
    request = calloc(1, sizeof *request);
    if (request == NULL)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a request");
    ag_link_init(&request->link);
    request->number = number;
    request->frame = ag_buffer_empty(AG_MESSAGE_BYTES_MAX);
    ag_list_append(&self->requests, &request->link);
    self->requests_count++;
    ag_proto_encode(&request->frame, message);
    if (request->frame.failed) {
        request_free(self, request);
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a request");
    }
    *out = number;
    requests_flush(self);
    return 0;
}

static int ask_verb(argosy_client *self, enum ag_message type, const char *verb,
                    const void *arguments, size_t arguments_size, uint64_t *request,
                    struct argosy_error *err)
{
    struct proto message = {.type = type};

    if (strlen(verb) > AG_NAME_BYTES_MAX || arguments_size > AG_PAYLOAD_BYTES_MAX)
        return ag_fail(err, ARGOSY_ETOOBIG, "the question is too long");
    message.query.request = ++self->numbers;
    message.query.verb = ag_bytes_of_text(verb);
    message.query.arguments =
        arguments != NULL ? ag_bytes_of(arguments, arguments_size) : ag_bytes_of("\x80", 1);
    return ask(self, &message, message.query.request, request, err);
}

int argosy_query(argosy_client *self, const char *verb, const void *arguments,
                 size_t arguments_size, uint64_t *request, struct argosy_error *err)
{
    return ask_verb(self, AG_QUERY, verb, arguments, arguments_size, request, err);
}

int argosy_control(argosy_client *self, const char *verb, const void *arguments,
                   size_t arguments_size, uint64_t *request, struct argosy_error *err)
{
    return ask_verb(self, AG_CONTROL, verb, arguments, arguments_size, request, err);
}

int argosy_cancel(argosy_client *self, const char *const *ids, size_t count, uint64_t *request,
                  struct argosy_error *err)
{
    struct proto message = {.type = AG_CANCEL};

    if (count == 0 || count > AG_MESSAGE_ITEMS_MAX)
        return ag_fail(err, ARGOSY_EINVAL, "%zu ids at once (1-%d)", count, AG_MESSAGE_ITEMS_MAX);
    for (size_t i = 0; i < count; i++) {
        int rc = ag_id_parse(ids[i], &message.cancel.targets[i], err);

        if (rc < 0)
            return rc;
    }
    message.cancel.count = (uint32_t)count;
    message.cancel.request = ++self->numbers;
    return ask(self, &message, message.cancel.request, request, err);
}

void requests_new_session(argosy_client *self)
{
    for (struct ag_link *at = self->requests.next; at != &self->requests; at = at->next)
        AG_OWNER(at, struct request, link)->is_sent = false;
}

/* In their order: what does not fit keeps back those behind it, which may be about the same. */
void requests_flush(argosy_client *self)
{
    for (struct ag_link *at = self->requests.next; self->is_open && at != &self->requests;
         at = at->next) {
        struct request *request = AG_OWNER(at, struct request, link);

        if (!request->is_sent)
            request->is_sent = self->port.send(self->port.arg, ag_buffer_bytes(&request->frame));
        if (!request->is_sent)
            return;
    }
}

bool requests_answered(argosy_client *self, uint64_t number)
{
    for (struct ag_link *at = self->requests.next; at != &self->requests; at = at->next) {
        struct request *request = AG_OWNER(at, struct request, link);

        if (request->number == number) {
            request_free(self, request);
            return true;
        }
    }
    return false;
}

void requests_free(argosy_client *self)
{
    while (!ag_list_is_empty(&self->requests))
        request_free(self, AG_OWNER(self->requests.next, struct request, link));
}
