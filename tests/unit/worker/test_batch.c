/* SPDX-License-Identifier: MIT */
/*
 * batch -- a worker that is given many items at once: a record for each, in the page as soon as there is one, and on
 * the link when there are many or no more. And the same with a process for each item.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "tests/support/suite.h"
#include "tests/unit/worker/door.h"
#include "tests/unit/worker/driver.h"

static struct driver d;
static struct peer w;
static struct bytes items; /* the lists of a batch */

static void start(void)
{
    driver_start(&d, TEST_MODULES, NULL);
    report_free(driver_load(&d, "p"));
    report_free(driver_load(&d, "t"));
    peer_start(&w, &d, 3);
    bytes_init(&items, SIZE_MAX);
}

static void stop(void)
{
    ck_assert_int_eq(peer_stop(&w), 0);
    driver_stop(&d);
    bytes_deinit(&items);
}

static void add(const char *text, int64_t n)
{
    ptools_pack *args = ptools_pack_new();
    const uint8_t *list;
    size_t bytes;

    if (text)
        ptools_pack_str(args, text);
    ptools_pack_i64(args, n);
    ck_assert_int_eq(pack_finish_arguments(args, &list, &bytes), PTOOLS_OK);
    ck_assert_int_eq(bytes_append(&items, list, bytes), 0);
    ptools_pack_free(args);
}

/* op: "" is none */
static void give_reduction(uint64_t task, const char *function, const struct link_batch *batch, const char *init,
                           const char *op)
{
    struct bytes body;
    struct link_frame run;
    struct link_batch head = *batch;

    bytes_init(&body, SIZE_MAX);
    head.init_bytes = (uint16_t)strlen(init);
    head.op_bytes = (uint16_t)strlen(op);
    peer_prepare(&w, task, function, &run);
    run.code = RUN_BATCH;
    bytes_append(&body, function, strlen(function));
    bytes_append(&body, &head, sizeof head);
    bytes_append(&body, init, strlen(init));
    bytes_append(&body, op, strlen(op));
    ck_assert_int_eq(bytes_append(&body, items.data, items.n), 0);
    run.body_bytes = (uint32_t)body.n;
    peer_send(&w, &run, body.data, body.n);
    bytes_deinit(&body);
    bytes_reset(&items);
}

static void give(uint64_t task, const char *function, const struct link_batch *batch, const char *init)
{
    give_reduction(task, function, batch, init, "");
}

/* Reads LINK_ITEMS frames up to the DONE, which it returns: how many items there were, and their records. */
struct outcome {
    uint32_t frames, items, failed;
    struct bytes records;
    struct answer done;
};

static void await(uint64_t task, struct outcome *ret)
{
    *ret = (struct outcome){ 0 };
    bytes_init(&ret->records, SIZE_MAX);
    for (;;) {
        struct answer a;

        ck_assert(peer_answer(&w, &a));
        ck_assert_uint_eq(a.frame.task, task);
        if (a.frame.type != LINK_ITEMS) {
            ret->done = a;
            ck_assert_int_eq(a.frame.type, LINK_DONE);
            return;
        }
        ret->frames++;
        ret->items += a.frame.a;
        ret->failed += a.frame.b;
        bytes_append(&ret->records, a.body, a.frame.body_bytes);
        answer_deinit(&a);
    }
}

static void outcome_deinit(struct outcome *o)
{
    bytes_deinit(&o->records);
    answer_deinit(&o->done);
}

START_TEST(a_record_for_each_item)
{
    enum { RECORDS_BYTES = 6 };
    struct outcome o;

    start();
    add(NULL, 7);
    add(NULL, 8);
    add(NULL, 9);
    give(1, "p.same", &(struct link_batch){ .items = 3 }, "");
    await(1, &o);
    ck_assert_int_eq(o.done.frame.code, PTOOLS_OK);
    ck_assert_uint_eq(o.done.frame.body_bytes, 0);
    ck_assert(o.frames == 1 && o.items == 3 && o.failed == 0);
    ck_assert_uint_eq(o.records.n, RECORDS_BYTES);
    ck_assert_uint_eq(o.records.data[0], 0x91);
    ck_assert_uint_eq(o.records.data[1], 7);
    ck_assert_uint_eq(o.records.data[3], 8);
    ck_assert_uint_eq(o.records.data[5], 9);
    outcome_deinit(&o);
    stop();
}
END_TEST

