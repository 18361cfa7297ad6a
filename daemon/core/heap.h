/* SPDX-License-Identifier: MIT */
/*
 * heap -- what comes first: an indexed binary heap.
 *
 * Its elements are nodes that live inside other structs and know their place, so that one can be
 * taken out from anywhere in O(log n). The smallest key is on top; of equal keys that with the smaller turn, then that
 * with the smaller number. A push of a key larger than all
 * others, the usual case of a queue, moves nothing. The heap does not own what is in it.
 *
 * Used as the queue of tasks (key: the number of the task), for queued tasks (key: the priority), and for what is due
 * (key: a time).
 */
#ifndef CORE_HEAP_H
#define CORE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_node {
    size_t place; /* from 1; 0: in no heap */
};
struct heap_entry {
    uint64_t key; /* beside the pointer, so that comparing does not touch the elements */
    uint64_t turn, number;
    struct heap_node *node;
};
struct heap {
    struct heap_entry *v; /* v[0] is the top; v[i] has place i + 1 */
    size_t n, cap;
};

void heap_deinit(struct heap *h);
/* After it the heap holds n elements in all without a further allocation. 0 or -ENOMEM. */
int heap_reserve(struct heap *h, size_t n);
/* The node must be in no heap. 0, or -ENOMEM and nothing changed. */
int heap_push(struct heap *h, struct heap_node *node, uint64_t key);
int heap_push_rank(struct heap *h, struct heap_node *node, uint64_t key, uint64_t turn, uint64_t number);
/* Takes it out; nothing happens if it is in no heap. */
void heap_remove(struct heap *h, struct heap_node *node);
/* Numbers other than NaN as keys, in the same order: -infinity first, +infinity last. */
uint64_t heap_key_of(double number);

static inline struct heap_node *heap_top(const struct heap *h)
{
    return h->n > 0 ? h->v[0].node : NULL;
}
static inline uint64_t heap_top_key(const struct heap *h)
{
    return h->n > 0 ? h->v[0].key : UINT64_MAX;
}
/* Of a node that it holds. */
static inline uint64_t heap_key(const struct heap *h, const struct heap_node *node)
{
    return h->v[node->place - 1].key;
}
static inline bool heap_holds(const struct heap_node *node)
{
    return node->place != 0;
}

#endif
