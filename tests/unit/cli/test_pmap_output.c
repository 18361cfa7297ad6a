/* SPDX-License-Identifier: MIT */
/*
 * test_pmap_output -- lines for outcomes of every kind, in order and not, plain and as objects, with some that were
 * kept; and a standard output that takes nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/failure.h"
#include "client/cli/pmap_output.h"
#include "tests/support/suite.h"
#include "tests/unit/cli/values.h"

static struct command_line line;
static struct bar no_bar;
static struct payload payload;
static ptools_pack *pack;
static struct capture out, err;
static struct pmap_output o;

static void begin(bool ordered, bool json)
{
    pack = ptools_pack_new();
    ptools_pack_i64(pack, 7);
    line = (struct command_line){ .json = json };
    capture(&out, STDOUT_FILENO);
    capture(&err, STDERR_FILENO);
    ck_assert_int_eq(pmap_output_open(&o, &line, ordered, &no_bar), 0);
}

/* That was written, to standard output and error. */
static void end(const char *want_out, const char *want_err)
{
    bool flushed = outlet_flush(&o.outlet);
    char *text_err = captured(&err), *text_out = captured(&out);

    ck_assert(flushed);
    ck_assert_str_eq(text_out, want_out);
    ck_assert_str_eq(text_err, want_err);
    free(text_out);
    free(text_err);
    pmap_output_close(&o);
    payload_deinit(&payload);
    ptools_pack_free(pack);
}

static ptools_failure why = { .message = "bo\no", .phase = "late", .log = "one\n\xff" };

static ptools_item outcome(uint64_t index, ptools_err code)
{
    ptools_item item = { .index = index, .err = code, .attempts = 2 };

    why.code = code;
    if (code == PTOOLS_OK)
        item.value = value_of(pack, &payload);
    else
        item.failure = &why;
    return item;
}

static void put(uint64_t index, ptools_err code)
{
    ptools_item item = outcome(index, code);

    pmap_output_item(&o, &item);
    if (code == PTOOLS_OK)
        payload_deinit(&payload);
}

static void keep(uint64_t index, ptools_err code)
{
    ptools_item item = outcome(0, code);

    ck_assert(pmap_output_keep(&o, &item, index));
    if (code == PTOOLS_OK)
        payload_deinit(&payload);
}

START_TEST(plain)
{
    begin(true, false);
    put(0, PTOOLS_OK);
    put(1, PTOOLS_ERR_FAILED);
    put(2, PTOOLS_ERR_DEADLINE);
    put(3, PTOOLS_ERR_CANCELLED);
    put(4, PTOOLS_ERR_NOT_RUN);
    ck_assert_uint_eq(o.counts.items, 5);
    ck_assert_uint_eq(o.counts.failed, 2);
    ck_assert_uint_eq(o.counts.cancelled, 1);
    ck_assert_uint_eq(o.counts.not_run, 1);
    ck_assert_int_eq(o.counts.status, EXIT_TIME);
    ck_assert_int_eq(o.hopeless, PTOOLS_OK);
    payload_init(&payload);
    end("7\nnull\nnull\nnull\nnull\n", "ptools pmap: index 1, line 2: bo\\x0ao (FAILED)\n"
                                       "ptools pmap: index 2, line 3: bo\\x0ao (DEADLINE)\n");
}
END_TEST

START_TEST(objects)
{
    ptools_item item;

    begin(true, true);
    put(0, PTOOLS_OK);
    put(1, PTOOLS_ERR_FAILED);
    item = outcome(2, PTOOLS_OK); /* a default */
    why.code = PTOOLS_ERR_WORKER_DIED;
    item.failure = &why;
    pmap_output_item(&o, &item);
    ck_assert_uint_eq(o.counts.failed, 1);
    ck_assert_uint_eq(o.counts.defaulted, 1);
    end("{\"schema\":1,\"index\":0,\"value\":7}\n"
        "{\"schema\":1,\"index\":1,\"error\":\"FAILED\",\"message\":\"bo\\no\",\"attempts\":2,\"phase\":\"late\","
        "\"log\":\"one\\\\x0a\\\\xff\"}\n"
        "{\"schema\":1,\"index\":2,\"value\":7,\"error\":\"WORKER_DIED\",\"message\":\"bo\\no\",\"attempts\":2,"
        "\"phase\":\"late\",\"log\":\"one\\\\x0a\\\\xff\"}\n",
        "");
}
END_TEST

START_TEST(one_that_speaks_for_all)
{
    begin(true, false);
    put(0, PTOOLS_ERR_NO_FUNCTION);
    put(1, PTOOLS_ERR_NO_FUNCTION);
    ck_assert_int_eq(o.hopeless, PTOOLS_ERR_NO_FUNCTION);
    ck_assert_int_eq(o.counts.status, EXIT_PTOOLS);
    payload_init(&payload);
    end("null\nnull\n", "ptools pmap: index 0, line 1: bo\\x0ao (NO_FUNCTION)\n");
}
END_TEST