START_TEST(a_failure_is_its_own)
{
    struct outcome o;
    struct payload payload;
    const char *why;
    size_t bytes;

    start();
    add("value", 1);
    add("fail", 2); /* its text is no text */
    add("value", 3);
    give(1, "p.item", &(struct link_batch){ .items = 3 }, "");
    await(1, &o);
    ck_assert(o.items == 3 && o.failed == 1);
    payload_init(&payload);
    ck_assert_int_eq(payload_parse_first(&payload, o.records.data + 2, o.records.n - 2, &bytes, &why), PTOOLS_OK);
    ck_assert_uint_eq(payload.root.via.array.size, 4);
    ck_assert_uint_eq(payload.root.via.array.ptr[0].via.u64, PTOOLS_ERR_BAD_ARGUMENT);
    payload_deinit(&payload);
    outcome_deinit(&o);
    stop();
}
END_TEST

/* Records of 20,000 bytes: three fit into the outbox; and one that is larger than it. */
START_TEST(full_outboxes_leave)
{
    struct outcome o;

    start();
    for (int i = 0; i < 10; i++)
        add("bytes", i == 5 ? 100000 : 20000);
    give(1, "p.item", &(struct link_batch){ .items = 10 }, "");
    await(1, &o);
    ck_assert_int_eq(o.done.frame.code, PTOOLS_OK);
    ck_assert_uint_eq(o.items, 10);
    ck_assert_uint_ge(o.frames, 4);
    ck_assert_uint_gt(o.records.n, 280000);
    outcome_deinit(&o);
    stop();
}
END_TEST

START_TEST(a_batch_ends_when_its_records_are_many)
{
    struct outcome o;

    start();
    for (int i = 0; i < 100; i++)
        add("bytes", 50000);
    give(1, "p.item", &(struct link_batch){ .items = 100 }, "");
    await(1, &o);
    ck_assert_int_eq(o.done.frame.code, PTOOLS_OK);
    ck_assert_uint_eq(o.items, 21); /* a megabyte */
    outcome_deinit(&o);
    stop();
}
END_TEST

START_TEST(a_batch_gives_back_what_it_has_no_time_for)
{
    struct outcome o;

    start();
    add("value", 1);
    add("sleep", 100);
    add("value", 2);
    add("value", 3);
    give(1, "p.item", &(struct link_batch){ .items = 4, .hand_back_ms = 30 }, "");
    await(1, &o);
    ck_assert_int_eq(o.done.frame.code, PTOOLS_OK);
    ck_assert_uint_eq(o.items, 2);
    outcome_deinit(&o);
    stop();
}
END_TEST

START_TEST(what_is_done_is_in_the_page_after_a_death)
{
    struct answer a;

    start();
    add("value", 1);
    add("fail", 2);
    add("value", 3);
    add("raise", SIGKILL);
    add("value", 5);
    give(17, "p.item", &(struct link_batch){ .items = 5 }, "");
    ck_assert(!peer_answer(&w, &a)); /* it had no time to say anything */
    ck_assert_int_eq(peer_wait(&w), SIGKILL);
    ck_assert_uint_eq(atomic_load(&w.page->outbox_task), 17);
    ck_assert_uint_eq(atomic_load(&w.page->outbox_first), 0);
    ck_assert_uint_eq(atomic_load(&w.page->outbox_word) >> 32, 3);
    ck_assert_uint_eq(atomic_load(&w.page->outbox_failed), 1);
    ck_assert_uint_eq(page_items(w.page, 17), 3);
    ck_assert_uint_eq(page_items(w.page, 18), 0);
    ck_assert_uint_eq(w.page->outbox[0], 0x91);
    ck_assert_uint_eq(w.page->outbox[1], 1);
    peer_free(&w);
    driver_stop(&d);
    bytes_deinit(&items);
}
END_TEST

