/* SPDX-License-Identifier: MIT */
/*
 * reduce -- the inside of ptools_mapreduce: what a map does differently when its batches come back as one value each
 * (pmap_reduce.c), and maps on top of each other until there is one value (mapreduce.c).
 *
 * A strand is a run of items, one segment or more, that becomes one value, folded from left to right: the value of
 * those that are done goes at the front of the batch that takes up the next. So only the first segment of a strand is
 * ever sent. In a map without strand_items each segment is a strand of its own, and what is split off one begins the next;
 * in one with it each segment that was taken stays one strand, whatever becomes of it. Segments go when they have
 * ended; strands stay, in the order of the items, until their values are taken.
 */
#ifndef CLIENT_LIB_REDUCE_H
#define CLIENT_LIB_REDUCE_H

#include "client/lib/pmap.h"

enum {
    REDUCE_LEVEL_ITEMS = 16,      /* values that are reduced in one batch, above the lowest level */
    REDUCE_STRAND_BYTES = 1 << 20 /* of arguments in a strand: it ends behind the item that makes them so many */
};

struct strand {
    TAILQ_ENTRY(strand) link; /* in map->strands */
    uint32_t segments;        /* that have not ended */
    uint32_t values;          /* of the items that are done: one, and one for each default behind it */
    struct bytes bytes;       /* these, each in a list of its own */
};

/* -- pmap_reduce.c -- */

/* It begins a strand, behind that of after (NULL: the last one). false: no memory. */
bool strand_begin(struct ptools_pmap *map, struct segment *s, struct strand *after);
/* One segment of it goes; and if nothing is left, so does it. */
void strand_leave(struct ptools_pmap *map, struct strand *strand);
struct strand *strand_free(struct ptools_pmap *map, struct strand *strand);
/* It may be sent: no other of its strand is before it. */
bool strand_lets(const struct segment *s);
/* It has ended, and goes: what failed is noted, a default is added to its strand, and the next of that may be sent. */
void reduce_ended(struct ptools_pmap *map, struct segment *s);
/* How many items the next batch shall have. */
uint32_t reduce_wanted(const struct ptools_pmap *map);
/* Deals the one value of an answer out to s; only records of failures are left in it. What is left of s; NULL. */
struct segment *reduce_deal(struct answer *a, struct segment *s);
/* n items, whose lists were made elsewhere: a new waiting segment. */
ptools_err reduce_put(struct ptools_pmap *map, const uint8_t *lists, size_t bytes, uint32_t n);

/* -- mapreduce.c -- */

struct reduce_request {
    const char *op;
    const char *function;                 /* to start the map with */
    bool values;                          /* there is none: the items are the values */
    const char *item;                     /* "item" or "part", for messages */
    ptools_pmap_options options, for_map; /* as given; and without what a map knows nothing of */
};
/* What a reduction was asked for, checked. */
ptools_err reduce_request_read(ptools *pt, const char *function, const char *op, const ptools_pmap_options *given,
                               ptools_reduced **ret, struct reduce_request *ret_what);
/* The items of map are reduced, and it is freed. */
ptools_err reduce_all(ptools *pt, struct ptools_pmap *take_map, const struct reduce_request *what,
                      ptools_reduced **ret);

#endif
