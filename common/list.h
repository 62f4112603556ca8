/* list.h - doubly linked lists through a link in the object: no allocation, O(1) removal.
 *
 * A head is a link too; a link that is in no list points at itself after ag_link_init().
 * Threads: one at a time. Pure.
 */
#ifndef AG_LIST_H
#define AG_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct ag_link {
    struct ag_link *prev, *next;
};

/* The object around a member. */
#define AG_OWNER(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

static inline void ag_link_init(struct ag_link *self)
{
    self->prev = self->next = self;
}

static inline bool ag_list_is_empty(const struct ag_link *head)
{
    return head->next == head;
}

static inline bool ag_link_is_listed(const struct ag_link *self)
{
    return self->next != self;
}

/* Out of whatever list it is in; harmless when in none. */
static inline void ag_link_remove(struct ag_link *self)
{
    self->prev->next = self->next;
    self->next->prev = self->prev;
    ag_link_init(self);
}

/* To the end of the list, out of any other. */
static inline void ag_list_append(struct ag_link *head, struct ag_link *self)
{
    ag_link_remove(self);
    self->prev = head->prev;
    self->next = head;
    head->prev->next = self;
    head->prev = self;
}

/* To the front of the list, out of any other. */
static inline void ag_list_prepend(struct ag_link *head, struct ag_link *self)
{
    ag_link_remove(self); /* it may be the first already */
    ag_list_append(head->next, self);
}

#endif