START_TEST(a_cancelled_batch_tells_what_is_done)
{
    struct outcome o;

    start();
    add("value", 1);
    add("sleep", 200);
    add("value", 2);
    atomic_store(&w.page->cancel, 9); /* as if it came at once: the first item is not begun */
    give(9, "p.item", &(struct link_batch){ .items = 3 }, "");
    await(9, &o);
    ck_assert_int_eq(o.done.frame.code, PTOOLS_ERR_CANCELLED);
    ck_assert_uint_eq(o.items, 0);
    outcome_deinit(&o);
    stop();
}
END_TEST

START_TEST(init_runs_once_for_each_run)
{
    static const uint64_t runs[] = { 5, 5, 6, 5, 0, 0 };
    static const uint8_t inits[] = { 1, 1, 2, 2, 3, 4 };
    struct outcome o;

    start();
    for (size_t i = 0; i < ELEMENTS(runs); i++) {
        items.n = 0;
        ck_assert_int_eq(bytes_append(&items, "\x90\x90", 2), 0); /* two items without arguments */
        give(i + 1, "p.seen", &(struct link_batch){ .items = 2, .map = runs[i] }, "p.init");
        await(i + 1, &o);
        ck_assert_uint_eq(o.items, 2);
        ck_assert_uint_eq(o.failed, 0);
        ck_assert_uint_eq(o.records.data[2], inits[i]); /* [[inits, sum, worker]] */
        outcome_deinit(&o);
    }
    stop();
}
END_TEST

/* -- reductions --------------------------------------------------------------------------------------------------- */

static void give_texts(uint64_t task, uint32_t n, const char *op)
{
    give_reduction(task, "r.text", &(struct link_batch){ .items = n }, "", op);
}

START_TEST(the_values_of_a_reduction_are_one_record)
{
    struct outcome o;

    start();
    report_free(driver_load(&d, "r"));
    add("value", 7);
    add("value", 8);
    add("value", 9);
    give_texts(1, 3, "r.join");
    await(1, &o);
    ck_assert_int_eq(o.done.frame.code, PTOOLS_OK);
    ck_assert(o.frames == 1 && o.items == 3 && o.failed == 0);
    ck_assert_uint_eq(o.records.n, 8);
    ck_assert_mem_eq(o.records.data,
                     "\x91\xa6"
                     "7,8,9,",
                     8);
    outcome_deinit(&o);
    ck_assert_int_eq(bytes_append(&items,
                                  "\x91\xa1"
                                  "a\x91\xa1"
                                  "b",
                                  6),
                     0); /* values, and an item */
    add("value", 5);
    give_reduction(2, "r.text", &(struct link_batch){ .items = 3, .values = 2 }, "", "r.join");
    await(2, &o);
    ck_assert_mem_eq(o.records.data,
                     "\x91\xa4"
                     "ab5,",
                     6);
    outcome_deinit(&o);
    stop();
}
END_TEST

START_TEST(a_reduction_ends_with_an_item_that_fails)
{
    struct outcome o;

    start();
    report_free(driver_load(&d, "r"));
    add("value", 7);
    add("value", 8);
    add("fail", 9);
    add("value", 10);
    give_texts(1, 4, "r.join");
    await(1, &o);
    ck_assert_int_eq(o.done.frame.code, PTOOLS_OK);
    ck_assert(o.items == 3 && o.failed == 1);
    ck_assert_mem_eq(o.records.data,
                     "\x91\xa4"
                     "7,8,\x94",
                     7);
    outcome_deinit(&o);
    ck_assert_int_eq(bytes_append(&items, "\x05\x91\x01", 3), 0); /* a value that is no list */
    give_reduction(2, "r.text", &(struct link_batch){ .items = 2, .values = 2 }, "", "r.join");
    await(2, &o);
    ck_assert(o.items == 1 && o.failed == 1);
    outcome_deinit(&o);
    add("value", 1);
    add("value", 2);
    give_reduction(3, "r.text", &(struct link_batch){ .items = 2, .map = 1 }, "p.init_fails", "r.join");
    await(3, &o);
    ck_assert(o.items == 2 && o.failed == 2); /* all of them */
    outcome_deinit(&o);
    stop();
}
END_TEST

