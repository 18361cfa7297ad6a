/* SPDX-License-Identifier: MIT */
/*
 * pmap with isolated items: that it asks for them, and what it reads of their records, which have more in them than
 * others; and what it makes of records that no worker writes.
 */
#include <signal.h>
#include <string.h>

#include "tests/support/suite.h"
#include "tests/unit/lib/fake_batch.h"

enum { BACKTRACE_BYTES = 3000 };

/* What the daemon answers, item by item; and what is made of it. */
enum kind { VALUE, TREE, DEATH, EXIT, PLAIN, PLAIN_FAILURE, KINDS };

static void pack_failure(ptools_pack *out, int64_t signal, int64_t exit_status)
{
    char backtrace[BACKTRACE_BYTES + 1];

    memset(backtrace, 'b', BACKTRACE_BYTES);
    backtrace[BACKTRACE_BYTES] = '\0';
    ptools_pack_list(out, 11);
    ptools_pack_i64(out, PTOOLS_ERR_WORKER_DIED);
    ptools_pack_str(out, "it died");
    ptools_pack_str(out, "dying");
    ptools_pack_str(out, "a line\n");
    ptools_pack_u64(out, 1234);
    ptools_pack_u64(out, 99);
    ptools_pack_i64(out, signal);
    ptools_pack_i64(out, exit_status);
    ptools_pack_u64(out, 7);
    ptools_pack_u64(out, 9);
    ptools_pack_str(out, backtrace);
}

static void pack_record(ptools_pack *out, enum kind kind)
{
    switch (kind) {
    case VALUE:
    case TREE:
        ptools_pack_list(out, 3);
        if (kind == TREE)
            ptools_pack_list(out, 1);
        ptools_pack_str(out, "text");
        ptools_pack_u64(out, 300);
        ptools_pack_u64(out, UINT64_C(5000000000));
        return;
    case DEATH:
    case EXIT:
        pack_failure(out, kind == DEATH ? SIGSEGV : 0, kind == DEATH ? -1 : 3);
        return;
    case PLAIN: /* of items that no process was made for */
        ptools_pack_list(out, 1);
        ptools_pack_str(out, "text");
        return;
    case PLAIN_FAILURE:
    case KINDS:
        fake_pack_failure(out, PTOOLS_ERR_NO_FUNCTION, "");
        return;
    }
}

static void answer(struct fake *f, struct fake_batch *b)
{
    (void)f;
    FAKE_CHECK(b->request->call.isolated && b->request->call.items == KINDS && b->request->call.grace_ms == 30);
    for (int kind = 0; kind < KINDS; kind++)
        pack_record(b->records, (enum kind)kind);
    b->answer.reply.items = KINDS;
    b->answer.reply.items_failed = 3;
}

static void serve(struct fake *f)
{
    fake_serve_batches(f, answer);
}

static ptools_pmap *start(fake_script *script, uint32_t batch_size, uint64_t n)
{
    ptools_pmap_options options = PTOOLS_PMAP_OPTIONS_INIT;
    ptools_pmap *map = NULL;

    batch_setup(script, n);
    pt = fake_open(&fake, VIA_UNIX);
    options.flags = PTOOLS_PMAP_ISOLATED;
    options.batch_size = batch_size;
    options.grace_ms = 30;
    ck_assert_int_eq(batch_start(&options, &map), PTOOLS_OK);
    ck_assert_int_eq(ptools_pmap_next(map, 0, &(ptools_item){ 0 }), PTOOLS_ERR_TIMEOUT); /* the items are sent */
    return map;
}

