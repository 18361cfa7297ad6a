/* SPDX-License-Identifier: MIT */
/*
 * deeds -- see deeds.h.
 */
#include "tests/unit/core/deeds.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct rig r;
uint64_t tasks[TASKS];
int deed_error;
struct blob *deed_spec;
struct msg_submit *deed_submit;

/* -- what must not change ------------------------------------------------------------------------------------ */

struct picture {
    struct core_stats stats;
    uint64_t by_state[QT_STATES], next_task, row, next_us, turn[TURNS], keys, known, timers, deadlines, backlog, booked;
    uint64_t pending, settled, modules, functions, sets, users;
    uint64_t queued, queue_bytes, kept, kept_bytes, hidden, watching, given, recovered_turn[TURNS], blocked,
        blocked_bytes, pins;
    const void *watches, *hosts;
};

static void look(struct picture *ret)
{
    struct core *core = r.core;
    const struct client *c = client_find(core, r.client);
    const struct user *u = c->user;

    qtasks_reap(core);
    memset(ret, 0, sizeof *ret);
    core_view_stats(core, &ret->stats);
    memcpy(ret->by_state, core->n_qtasks, sizeof ret->by_state);
    ret->next_task = core->next_task;
    ret->row = core->row_number;
    ret->next_us = core_next_us(core);
    memcpy(ret->turn, c->turn, sizeof ret->turn);
    ret->keys = qtask_keys(core);
    ret->known = core->n_queue;
    ret->timers = core->queue_timers.n;
    ret->deadlines = core->deadlines.n;
    ret->backlog = core->n_backlog;
    ret->booked = core->n_booked;
    ret->pending = core->n_pending;
    ret->settled = core->n_settled;
    ret->modules = HASH_COUNT(core->modules);
    ret->functions = HASH_COUNT(core->functions);
    ret->sets = HASH_COUNT(core->sets);
    ret->users = HASH_COUNT(core->users);
    ret->queued = u->n_queued;
    ret->queue_bytes = u->queue_bytes;
    ret->kept = u->n_kept;
    ret->kept_bytes = u->kept_bytes;
    ret->hidden = u->n_hidden;
    ret->watching = u->n_watchers;
    ret->given = u->n_given;
    memcpy(ret->recovered_turn, u->recovered_turn, sizeof ret->recovered_turn);
    ret->blocked = u->n_blocked;
    ret->blocked_bytes = u->blocked_bytes;
    ret->pins = u->n_pins;
    ret->watches = core->watches;
    ret->hosts = core->host_names;
}

/* -- hands ------------------------------------------------------------------------------------------------------ */

static struct msg_decoder *decoder;

void deed_encode(const struct msg_submit *m)
{
    const struct msg_request request = { .kind = MSG_TASK_SUBMIT, .id = 1, .submit = *m };
    static struct msg_request decoded;
    struct msg_problem problem;
    struct bytes bytes;

    bytes_init(&bytes, ENVELOPE_BYTES_MAX);
    msg_request_encode(&request, &bytes);
    ck_assert_int_eq(bytes.err, 0);
    blob_free(deed_spec);
    deed_spec = blob_new(bytes.data, bytes.n);
    bytes_deinit(&bytes);
    if (!decoder)
        decoder = msg_decoder_new();
    ck_assert_int_eq(msg_request_decode(decoder, deed_spec->data, deed_spec->n, &decoded, &problem), 0);
    deed_submit = &decoded.submit;
}

void act_submit(void)
{
    AUTO(blob) args = blob_new("argument", 8);

    r.request++;
    ARMED(deed_error = core_queue(r.core, r.now, r.client, r.request, deed_submit, deed_spec, args, &r.out));
}

void some_tasks(uint32_t durability)
{
    for (int i = 0; i < TASKS; i++)
        tasks[i] = rig_queued(&r, SUBMIT(.durability = durability));
    rig_recorded(&r);
}

/* -- the loop ------------------------------------------------------------------------------------------------------ */

/* asked_before: the last request before the deed. */
static bool was_refused(uint64_t asked_before)
{
    const uint64_t request = r.request;
    const struct action *a = request == asked_before ? NULL : rig_answer(&r, request);

    if (deed_error < 0) {
        ck_assert_int_eq(deed_error, -ENOMEM);
        return true;
    }
    if (!a || !a->answer.failed || !strstr(a->answer.failure.message.data, "out of memory"))
        return false;
    ck_assert_uint_eq(a->answer.failure.code, PTOOLS_ERR_LIMIT);
    ck_assert(!request_in_use(r.core, client_find(r.core, r.client), request));
    return true;
}

static size_t first_difference(const void *a, const void *b)
{
    size_t i = 0;

    while (((const uint8_t *)a)[i] == ((const uint8_t *)b)[i])
        i++;
    return i;
}

/* Nothing is gathered: the list of actions has to grow, too. */
static void forget_actions(void)
{
    actions_deinit(&r.out);
    r.looked = 0;
}

/* The nth request for memory fails. False: there are fewer. */
static bool try_without(const struct deed *deed, uint64_t nth, unsigned *refusals, unsigned *ends)
{
    struct picture before, now;
    uint64_t asked_before;
    const char *wrong;
    bool failed;

    rig_limits(&r);
    rig_queue_start(&r, WORKERS);
    if (deed->before)
        deed->before();
    forget_actions();
    asked_before = r.request;
    look(&before);
    deed_error = 0;
    scarce_count = 0;
    scarce_fails = nth;
    deed->act();
    scarce_fails = 0;
    failed = scarce_count >= nth;
    qtasks_reap(r.core); /* as in the next turn */
    wrong = core_check(r.core);
    ck_assert_msg(!wrong, "%s, request %lu for memory: %s", deed->name, nth, wrong);
    if (r.out.no_memory) {
        ck_assert_msg(failed, "%s: ends the daemon, and nothing has failed", deed->name);
        ck_assert_msg(!deed->refused || r.out.cap == 0, "%s, request %lu: ends the daemon", deed->name, nth);
        ++*ends;
    } else {
        if (was_refused(asked_before)) {
            ck_assert_msg(failed, "%s: is refused, and nothing has failed", deed->name);
            look(&now);
            ck_assert_msg(memcmp(&before, &now, sizeof now) == 0, "%s, request %lu: refused, and byte %zu has changed",
                          deed->name, nth, first_difference(&before, &now));
            forget_actions();
            ++*refusals;
            deed_error = 0;
            deed->act();
            ck_assert_int_eq(deed_error, 0);
        }
        rig_check(&r);
        if (deed->after)
            deed->after();
        rig_check(&r);
    }
    r.core = core_free(r.core);
    actions_deinit(&r.out);
    return failed;
}

void deed_run(const struct deed *deed)
{
    unsigned refusals = 0, ends = 0;

    for (int lasts = 0; lasts < 2; lasts++) {
        scarce_lasts = lasts;
        for (uint64_t nth = 1; try_without(deed, nth, &refusals, &ends);)
            nth++;
    }
    printf("# %s: %u requests for memory failed: %u refused, %u end the daemon\n", deed->name, refusals + ends, refusals,
           ends);
    ck_assert_msg(refusals + ends > 0, "%s needs no memory, or goes well without", deed->name);
    deed_spec = blob_free(deed_spec);
    decoder = msg_decoder_free(decoder);
}