START_TEST(an_operator_that_fails_ends_the_batch)
{
    struct outcome o;

    start();
    report_free(driver_load(&d, "r"));
    for (int i = 75; i < 80; i++)
        add("value", i);
    give_texts(1, 5, "r.join_fails");
    await(1, &o);
    ck_assert_int_eq(o.done.frame.code, PTOOLS_ERR_FAILED);
    ck_assert_str_eq((const char *)o.done.body, "the reduction by r.join_fails: 77 is not to be joined");
    ck_assert(o.items == 2 && o.failed == 0);
    ck_assert_mem_eq(o.records.data,
                     "\x91\xa6"
                     "75,76,",
                     8);
    outcome_deinit(&o);
    stop();
}
END_TEST

/* After each item its half of the outbox has the whole value so far. */
START_TEST(what_was_reduced_is_in_the_page_after_a_death)
{
    for (uint32_t done = 1; done <= 4; done++) {
        uint32_t n, at, bytes;
        struct answer a;
        char text[16];

        start();
        report_free(driver_load(&d, "r"));
        for (uint32_t i = 0; i < done; i++)
            add("value", i);
        add("kill", 9);
        give_texts(17, done + 1, "r.join");
        ck_assert(!peer_answer(&w, &a));
        ck_assert_int_eq(peer_wait(&w), SIGKILL);
        ck_assert_uint_eq(page_items(w.page, 17), done);
        ck_assert(page_outbox_read(atomic_load(&w.page->outbox_word), &n, &at, &bytes));
        ck_assert(n == done && at == (done % 2 ? PAGE_OUTBOX_HALF : 0) && bytes == 2 + 2 * done);
        memcpy(text, w.page->outbox + at, bytes);
        ck_assert_mem_eq(text + 2, "0,1,2,3,", 2 * done);
        peer_free(&w);
        driver_stop(&d);
        bytes_deinit(&items);
    }
}
END_TEST

START_TEST(a_value_too_large_for_the_page_is_said_to_be)
{
    uint32_t n, at, bytes;
    struct outcome o;
    struct answer a;

    start();
    report_free(driver_load(&d, "r"));
    add("wide", 20000);
    add("wide", 20001);
    give_texts(1, 2, "r.join");
    await(1, &o);
    ck_assert(o.done.frame.code == PTOOLS_OK && o.items == 2);
    ck_assert_uint_eq(o.records.n, 1 + 3 + 40001 + 12);
    ck_assert_uint_eq(o.records.data[0], 0x91);
    outcome_deinit(&o);
    add("wide", 20000);
    add("wide", 20001);
    add("kill", 9);
    give_texts(2, 3, "r.join");
    ck_assert(!peer_answer(&w, &a));
    ck_assert_int_eq(peer_wait(&w), SIGKILL);
    ck_assert(page_outbox_read(atomic_load(&w.page->outbox_word), &n, &at, &bytes));
    ck_assert(n == 2 && bytes == 1 && w.page->outbox[at] == 0x90);
    peer_free(&w);
    driver_stop(&d);
    bytes_deinit(&items);
}
END_TEST

START_TEST(arguments_that_are_none_fail_their_item)
{
    struct outcome o;

    start();
    add(NULL, 1);
    ck_assert_int_eq(bytes_append(&items, "\x05", 1), 0); /* not a list */
    add(NULL, 3);
    ck_assert_int_eq(bytes_append(&items, "\x92\x01", 2), 0); /* cut short */
    give(1, "p.same", &(struct link_batch){ .items = 5 }, "");
    await(1, &o);
    ck_assert_int_eq(o.done.frame.code, PTOOLS_OK);
    ck_assert_uint_eq(o.items, 5);
    ck_assert_uint_eq(o.failed, 3);
    outcome_deinit(&o);
    stop();
}
END_TEST

