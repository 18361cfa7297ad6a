/* SPDX-License-Identifier: MIT */
/*
 * test_memory -- every allocation of the library fails once, in a scenario that uses nearly all of it: each
 * time the scenario fails cleanly or not at all, and nothing leaks (AddressSanitizer and valgrind see to that).
 */
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/failing.h"
#include "tests/support/suite.h"
#include "tests/unit/lib/fake.h"

static void serve_until_gate(struct fake *s)
{
    for (;;) {
        struct pollfd p[2] = { { .fd = s->listener, .events = POLLIN }, { .fd = s->gate[0], .events = POLLIN } };

        poll(p, 2, -1);
        if (p[1].revents)
            return;
        fake_serve(s, s->connections + 1);
    }
}

static void count(ptools_future *f, void *arg)
{
    (void)f;
    ++*(int *)arg;
}

/* Memory ran out in this process, or ended the connection when the answer could not be read. */
static bool is_shortage(ptools_err err)
{
    return err == PTOOLS_ERR_NO_MEMORY || err == PTOOLS_ERR_SYSTEM;
}

struct scenario {
    ptools *pt;
    ptools_pack *args;
    ptools_future *f[4];
    ptools_workerset *set;
    ptools_worker_info *workers;
};

/* The first failure, or PTOOLS_OK. */
static ptools_err play(struct scenario *s, const char *address)
{
    ptools_options options = PTOOLS_OPTIONS_INIT;
    static char large[100000];
    const uint32_t ids[] = { 1, 2 };
    ptools_value value;
    ptools_err err;
    int calls = 0;
    size_t n;

    options.address = address;
    options.module_path = "/x";
    if ((err = ptools_open(&options, &s->pt, NULL)))
        return err;
    s->args = ptools_pack_new();
    if (!s->args)
        return PTOOLS_ERR_NO_MEMORY;
    ptools_pack_list(s->args, 2);
    ptools_pack_str(s->args, "two");
    ptools_pack_bytes(s->args, large, sizeof large);
    if ((err = ptools_workerset_create(s->pt, NULL, ids, 2, PTOOLS_WS_FF, &s->set)) ||
        (err = ptools_remotecall_fetch(s->pt, s->set, "t.echo", s->args, NULL, 5000, &s->f[0], &value)) ||
        (err = ptools_get_item(value, 1, &value)) ||
        (err = ptools_remotecall(s->pt, NULL, "t.fail", NULL, NULL, &s->f[1])) ||
        (err = ptools_future_then(s->f[1], count, &calls)) ||
        (err = ptools_remotecall(s->pt, NULL, "t.never", NULL, NULL, &s->f[2])) ||
        (err = ptools_future_cancel(s->f[2])))
        return err;
    while (calls == 0)
        if ((err = ptools_dispatch(s->pt, 5000)))
            return err;
    err = ptools_future_fetch(s->f[1], 0, NULL);
    if (err != PTOOLS_ERR_WORKER_DIED) /* the facts may be fewer, the code is the same */
        return err;
    if ((err = ptools_future_wait(s->f[2], 5000)))
        return err;
    if ((err = ptools_workers(s->pt, &s->workers, &n)))
        return err;
    return ptools_inspect(s->pt, "workers", &s->f[3], &value);
}

START_TEST(each_allocation_fails_once)
{
    unsigned nth, failures = 0;
    struct fake f;

    fake_begin(&f);
    fake_run(&f, serve_until_gate);
    for (nth = 1;; nth++) {
        struct scenario s = { 0 };
        ptools_err err;
        bool failed;

        failing_at(nth);
        err = play(&s, f.dir);
        failed = failing_stop();
        failures += err != PTOOLS_OK;
        ck_assert_msg(err == PTOOLS_OK || (failed && is_shortage(err)), "allocation %u: %s: %s", nth,
                      ptools_errname(err), s.pt ? ptools_error_message(s.pt) : "");
        free(s.workers);
        ptools_workerset_free(s.set);
        for (int i = 0; i < 4; i++)
            ptools_future_free(s.f[i]);
        ptools_pack_free(s.args);
        ptools_close(s.pt);
        if (!failed)
            break;
    }
    ck_assert_uint_ge(nth, 20); /* so many there are at least */
    ck_assert_uint_ge(failures, 10);
    fake_open_gate(&f);
    fake_end(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lib/memory");
    TCase *tc = suite_case(suite, "memory");

    tcase_add_test(tc, each_allocation_fails_once);
    return suite_run(suite);
}