static void check(const ptools_item *item, enum kind kind)
{
    const ptools_failure *f = item->failure;
    ptools_value v = item->value;
    const char *text;
    size_t n;

    if (kind == VALUE || kind == TREE || kind == PLAIN) {
        ck_assert_int_eq(item->err, PTOOLS_OK);
        ck_assert_ptr_null(f);
        if (kind == TREE)
            ck_assert_int_eq(ptools_get_item(item->value, 0, &v), PTOOLS_OK);
        ck_assert_int_eq(ptools_get_str(v, &text, &n), PTOOLS_OK);
        ck_assert(n == 4 && memcmp(text, "text", 4) == 0);
        ck_assert_uint_eq(item->run_us, kind == PLAIN ? 0 : 300);
        ck_assert_uint_eq(item->peak_kb, kind == PLAIN ? 0 : UINT64_C(5000000000));
        return;
    }
    if (kind == PLAIN_FAILURE) {
        ck_assert_int_eq(item->err, PTOOLS_ERR_NO_FUNCTION);
        ck_assert(item->run_us == 0 && item->peak_kb == 0 && f->exit_status == -1 && f->signal == 0);
        return;
    }
    ck_assert_int_eq(item->err, PTOOLS_ERR_WORKER_DIED);
    ck_assert_str_eq(f->message, "it died");
    ck_assert_str_eq(f->phase, "dying");
    ck_assert_str_eq(f->log, "a line\n");
    ck_assert_uint_eq(strlen(f->backtrace), BACKTRACE_BYTES);
    ck_assert(item->run_us == 1234 && f->run_us == 1234);
    ck_assert(item->peak_kb == 99 && f->peak_bytes == 99 * 1024);
    ck_assert(f->progress == 7 && f->progress_of == 9);
    ck_assert_int_eq(f->signal, kind == DEATH ? SIGSEGV : 0);
    ck_assert_int_eq(f->exit_status, kind == DEATH ? -1 : 3);
}

START_TEST(what_they_took_is_told)
{
    ptools_pmap *map = start(serve, KINDS, 2 * KINDS);

    for (int i = 0; i < 2 * KINDS; i++) {
        const ptools_item item = batch_next(map, (uint64_t)i);

        check(&item, (enum kind)(i % KINDS));
    }
    batch_ends(map);
    batch_teardown();
}
END_TEST

/* -- nonsense ---------------------------------------------------------------------------------------------------- */

enum nonsense { TWO_VALUES, TWELVE_VALUES, TIME_IS_TEXT, PEAK_IS_NEGATIVE, SIGNAL_IS_TEXT, CODE_IS_ZERO, NONSENSES };

static void pack_nonsense(ptools_pack *out, enum nonsense which)
{
    const uint32_t n = which == TWO_VALUES ? 2 : which == TWELVE_VALUES ? 12 : which <= PEAK_IS_NEGATIVE ? 3 : 11;

    ptools_pack_list(out, n);
    for (uint32_t i = 0; i < n; i++) {
        if ((which == TIME_IS_TEXT && i == 1) || (which == SIGNAL_IS_TEXT && i == 6))
            ptools_pack_str(out, "text");
        else
            ptools_pack_i64(out, which == PEAK_IS_NEGATIVE && i == 2 ? -1 : which == CODE_IS_ZERO ? 0 : 1);
    }
}

static void answer_nonsense(struct fake *f, struct fake_batch *b)
{
    (void)f;
    pack_nonsense(b->records, (enum nonsense)(b->turn % NONSENSES));
    b->answer.reply.items = 1;
    b->answer.reply.items_failed = b->turn / NONSENSES; /* then they are looked at before */
}

static void serve_nonsense(struct fake *f)
{
    fake_serve_batches(f, answer_nonsense);
}

START_TEST(nonsense_is_an_outcome_too)
{
    ptools_pmap *map = start(serve_nonsense, 1, 2 * NONSENSES);

    for (uint64_t i = 0; i < 2 * NONSENSES; i++) {
        const ptools_item item = batch_next(map, i);

        ck_assert_msg(item.err == PTOOLS_ERR_PROTOCOL, "item %u: %s", (unsigned)i, ptools_errname(item.err));
        ck_assert_ptr_nonnull(item.failure);
    }
    batch_ends(map);
    batch_teardown();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lib/pmap-isolated");
    TCase *tc = suite_case(suite, "isolated");

    tcase_add_test(tc, what_they_took_is_told);
    tcase_add_test(tc, nonsense_is_an_outcome_too);
    return suite_run(suite);
}