START_TEST(an_impossible_frame_is_the_end)
{
    struct link_frame run;
    struct answer a;
    int status;

    start();
    peer_prepare(&w, 1, "p.same", &run);
    run.code = RUN_BATCH;
    run.body_bytes = 6; /* no room for what a batch has */
    peer_send(&w, &run, "p.same", 6);
    ck_assert(!peer_answer(&w, &a));
    status = peer_wait(&w);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == WORKER_EXIT_PROTOCOL);
    peer_free(&w);
    driver_stop(&d);
    bytes_deinit(&items);
}
END_TEST

/* -- isolated ---------------------------------------------------------------------------------------------------- */

enum { NUMBERS = 3, WORDS = 11 }; /* values of a record of an isolated item */

/* The record at *at, which moves behind it. */
static const msgpack_object *record(const struct outcome *o, size_t *at, struct payload *payload)
{
    const char *why = "";
    size_t bytes = 0;

    ck_assert_int_eq(payload_parse_first(payload, o->records.data + *at, o->records.n - *at, &bytes, &why), PTOOLS_OK);
    ck_assert_int_eq(payload->root.type, MSGPACK_OBJECT_ARRAY);
    *at += bytes;
    return &payload->root;
}

static void check_value(const msgpack_object *r, uint64_t value)
{
    ck_assert_uint_eq(r->via.array.size, NUMBERS);
    ck_assert_uint_eq(r->via.array.ptr[0].via.u64, value);
    ck_assert_uint_gt(r->via.array.ptr[1].via.u64, 0);
    ck_assert_uint_gt(r->via.array.ptr[2].via.u64, 0);
}

static bool text_is(const msgpack_object *o, const char *text)
{
    return o->type == MSGPACK_OBJECT_STR && o->via.str.size == strlen(text) &&
           memcmp(o->via.str.ptr, text, o->via.str.size) == 0;
}

START_TEST(an_isolated_item_dies_alone)
{
    const struct link_batch batch = { .items = 6, .isolated = 1 };
    const msgpack_object *r;
    struct payload payload;
    struct outcome o;
    size_t at = 0;

    start();
    payload_init(&payload);
    for (uint64_t round = 1; round <= 2; round++) {
        add("value", 1);
        add("raise", SIGSEGV);
        add("raise", SIGKILL);
        add("exit", 0);
        add("fail", 2); /* its text is no text */
        add("value", 3);
        give(round, "p.item", &batch, "");
        await(round, &o);
        ck_assert_int_eq(o.done.frame.code, PTOOLS_OK);
        ck_assert(o.items == 6 && o.failed == 4);
        ck_assert_uint_eq(page_items(w.page, round), 6);
        at = 0;
        check_value(record(&o, &at, &payload), 1);
        for (int i = 0; i < 3; i++) {
            r = record(&o, &at, &payload);
            ck_assert_uint_eq(r->via.array.size, WORDS);
            ck_assert_uint_eq(r->via.array.ptr[0].via.u64, PTOOLS_ERR_WORKER_DIED);
            ck_assert_uint_eq(r->via.array.ptr[6].via.u64, i == 0 ? SIGSEGV : i == 1 ? SIGKILL : 0);
            ck_assert_int_eq(r->via.array.ptr[7].via.i64, i == 2 ? 0 : -1);
            ck_assert(text_is(&r->via.array.ptr[10], "") == (i > 0)); /* a backtrace */
        }
        r = record(&o, &at, &payload);
        ck_assert_uint_eq(r->via.array.size, WORDS);
        ck_assert_uint_eq(r->via.array.ptr[0].via.u64, PTOOLS_ERR_BAD_ARGUMENT);
        check_value(record(&o, &at, &payload), 3);
        ck_assert_uint_eq(at, o.records.n);
        outcome_deinit(&o);
    }
    payload_deinit(&payload);
    stop();
}
END_TEST

