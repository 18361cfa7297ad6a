/* SPDX-License-Identifier: MIT */
/*
 * wait -- waiting for futures, and the dispatch that calls callbacks.
 *
 * All waits are one loop: send what waits, sleep until bytes move, take in what came, look again. A
 * callback never runs in a wait, so that a program is not surprised in the middle of its own work.
 */
#include "client/lib/handle.h"

ptools_err check_timeout(struct ptools *pt, int64_t timeout_ms)
{
    if (timeout_ms < PTOOLS_FOREVER)
        return fail(pt, PTOOLS_ERR_INVALID, "timeout_ms is %lld: 0 or more, or PTOOLS_FOREVER", (long long)timeout_ms);
    return PTOOLS_OK;
}

static ptools_err timed_out(struct ptools *pt)
{
    return fail_static(pt, PTOOLS_ERR_TIMEOUT, "the wait is over and the call is not done; it goes on");
}

/* -- one future ---------------------------------------------------------------------------------------- */

ptools_err ptools_future_wait(ptools_future *f, int64_t timeout_ms)
{
    ptools_err err;

    if (!f)
        return PTOOLS_ERR_INVALID;
    if (!f->pt)
        return PTOOLS_OK; /* closed, so it is done */
    err = handle_check(f->pt);
    if (err == PTOOLS_OK)
        err = check_timeout(f->pt, timeout_ms);
    if (err != PTOOLS_OK || f->done)
        return err;
    return future_await(f, clock_until_us(timeout_ms)) == PTOOLS_OK ? PTOOLS_OK : timed_out(f->pt);
}

ptools_err future_result(struct ptools_future *f, ptools_value *ret)
{
    ptools_value value;
    ptools_err err;

    if (f->failed)
        return f->pt ? fail_with(f->pt, &f->failure) : f->failure.facts.code;
    err = future_value(f, &value);
    if (err == PTOOLS_OK && ret)
        *ret = value;
    return err;
}

ptools_err ptools_future_fetch(ptools_future *f, int64_t timeout_ms, ptools_value *ret_value)
{
    ptools_err err = ptools_future_wait(f, timeout_ms);

    return err == PTOOLS_OK ? future_result(f, ret_value) : err;
}

/* -- several -------------------------------------------------------------------------------------------- */

/* PTOOLS_OK: the futures may be waited for together; *ret_n is how many there are, NULLs left out. */
static ptools_err check_futures(struct ptools *pt, ptools_future *const *futures, size_t n, int64_t timeout_ms,
                                size_t *ret_n)
{
    ptools_err err = handle_check(pt);

    if (err == PTOOLS_OK)
        err = check_timeout(pt, timeout_ms);
    if (err != PTOOLS_OK)
        return err;
    if (!futures && n > 0)
        return fail_static(pt, PTOOLS_ERR_INVALID, "futures is NULL");
    *ret_n = 0;
    for (size_t i = 0; i < n; i++) {
        if (!futures[i])
            continue;
        if (futures[i]->pt != pt)
            return fail(pt, PTOOLS_ERR_INVALID, "future %zu comes from another handle", i);
        ++*ret_n;
    }
    return PTOOLS_OK;
}

ptools_err ptools_wait_any(ptools *pt, ptools_future *const *futures, size_t n, int64_t timeout_ms, size_t *ret_index)
{
    uint64_t until_us;
    size_t present;
    ptools_err err = check_futures(pt, futures, n, timeout_ms, &present);

    if (err != PTOOLS_OK)
        return err;
    if (present == 0)
        return fail_static(pt, PTOOLS_ERR_INVALID, "there is no future to wait for");
    until_us = clock_until_us(timeout_ms);
    for (bool over = false;;) {
        for (size_t i = 0; i < n; i++) {
            if (futures[i] && futures[i]->done) {
                if (ret_index)
                    *ret_index = i;
                return PTOOLS_OK;
            }
        }
        if (over)
            return timed_out(pt);
        over = !handle_pump(pt, until_us) || (until_us != CLOCK_FOREVER && clock_now_us() >= until_us);
    }
}

ptools_err ptools_wait_all(ptools *pt, ptools_future *const *futures, size_t n, int64_t timeout_ms)
{
    uint64_t until_us;
    size_t present;
    ptools_err err = check_futures(pt, futures, n, timeout_ms, &present);

    if (err != PTOOLS_OK)
        return err;
    until_us = clock_until_us(timeout_ms);
    for (size_t i = 0; i < n; i++)
        if (futures[i] && future_await(futures[i], until_us) != PTOOLS_OK)
            return timed_out(pt);
    return PTOOLS_OK;
}

/* -- dispatch --------------------------------------------------------------------------------------------- */

/* Calls those callbacks that are due now, not those that come due meanwhile. pt may be closed afterwards, or be in a
 * forked child. */
static void call_back(struct ptools *pt)
{
    for (unsigned n = pt->n_ready; n > 0 && !pt->closing && handle_is_ours(pt) && pt->n_ready > 0; n--) {
        struct ptools_future *f = TAILQ_FIRST(&pt->ready);
        ptools_future_fn fn = f->fn;

        TAILQ_REMOVE(&pt->ready, f, ready_link);
        pt->n_ready--;
        f->ready = false;
        f->fn = NULL;
        fn(f, f->arg);
    }
}

ptools_err ptools_dispatch(ptools *pt, int64_t timeout_ms)
{
    bool happened = false;
    ptools_err err = handle_check(pt);

    if (err == PTOOLS_OK)
        err = check_timeout(pt, timeout_ms);
    if (err != PTOOLS_OK)
        return err;
    if (connection_alive(pt) || lanes_busy(pt) || again_is_due(pt))
        happened = handle_pump(pt, pt->n_ready > 0 ? 0 : clock_until_us(timeout_ms));
    happened = multiplex_look(pt) || happened;
    if (pt->n_ready > 0) {
        pt->dispatching++;
        call_back(pt);
        pt->dispatching--;
        if (pt->closing) {
            if (pt->dispatching == 0)
                handle_free(pt);
            return PTOOLS_ERR_CLOSED;
        }
        err = handle_check(pt);
        if (err != PTOOLS_OK)
            return err;
        if (pt->dispatching == 0 && connection_alive(pt))
            connection_push(pt, CLOCK_FOREVER);
        return PTOOLS_OK;
    }
    if (connection_alive(pt) || again_is_due(pt))
        return happened ? PTOOLS_OK : fail_static(pt, PTOOLS_ERR_AGAIN, "nothing has happened");
    if (!pt->transport)
        return fail(pt, PTOOLS_ERR_LOST, "there is no connection to %s; the next call makes one", pt->address);
    fail_record(pt, PTOOLS_ERR_LOST, "the connection to %s ended: %s", pt->address, pt->transport->end.text);
    connection_free(pt);
    return PTOOLS_ERR_LOST;
}
