/* SPDX-License-Identifier: MIT */
/*
 * fake_batch -- the fake daemon of the tests of maps and reductions: what it answers to batches, and a client that has
 * a list of numbers for it.
 */
#ifndef TESTS_UNIT_LIB_FAKE_BATCH_H
#define TESTS_UNIT_LIB_FAKE_BATCH_H

#include <ptools/pmap.h>

#include "tests/unit/lib/fake.h"

enum { BATCH_WAIT_MS = 20000 };

/* -- in scripts --------------------------------------------------------------------------------------------- */

/* An answer to make: what it says of a batch, of which worker 1 has done nothing yet, and its records. */
struct fake_batch {
    const struct msg_request *request;
    unsigned turn; /* batches of this connection before it */
    struct msg_answer answer;
    ptools_pack *records;
};
typedef void fake_batch_answer(struct fake *f, struct fake_batch *b);

/* One connection, in which each call is answered so. */
void fake_serve_batches(struct fake *f, fake_batch_answer *answer);
/* One such connection after the other, until the parent opens the gate. */
void fake_serve_batches_for_ever(struct fake *f, fake_batch_answer *answer);
/* False: the parent has opened the gate, and nobody else will come. */
bool fake_somebody_comes(struct fake *f);
/* The worker was killed by signal 9 at the item behind so many. */
void fake_batch_dies(struct fake_batch *b, uint32_t done);
/* The record of an item that failed. */
void fake_pack_failure(ptools_pack *records, ptools_err code, const char *message);

/* Numbers of which a script lets some fail. */
bool fake_number_fails(uint64_t number);
enum { FAILS_EVERY = 5 };

/* -- in the parent ------------------------------------------------------------------------------------------- */

extern struct fake fake;
extern ptools *pt;
extern ptools_pack *items; /* 0, 1, 2 ... */

/* Runs the script, and makes so many items. */
void batch_setup(fake_script *script, uint64_t n_items);
/* A daemon that reads nothing after its hello, a client that waits for it so long, and large items. */
enum { BATCH_LARGE = 2 << 20, BATCH_LARGES = 24, BATCH_ROUND_TRIP_MS = 500 };
void batch_setup_deaf(void);
/* Closes what is open, and lets the script end. */
void batch_teardown(void);
/* t.f over the items. */
ptools_err batch_start(const ptools_pmap_options *options, ptools_pmap **ret);
/* The next outcome, that of item i. */
ptools_item batch_next(ptools_pmap *map, uint64_t i);
/* There are no more, and nothing is held; the map and the connection go. */
void batch_ends(ptools_pmap *map);

#endif