START_TEST(kept_in_their_places)
{
    begin(true, false);
    keep(0, PTOOLS_ERR_FAILED);
    keep(2, PTOOLS_OK);
    keep(3, PTOOLS_ERR_FAILED);
    keep(6, PTOOLS_OK);
    put(0, PTOOLS_OK);           /* 1 */
    put(1, PTOOLS_OK);           /* 4 */
    put(2, PTOOLS_ERR_DEADLINE); /* 5 */
    pmap_output_rest(&o);
    ck_assert_uint_eq(o.counts.items, 7);
    payload_init(&payload);
    end("null\n7\n7\nnull\n7\nnull\n7\n", "ptools pmap: index 0, line 1: bo\\x0ao (FAILED)\n"
                                          "ptools pmap: index 3, line 4: bo\\x0ao (FAILED)\n"
                                          "ptools pmap: index 5, line 6: bo\\x0ao (DEADLINE)\n");
}
END_TEST

START_TEST(kept_behind_an_end)
{
    begin(true, false);
    keep(0, PTOOLS_OK);
    keep(4, PTOOLS_OK);
    put(0, PTOOLS_ERR_FAILED); /* 1, and no more come */
    pmap_output_rest(&o);
    ck_assert_uint_eq(o.counts.items, 5);
    ck_assert_uint_eq(o.counts.not_run, 2);
    payload_init(&payload);
    end("7\nnull\nnull\nnull\n7\n", "ptools pmap: index 1, line 2: bo\\x0ao (FAILED)\n");
}
END_TEST

START_TEST(missing_ones_are_found)
{
    begin(true, false);
    keep(0, PTOOLS_OK);
    keep(3, PTOOLS_OK);
    put(0, PTOOLS_OK); /* 1 */
    pmap_output_missing(&o, 3);
    pmap_output_rest(&o);
    ck_assert_uint_eq(o.counts.items, 5);
    ck_assert_uint_eq(o.counts.not_run, 2);
    payload_init(&payload);
    end("7\n7\nnull\n7\nnull\n", "");
}
END_TEST

START_TEST(missing_ones_out_of_order)
{
    begin(false, false);
    put(1, PTOOLS_OK);
    put(0, PTOOLS_OK);
    pmap_output_missing(&o, 3);
    payload_init(&payload);
    end("{\"schema\":1,\"index\":1,\"value\":7}\n{\"schema\":1,\"index\":0,\"value\":7}\n"
        "{\"schema\":1,\"index\":2,\"error\":\"NOT_RUN\",\"message\":\"not begun, for all was ended before its turn\","
        "\"attempts\":0,\"phase\":\"\",\"log\":\"\"}\n",
        "");
}
END_TEST

START_TEST(kept_out_of_order)
{
    begin(false, false);
    keep(1, PTOOLS_OK);
    put(1, PTOOLS_OK); /* 2 */
    put(0, PTOOLS_OK); /* 0 */
    pmap_output_rest(&o);
    payload_init(&payload);
    end("{\"schema\":1,\"index\":1,\"value\":7}\n{\"schema\":1,\"index\":2,\"value\":7}\n"
        "{\"schema\":1,\"index\":0,\"value\":7}\n",
        "");
}
END_TEST

static bool give_up(void *arg)
{
    ++*(int *)arg;
    return false;
}

/* A pipe that is full, and a signal: it does not wait for ever. */
START_TEST(a_sleeping_reader)
{
    static char zeros[4096];
    int saved = dup(STDOUT_FILENO), fds[2], signals[2], signs = 0;

    ck_assert_int_eq(pipe2(fds, O_NONBLOCK), 0);
    while (write(fds[1], zeros, sizeof zeros) > 0)
        continue;
    ck_assert_int_eq(fcntl(fds[1], F_SETFL, 0), 0);
    ck_assert_int_eq(pipe(signals), 0);
    ck_assert_int_eq(write(signals[1], "x", 1), 1);
    dup2(fds[1], STDOUT_FILENO);
    pack = ptools_pack_new();
    ptools_pack_i64(pack, 7);
    line = (struct command_line){ 0 };
    ck_assert_int_eq(pmap_output_open(&o, &line, true, &no_bar), 0);
    o.outlet.signals = signals[0];
    o.outlet.on_signal = give_up;
    o.outlet.arg = &signs;
    put(0, PTOOLS_OK);
    ck_assert(!outlet_flush(&o.outlet));
    ck_assert_int_eq(signs, 1);
    ck_assert_int_eq(o.outlet.error, ECANCELED);
    pmap_output_close(&o);
    ptools_pack_free(pack);
    dup2(saved, STDOUT_FILENO);
    for (int i = 0; i < 2; i++) {
        close(fds[i]);
        close(signals[i]);
    }
    close(saved);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pmap_output");
    TCase *tc = suite_case(suite, "pmap_output");

    tcase_add_test(tc, plain);
    tcase_add_test(tc, objects);
    tcase_add_test(tc, one_that_speaks_for_all);
    tcase_add_test(tc, kept_in_their_places);
    tcase_add_test(tc, kept_behind_an_end);
    tcase_add_test(tc, missing_ones_are_found);
    tcase_add_test(tc, missing_ones_out_of_order);
    tcase_add_test(tc, kept_out_of_order);
    tcase_add_test(tc, a_sleeping_reader);
    return suite_run(suite);
}
