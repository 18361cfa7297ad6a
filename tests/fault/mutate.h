/* SPDX-License-Identifier: MIT */
/*
 * mutate -- requests for a daemon that are nearly right. See mutate.c.
 */
#ifndef TESTS_FAULT_MUTATE_H
#define TESTS_FAULT_MUTATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/bytes.h"
#include "proto/message.h"

enum { MUTATE_IDS = 256, MUTATE_WORKERS = 3 /* the first so many are not removed */ };

enum mutate_thing { THING_TASK, THING_ARRAY, THING_SET, THING_STASKS, THING_PROCESS, THINGS };

struct mutate {
    uint64_t random;
    uint64_t id; /* of the last request */
    struct {
        uint64_t v[MUTATE_IDS];
        size_t n; /* learned so far: the last MUTATE_IDS of them are kept */
    } known[THINGS];
    struct msg_decoder *decoder;
    struct bytes envelope, payload;
};

void mutate_init(struct mutate *m, uint64_t seed);
void mutate_deinit(struct mutate *m);

/* 0 to below - 1. */
uint64_t mutate_pick(struct mutate *m, uint64_t below);
static inline bool mutate_chance(struct mutate *m, unsigned percent)
{
    return mutate_pick(m, 100) < percent;
}
/* An id that a daemon has answered, to be named in later requests, also when it means nothing any more. 0: none. */
void mutate_learn(struct mutate *m, enum mutate_thing thing, uint64_t id);
/* One that was learned; 0: none yet. */
uint64_t mutate_known(struct mutate *m, enum mutate_thing thing);

/* Appends one message as it goes over a ZMTP connection. false: its framing is broken, and what is sent behind it will
 * not be read as it was meant. *ret_owed: the id of a request that is answered before those behind it; 0: it is none.
 */
bool mutate_message(struct mutate *m, bool to_req, struct bytes *out, uint64_t *ret_owed);
/* Appends a frame; more: others of its message follow. */
void mutate_frame(struct bytes *out, const void *body, size_t n, bool more, bool long_header);
/* Changes a few bytes, or how many there are. */
void mutate_bytes(struct mutate *m, struct bytes *b);

#endif
