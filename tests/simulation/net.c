/* The network: frames keep their order within one direction of a connection. When a connection is
 * cut, the end of what was on its way down is lost, the rest arrives first; of what was on its way
 * up a part arrives late over the old connection, a part is lost, a part is sent again over the new
 * one. */
#include <stdlib.h>
#include <string.h>

#include "tests/simulation/sim.h"

static struct frame *frame_new(struct ag_bytes bytes)
{
    struct frame *frame = malloc(sizeof *frame + bytes.size);

    if (frame == NULL)
        abort();
    ag_link_init(&frame->link);
    frame->size = bytes.size;
    memcpy(frame->data, bytes.data, bytes.size);
    return frame;
}

static void append(struct sim *self, struct ag_link *list, struct frame *frame)
{
    int64_t last = ag_list_is_empty(list) ? 0 : AG_OWNER(list->prev, struct frame, link)->at;
    int64_t delay =
        chance(self, 3) && !self->are_faults_over ? between(self, 50, 800) : between(self, 0, 8);

    frame->at = self->now + delay > last ? self->now + delay : last;
    ag_list_append(list, &frame->link);
}

struct frame *net_first(struct ag_link *list)
{
    return ag_list_is_empty(list) ? NULL : AG_OWNER(list->next, struct frame, link);
}

void net_drop(struct frame *frame)
{
    ag_link_remove(&frame->link);
    free(frame);
}

void net_drop_all(struct ag_link *list)
{
    while (!ag_list_is_empty(list))
        net_drop(net_first(list));
}

struct conn *net_find(struct sim *self, uint32_t number)
{
    for (struct ag_link *at = self->conns.next; at != &self->conns; at = at->next) {
        struct conn *conn = AG_OWNER(at, struct conn, link);

        if (conn->number == number)
            return conn;
    }
    return NULL;
}

static struct conn *conn_new(struct sim *self, int peer)
{
    struct conn *conn = calloc(1, sizeof *conn);

    if (conn == NULL)
        abort();
    ag_link_init(&conn->link);
    ag_link_init(&conn->up);
    conn->number = ++self->conns_made;
    conn->peer = peer;
    conn->is_current = true;
    ag_list_append(&self->conns, &conn->link);
    return conn;
}

static unsigned count_of(const struct ag_link *list)
{
    unsigned count = 0;

    for (const struct ag_link *at = list->next; at != list; at = at->next)
        count++;
    return count;
}

/* What was on its way to the broker: the first part arrives over the old connection, the next one
 * is lost with it, the last had not been written and is sent again over the new one; what was
 * written and read may be sent again as well. */
static void scatter(struct sim *self, struct conn *old, struct conn *new)
{
    unsigned count = count_of(&old->up);
    unsigned arrives = (unsigned)between(self, 0, count);
    unsigned lost = new != NULL ? (unsigned)between(self, 0, count - arrives) : count - arrives;
    unsigned place = 0;

    for (struct ag_link *at = old->up.next, *next; at != &old->up; at = next, place++) {
        struct frame *frame = AG_OWNER(at, struct frame, link);

        next = at->next;
        if (place < arrives) {
            if (new != NULL && place + 1 == arrives &&chance(self, 20))
                append(self, &new->up, frame_new(ag_bytes_of(frame->data, frame->size)));
        } else if (place < arrives + lost) {
            net_drop(frame);
        } else {
            ag_link_remove(&frame->link);
            append(self, &new->up, frame);
        }
    }
}

void net_open(struct sim *self, int number, bool is_cut)
{
    struct peer *peer = &self->peers[number];
    struct conn *old = peer->conn, *conn = conn_new(self, number);
    unsigned left;

    peer->conn = conn;
    /* Who opens a new socket has thrown away what it had not read. */
    left = is_cut ? (unsigned)between(self, 0, count_of(&peer->down)) : 0;
    for (struct ag_link *at = peer->down.next, *next; at != &peer->down; at = next) {
        next = at->next;
        if (left > 0)
            left--;
        else
            net_drop(AG_OWNER(at, struct frame, link));
    }
    if (old == NULL)
        return;
    old->is_current = false;
    scatter(self, old, is_cut ? conn : NULL);
}

void net_send_up(struct sim *self, int peer, struct ag_bytes frame)
{
    if (self->peers[peer].conn != NULL)
        append(self, &self->peers[peer].conn->up, frame_new(frame));
}

/* To a connection that is not there any more nothing arrives. */
void net_send_down(struct sim *self, uint32_t number, const struct proto *message)
{
    struct conn *conn = net_find(self, number);

    if (conn == NULL || !conn->is_current)
        return;
    ag_buffer_clear(&self->frame);
    ag_proto_encode(&self->frame, message);
    if (self->frame.failed)
        abort();
    append(self, &self->peers[conn->peer].down, frame_new(ag_buffer_bytes(&self->frame)));
}

void net_close_all(struct sim *self)
{
    while (!ag_list_is_empty(&self->conns)) {
        struct conn *conn = AG_OWNER(self->conns.next, struct conn, link);

        net_drop_all(&conn->up);
        ag_link_remove(&conn->link);
        free(conn);
    }
    for (int i = 0; i < SIM_PEERS; i++)
        net_drop_all(&self->peers[i].down);
}
