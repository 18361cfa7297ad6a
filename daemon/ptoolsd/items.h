/* SPDX-License-Identifier: MIT */
/*
 * items -- the records of the batch that a worker runs, as they come: by its link, and after its death from its page.
 * They are passed on, never opened; but foreign code wrote them, so their amount is checked.
 */
#ifndef PTOOLSD_ITEMS_H
#define PTOOLSD_ITEMS_H

#include <stdint.h>

#include "proto/bytes.h"
#include "proto/limits.h"
#include "proto/page.h"

struct items {
    uint64_t task; /* 0: none */
    uint32_t n, failed;
    struct blob *records; /* one after the other */
    size_t cap;           /* bytes that there is room for in it, if it is ours alone; 0: it is not */
};

/* n more of this task, of which some failed. 0; -EMSGSIZE: more than bytes_max in all; -ENOMEM. After a failure there
 * are none. */
int items_add(struct items *items, uint64_t task, uint32_t n, uint32_t failed, const struct span *records,
              size_t bytes_max);
/* The worker is dead: what its page has of this task beside what has come. As above. */
int items_add_left(struct items *items, uint64_t task, const struct page *page, size_t bytes_max);
void items_clear(struct items *items);

#endif
