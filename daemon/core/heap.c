/* SPDX-License-Identifier: MIT */
/*
 * heap -- see heap.h. Invariants: no entry comes before its parent, and v[i].node->place == i + 1.
 */
#include "daemon/core/heap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { HEAP_CAP_MIN = 16 };

static bool before(const struct heap_entry *a, const struct heap_entry *b)
{
    if (a->key != b->key)
        return a->key < b->key;
    return a->turn != b->turn ? a->turn < b->turn : a->number < b->number;
}

static void put(struct heap *h, size_t i, struct heap_entry e)
{
    h->v[i] = e;
    e.node->place = i + 1;
}

/* e is to go to place i or above: those that come after it make room. */
static void rise(struct heap *h, size_t i, struct heap_entry e)
{
    while (i > 0 && before(&e, &h->v[(i - 1) / 2])) {
        put(h, i, h->v[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    put(h, i, e);
}

/* e is to go to place i or below. */
static void sink(struct heap *h, size_t i, struct heap_entry e)
{
    for (;;) {
        size_t child = 2 * i + 1;

        if (child + 1 < h->n && before(&h->v[child + 1], &h->v[child]))
            child++;
        if (child >= h->n || !before(&h->v[child], &e))
            break;
        put(h, i, h->v[child]);
        i = child;
    }
    put(h, i, e);
}

void heap_deinit(struct heap *h)
{
    free(h->v);
    *h = (struct heap){ 0 };
}

int heap_reserve(struct heap *h, size_t n)
{
    size_t cap = h->cap ? h->cap : HEAP_CAP_MIN;
    struct heap_entry *v;

    if (n <= h->cap)
        return 0;
    if (n > SIZE_MAX / 4 / sizeof *v)
        return -ENOMEM;
    while (cap < n)
        cap *= 2;
    v = realloc(h->v, cap * sizeof *v);
    if (!v)
        return -ENOMEM;
    h->v = v;
    h->cap = cap;
    return 0;
}

int heap_push(struct heap *h, struct heap_node *node, uint64_t key)
{
    return heap_push_rank(h, node, key, 0, 0);
}

int heap_push_rank(struct heap *h, struct heap_node *node, uint64_t key, uint64_t turn, uint64_t number)
{
    int r = heap_reserve(h, h->n + 1);

    if (r < 0)
        return r;
    h->n++;
    rise(h, h->n - 1, (struct heap_entry){ key, turn, number, node });
    return 0;
}

void heap_remove(struct heap *h, struct heap_node *node)
{
    size_t i = node->place - 1;
    struct heap_entry last;

    if (node->place == 0)
        return;
    node->place = 0;
    last = h->v[--h->n];
    if (i == h->n)
        return;
    if (i > 0 && before(&last, &h->v[(i - 1) / 2]))
        rise(h, i, last);
    else
        sink(h, i, last);
}

uint64_t heap_key_of(double number)
{
    uint64_t bits;

    number = number == 0 ? 0 : number; /* -0 is 0 */
    memcpy(&bits, &number, sizeof bits);
    return bits >> 63 ? ~bits : bits | UINT64_C(1) << 63;
}
