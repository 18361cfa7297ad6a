/* SPDX-License-Identifier: MIT */
/* fake_batch -- see fake_batch.h. */
#include "client/lib/handle.h"
#include "client/lib/pmap.h"

#include <check.h> /* whose fail is another than that of the library */
#include <poll.h>

#include "tests/unit/lib/fake_batch.h"

/* -- in scripts --------------------------------------------------------------------------------------------- */

static void serve_connection(struct fake *f, fake_batch_answer *answer)
{
    struct msg_request r;

    for (unsigned turn = 0; fake_next(f, &r);) {
        struct fake_batch b = { .request = &r, .turn = turn };

        if (r.kind != MSG_CALL)
            continue;
        turn++;
        b.answer = (struct msg_answer){ .id = r.id, .reply = { .task = 1, .worker = 1, .attempt = 1 } };
        b.records = ptools_pack_new();
        answer(f, &b);
        fake_reply_records(f, &b.answer, b.records);
        ptools_pack_free(b.records);
    }
}

void fake_serve_batches(struct fake *f, fake_batch_answer *answer)
{
    if (fake_accept_hello(f))
        serve_connection(f, answer);
    fake_close(f);
}

bool fake_somebody_comes(struct fake *f)
{
    struct pollfd p[2] = { { .fd = f->listener, .events = POLLIN }, { .fd = f->gate[0], .events = POLLIN } };

    poll(p, 2, -1);
    return p[1].revents == 0;
}

void fake_serve_batches_for_ever(struct fake *f, fake_batch_answer *answer)
{
    while (fake_somebody_comes(f))
        if (fake_accept_hello(f))
            serve_connection(f, answer);
}

void fake_batch_dies(struct fake_batch *b, uint32_t done)
{
    b->answer.failed = true;
    b->answer.failure = (struct msg_failure){
        .code = PTOOLS_ERR_WORKER_DIED, .maybe_executed = true, .items = done, .signal = 9, .exit_status = -1
    };
}

void fake_pack_failure(ptools_pack *records, ptools_err code, const char *message)
{
    ptools_pack_list(records, 4);
    ptools_pack_i64(records, code);
    ptools_pack_str(records, message);
    ptools_pack_str(records, "");
    ptools_pack_str(records, "");
}

bool fake_number_fails(uint64_t number)
{
    return number % FAILS_EVERY == 3;
}

/* -- in the parent ------------------------------------------------------------------------------------------- */

struct fake fake;
ptools *pt;
ptools_pack *items;

void batch_setup(fake_script *script, uint64_t n_items)
{
    fake_begin(&fake);
    fake_run(&fake, script);
    items = ptools_pack_new();
    for (uint64_t i = 0; i < n_items; i++)
        ptools_pack_u64(items, i);
}

void batch_setup_deaf(void)
{
    ptools_options options = PTOOLS_OPTIONS_INIT;
    static char zeros[BATCH_LARGE];

    fake_begin(&fake);
    fake_run(&fake, fake_serve_deaf);
    items = ptools_pack_new();
    for (int i = 0; i < BATCH_LARGES; i++)
        ptools_pack_bytes(items, zeros, sizeof zeros);
    options.address = fake_address(&fake, VIA_UNIX);
    options.connect_timeout_ms = BATCH_ROUND_TRIP_MS;
    ck_assert_int_eq(ptools_open(&options, &pt, NULL), PTOOLS_OK);
}

void batch_teardown(void)
{
    items = ptools_pack_free(items);
    pt = ptools_close(pt);
    fake_open_gate(&fake);
    fake_end(&fake);
}

ptools_err batch_start(const ptools_pmap_options *options, ptools_pmap **ret)
{
    const ptools_pack *const lists[] = { items };

    return ptools_pmap_start(pt, "t.f", lists, 1, options, ret);
}

ptools_item batch_next(ptools_pmap *map, uint64_t i)
{
    ptools_item item;

    ck_assert_int_eq(ptools_pmap_next(map, BATCH_WAIT_MS, &item), PTOOLS_OK);
    ck_assert_uint_eq(item.index, i);
    return item;
}

void batch_ends(ptools_pmap *map)
{
    ck_assert_int_eq(ptools_pmap_next(map, BATCH_WAIT_MS, &(ptools_item){ 0 }), PTOOLS_ERR_RANGE);
    ck_assert_uint_eq(map->held_bytes, 0);
    ptools_pmap_free(map);
    ck_assert(LIST_EMPTY(&pt->maps) && LIST_EMPTY(&pt->futures));
    pt = ptools_close(pt);
}