/* It runs in the worker itself, and with a run that has been here only items are left to run. */
START_TEST(init_is_what_isolated_items_find)
{
    static const uint64_t runs[] = { 5, 5, 6 };
    static const uint8_t inits[] = { 1, 1, 2 };
    struct payload payload;
    struct outcome o;

    start();
    payload_init(&payload);
    for (size_t i = 0; i < ELEMENTS(runs); i++) {
        size_t at = 0;

        ck_assert_int_eq(bytes_append(&items, "\x90\x90", 2), 0);
        give(i + 1, "p.seen", &(struct link_batch){ .items = 2, .map = runs[i], .isolated = 1 }, "p.init");
        await(i + 1, &o);
        ck_assert(o.items == 2 && o.failed == 0);
        for (int k = 0; k < 2; k++)
            ck_assert_uint_eq(record(&o, &at, &payload)->via.array.ptr[0].via.array.ptr[0].via.u64, inits[i]);
        outcome_deinit(&o);
    }
    ck_assert_int_eq(bytes_append(&items, "\x90\x90", 2), 0);
    give(9, "p.same", &(struct link_batch){ .items = 2, .map = 7, .isolated = 1 }, "p.init_fails");
    await(9, &o);
    ck_assert(o.items == 2 && o.failed == 2);
    ck_assert_uint_eq(o.records.data[0], 0x94); /* no process was made for it */
    outcome_deinit(&o);
    payload_deinit(&payload);
    stop();
}
END_TEST

static void stop_task(uint64_t task)
{
    atomic_store(&w.page->cancel, task);
    ck_assert_int_eq(kill(w.pid, SIGTERM), 0);
}

START_TEST(an_isolated_item_is_stopped_and_its_worker_goes_on)
{
    const struct link_batch batch = { .items = 3, .isolated = 1 };
    struct outcome o;

    start();
    for (uint64_t task = 1; task <= 3; task++) {
        add("value", 1);
        add("hang", 2);
        add("value", 3);
        w.page->phase[0] = '\0';
        give(task, "p.item", &batch, "");
        page_await_phase(w.page, "hanging");
        ck_assert_uint_eq(page_items(w.page, task), 1);
        stop_task(task);
        await(task, &o);
        ck_assert_int_eq(o.done.frame.code, PTOOLS_ERR_CANCELLED);
        ck_assert_uint_eq(o.items, 1);
        ck_assert_str_eq(o.done.texts[1], "hanging");
        ck_assert_ptr_nonnull(strstr(w.page->backtrace, "item+0x")); /* where it was */
        outcome_deinit(&o);
    }
    add(NULL, 4);
    give(4, "p.same", &(struct link_batch){ .items = 1, .isolated = 1 }, "");
    await(4, &o);
    ck_assert(o.items == 1 && o.failed == 0);
    outcome_deinit(&o);
    stop();
}
END_TEST

static void add_names(const char *prefix, const char *name)
{
    ptools_pack *args = ptools_pack_new();
    const uint8_t *list;
    size_t bytes;

    ptools_pack_str(args, prefix);
    ptools_pack_str(args, name);
    ck_assert_int_eq(pack_finish_arguments(args, &list, &bytes), PTOOLS_OK);
    ck_assert_int_eq(bytes_append(&items, list, bytes), 0);
    ptools_pack_free(args);
}

/* Waits until the worker has none. */
static void await_no_child(void)
{
    char path[64], child[16];
    bool there = true;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)w.pid, (int)w.pid);
    while (there) {
        f = fopen(path, "re");
        ck_assert_ptr_nonnull(f);
        there = fgets(child, sizeof child, f) != NULL;
        fclose(f);
    }
}

