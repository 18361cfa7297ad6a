/* SPDX-License-Identifier: MIT */
/*
 * lanes -- see lanes.h. A table by number, and one by client and process with the lanes of the pair, oldest first.
 *
 * The daemon does not see a lane end: client and process have it between them. So the numbers of a pair are kept until
 * either is gone, but for no more than the last LANES_KEPT; the oldest makes room. A client that really has more open
 * to one process loses for the oldest of them that their large values can have an array, and nothing else. It is not
 * refused: one that opens and closes lanes all its life (every look at a pid is one) does no wrong.
 */
#include "daemon/ptoolsd/lanes.h"

#include <stdlib.h>
#include <sys/queue.h>

#include "daemon/ptoolsd/table.h"

struct lane {
    uint32_t number;
    struct pair *pair;
    TAILQ_ENTRY(lane) link;
    UT_hash_handle hh;
};

struct pair_key {
    uint32_t client, process;
};

struct pair {
    struct pair_key key;
    TAILQ_HEAD(, lane) lanes;
    unsigned n;
    UT_hash_handle hh;
};

struct lanes {
    struct lane *by_number;
    struct pair *pairs;
    uint32_t last;
};

static struct lane *lane_of(const struct lanes *l, uint32_t number)
{
    struct lane *lane;

    HASH_FIND(hh, l->by_number, &number, sizeof number, lane);
    return lane;
}

static void lane_free(struct lanes *l, struct lane *lane)
{
    TAILQ_REMOVE(&lane->pair->lanes, lane, link);
    lane->pair->n--;
    HASH_DEL(l->by_number, lane);
    free(lane);
}

static void pair_free(struct lanes *l, struct pair *p)
{
    while (!TAILQ_EMPTY(&p->lanes))
        lane_free(l, TAILQ_FIRST(&p->lanes));
    HASH_DEL(l->pairs, p);
    free(p);
}

static struct pair *pair_get(struct lanes *l, const struct pair_key *key)
{
    struct pair *p;

    HASH_FIND(hh, l->pairs, key, sizeof *key, p);
    if (p)
        return p;
    p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->key = *key;
    TAILQ_INIT(&p->lanes);
    HASH_ADD(hh, l->pairs, key, sizeof p->key, p);
    return p;
}

uint32_t lanes_add(struct lanes *l, uint32_t client, uint32_t process)
{
    const struct pair_key key = { client, process };
    struct pair *p = pair_get(l, &key);
    struct lane *lane = p ? calloc(1, sizeof *lane) : NULL;

    if (!lane)
        return 0; /* an empty pair is no harm: it ends with either of the two */
    if (p->n >= LANES_KEPT)
        lane_free(l, TAILQ_FIRST(&p->lanes));
    do
        lane->number = ++l->last;
    while (lane->number == 0 || lane_of(l, lane->number));
    lane->pair = p;
    TAILQ_INSERT_TAIL(&p->lanes, lane, link);
    p->n++;
    HASH_ADD(hh, l->by_number, number, sizeof lane->number, lane);
    return lane->number;
}

void lanes_remove(struct lanes *l, uint32_t number)
{
    struct lane *lane = lane_of(l, number);

    if (lane)
        lane_free(l, lane);
}

uint32_t lanes_client(const struct lanes *l, uint32_t number, uint32_t process)
{
    const struct lane *lane = lane_of(l, number);

    return lane && lane->pair->key.process == process ? lane->pair->key.client : 0;
}

void lanes_client_gone(struct lanes *l, uint32_t client)
{
    struct pair *p, *next;

    HASH_ITER(hh, l->pairs, p, next)
        if (p->key.client == client)
            pair_free(l, p);
}

void lanes_process_gone(struct lanes *l, uint32_t process)
{
    struct pair *p, *next;

    HASH_ITER(hh, l->pairs, p, next)
        if (p->key.process == process)
            pair_free(l, p);
}

uint32_t lanes_count(const struct lanes *l)
{
    return HASH_COUNT(l->by_number);
}

struct lanes *lanes_new(void)
{
    return calloc(1, sizeof(struct lanes));
}

struct lanes *lanes_free(struct lanes *l)
{
    struct pair *p, *next;

    if (!l)
        return NULL;
    HASH_ITER(hh, l->pairs, p, next)
        pair_free(l, p);
    free(l);
    return NULL;
}
