/* client.h - the insides of the client library, shared by its files.
 *
 * client.c owns the session and the events; batch.c what has to be said about batches and what is
 * heard of them; request.c single questions; port.h is all they know of the world. Everything that
 * needs an answer is kept until it has one and said again in every new session: doc/protocol.md
 * sections 4 and 6.
 */
#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

#include <argosy/client.h>

#include "client/port.h"
#include "common/list.h"
#include "common/map.h"
#include "common/proto.h"
#include "common/report_tree.h"

enum {
    WINDOW_JOBS = 4096,      /* of one batch that are not answered yet */
    WINDOW_BYTES = 16 << 20, /* of their payloads */
    WATCH_CREDIT = 1024,     /* events that may be on their way to us */
    REQUESTS_MAX = 1024,     /* unanswered questions */
    NOTICES_MAX = 64,        /* events that are not about one job; more are merged away */
    IDS_AT_ONCE = 64,        /* whose random parts are asked of the system together */
    HEARTBEAT_MS = 2000,     /* until the broker says another */
    SILENT_BEATS = 3,
    BROKER_TIMEOUT_MS = 30000
};

/* A job that the broker has not answered for yet. */
struct pending {
    struct ag_map_node node;      /* in batch->jobs, by its id */
    struct ag_link link;          /* in its chunk */
    struct chunk *chunk;          /* NULL: in none */
    struct proto_submit_job spec; /* its texts and payload point into bytes[] */
    uint8_t bytes[];
};

/* What one SUBMIT carries. */
struct chunk {
    struct ag_link link; /* in batch->chunks, in the order of submission */
    struct ag_link jobs;
    uint32_t count;
    size_t bytes;
    uint64_t request; /* 0: never sent */
    bool is_sent;     /* in this session */
    bool has_group;   /* it was said with its group */
    int64_t not_before;
};

/* A job whose end was told before it was durable, and will be told again. */
struct early {
    struct ag_map_node node; /* in batch->early, by the job's id */
};

struct argosy_batch {
    struct ag_link link; /* in client->batches */
    argosy_client *client;
    struct ag_id id; /* the group, or what is watched */
    char id_text[ARGOSY_ID_SIZE];
    unsigned flags;
    struct proto_group group; /* its name is owned */
    char *name;
    bool is_ours;  /* we submit it; else we only watch */
    bool is_known; /* the broker has accepted the group */
    bool wants_seal, is_seal_sent, is_sealed, wants_cancel, is_cancel_sent;
    bool is_over;
    bool is_refused; /* the broker will not have the group, nor anything in it */
    bool is_wanted;  /* it has to exist at the broker, also without jobs */
    bool is_hidden;  /* the library's own, for the report of a group in a group */
    bool has_ended;  /* but groups in it have not been read to their end, or not all that was
                        added has been answered */
    enum argosy_event_type end_type;
    uint64_t late;        /* came when the batch had ended: cancelled before they began */
    argosy_batch *parent; /* the batch that it is part of; NULL: none, or not ours */
    uint32_t news;        /* taken since the broker was last told */
    uint64_t seal_request, cancel_request;
    uint32_t next_index;
    struct ag_link chunks;
    struct ag_map jobs; /* in the chunks; every end that is told looks whether it is among them */
    uint32_t window_jobs;
    size_t window_bytes;
    uint64_t refused; /* for good; no job of the broker's */
    /* the watch */
    uint32_t watch;
    bool is_watch_sent;
    bool was_too_early; /* the watch: the broker did not know the group yet */
    uint64_t cursor, acknowledged;
    struct ag_map early;
    argosy_report *report;
    struct argosy_counts counts;
    uint64_t waiting, running;
    const char *failure;
};

/* A question that is not answered yet. */
struct request {
    struct ag_link link;
    uint64_t number;
    bool is_sent;
    struct ag_buffer frame;
};

/* An event that is not about one job. */
struct notice {
    enum argosy_event_type type;
    argosy_batch *batch;
};

struct argosy_client {
    char **endpoints;
    size_t endpoints_count, endpoint;
    char *name;
    uint32_t broker_timeout_ms, heartbeat_ms;
    struct ag_id instance;
    struct client_port port;
    bool is_open, was_open;
    int64_t heard_at, session_at, lost_at;
    uint32_t hellos;
    struct ag_link batches, requests;
    uint32_t requests_count, watches;
    uint64_t numbers;
    uint8_t random[IDS_AT_ONCE * AG_ID_RANDOM_BYTES];
    size_t random_left; /* bytes at the end of random[] that no id has yet */
    struct notice notices[NOTICES_MAX];
    unsigned notices_first, notices_count;
    /* the message in hand: EVENTS are handed out one by one */
    bool has_message;
    uint32_t next_item;
    struct proto in, out;
    argosy_report *scratch; /* holds the error of the event that was handed out last */
    char kind[AG_NAME_BYTES_MAX + 1], worker[AG_NAME_BYTES_MAX + 1];
    char note[AG_TEXT_BYTES_MAX + 1];
    char answer_type[AG_NAME_BYTES_MAX + 1], answer_message[AG_TEXT_BYTES_MAX + 1];
    struct ag_buffer frame;
    char fatal[256]; /* why the broker refuses us for good */
};

/* client.c: false when it cannot be sent now; it stays unsent. */
bool client_send(argosy_client *self, const struct proto *message);
void client_notice(argosy_client *self, enum argosy_event_type type, argosy_batch *batch);
int client_make_id(argosy_client *self, struct ag_id *out, struct argosy_error *err);
int64_t client_now(const argosy_client *self);
/* As argosy_client_new(), in another world; takes the port, also when it fails. */
int client_new_in(argosy_client **out, const struct argosy_client_config *config,
                  const struct client_port *port, struct argosy_error *err);

/* batch.c: jobs on their way to the broker */
int pending_check(const struct argosy_job *job, struct argosy_error *err);
struct pending *pending_new(argosy_client *client, const struct ag_id *group, uint32_t index,
                            const struct argosy_job *job);
void pending_free(struct pending *pending);

void batch_new_session(argosy_batch *self);
void batch_flush(argosy_batch *self, int64_t now);
int64_t batch_deadline(const argosy_batch *self);
bool batch_on_accepted(argosy_batch *self, const struct proto_accepted *accepted, int64_t now);
/* Tell the broker what was taken, also when it is not much. */
void batch_acknowledge(argosy_batch *self);
bool batch_on_answer(argosy_batch *self, const struct proto_answer *answer);
void batch_on_events_done(argosy_batch *self, const struct proto_events *events);
bool batch_is_repetition(const argosy_batch *self, const struct proto_events *events);
void batch_on_events(argosy_batch *self, const struct proto_events *events);
/* One entry of it; false: it is not for the user. */
bool batch_on_event(argosy_batch *self, const struct proto_event *event, bool is_early);

/* request.c */
void requests_new_session(argosy_client *self);
void requests_flush(argosy_client *self);
bool requests_answered(argosy_client *self, uint64_t number); /* whether it was one of ours */
void requests_free(argosy_client *self);

#endif