/* The answer to a question of an item that is gone is not taken for that of the next one. */
START_TEST(an_answer_that_nobody_waits_for_is_dropped)
{
    const struct link_batch batch = { .items = 1, .isolated = 1 };
    struct payload payload;
    struct outcome o;
    size_t at = 0;

    start();
    payload_init(&payload);
    report_free(driver_load(&d, "a"));
    add_names("", "first");
    give(1, "a.peek", &batch, "");
    ck_assert_str_eq(door_asked(w.fds).name, "first");
    stop_task(1);
    await_no_child();
    door_refuse(w.fds, PTOOLS_ERR_NO_ARRAY, "there is no first one");
    await(1, &o);
    ck_assert_int_eq(o.done.frame.code, PTOOLS_ERR_CANCELLED);
    outcome_deinit(&o);

    add_names("", "second");
    give(2, "a.peek", &batch, "");
    ck_assert_str_eq(door_asked(w.fds).name, "second");
    door_refuse(w.fds, PTOOLS_ERR_NO_ARRAY, "there is no second one");
    await(2, &o);
    ck_assert(o.items == 1 && o.failed == 1);
    ck_assert(text_is(&record(&o, &at, &payload)->via.array.ptr[1], "there is no second one"));
    outcome_deinit(&o);
    payload_deinit(&payload);
    stop();
}
END_TEST

START_TEST(values_of_isolated_items_have_a_limit)
{
    static const char *const small[] = { "--message-max", "2000000", NULL };
    struct payload payload;
    struct outcome o;
    size_t at = 0;

    driver_start(&d, TEST_MODULES, small);
    report_free(driver_load(&d, "p"));
    peer_start(&w, &d, 3);
    bytes_init(&items, SIZE_MAX);
    payload_init(&payload);
    add("bytes", 900000); /* behind records of half of what a message may have there is room for it */
    give(1, "p.item", &(struct link_batch){ .items = 1, .isolated = 1 }, "");
    await(1, &o);
    ck_assert(o.items == 1 && o.failed == 0 && o.records.n > 900000);
    outcome_deinit(&o);
    add("bytes", 1100000);
    add("value", 1);
    give(2, "p.item", &(struct link_batch){ .items = 2, .isolated = 1 }, "");
    await(2, &o);
    ck_assert(o.items == 2 && o.failed == 1);
    ck_assert_uint_eq(record(&o, &at, &payload)->via.array.ptr[0].via.u64, PTOOLS_ERR_TOO_LARGE);
    check_value(record(&o, &at, &payload), 1);
    outcome_deinit(&o);
    payload_deinit(&payload);
    stop();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("worker/batch");
    TCase *tc = suite_case(suite, "batch");

    tcase_add_test(tc, a_record_for_each_item);
    tcase_add_test(tc, a_failure_is_its_own);
    tcase_add_test(tc, full_outboxes_leave);
    tcase_add_test(tc, a_batch_ends_when_its_records_are_many);
    tcase_add_test(tc, a_batch_gives_back_what_it_has_no_time_for);
    tcase_add_test(tc, what_is_done_is_in_the_page_after_a_death);
    tcase_add_test(tc, a_cancelled_batch_tells_what_is_done);
    tcase_add_test(tc, init_runs_once_for_each_run);
    tcase_add_test(tc, arguments_that_are_none_fail_their_item);
    tcase_add_test(tc, the_values_of_a_reduction_are_one_record);
    tcase_add_test(tc, a_reduction_ends_with_an_item_that_fails);
    tcase_add_test(tc, an_operator_that_fails_ends_the_batch);
    tcase_add_test(tc, what_was_reduced_is_in_the_page_after_a_death);
    tcase_add_test(tc, a_value_too_large_for_the_page_is_said_to_be);
    tcase_add_test(tc, an_impossible_frame_is_the_end);
    tcase_add_test(tc, an_isolated_item_dies_alone);
    tcase_add_test(tc, init_is_what_isolated_items_find);
    tcase_add_test(tc, an_isolated_item_is_stopped_and_its_worker_goes_on);
    tcase_add_test(tc, an_answer_that_nobody_waits_for_is_dropped);
    tcase_add_test(tc, values_of_isolated_items_have_a_limit);
    return suite_run(suite);
}
