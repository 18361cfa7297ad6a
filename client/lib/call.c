/* SPDX-License-Identifier: MIT */
/*
 * call -- remotecall, remotecall_fetch, remotecall_wait and remote_do: four ways to wait for one start.
 *
 * What can be known to be wrong without asking the daemon is refused here (PTOOLS_ERR_INVALID); the
 * rest is the daemon's to judge. A start sends once; only when nothing of the request can have left,
 * because the connection had ended unnoticed, it sends again on a new one.
 */
#include "client/lib/handle.h"

#include <stdio.h>
#include <string.h>

static ptools_err read_options(struct ptools *pt, const ptools_call_options *given, struct msg_call *call)
{
    ptools_call_options options = PTOOLS_CALL_OPTIONS_INIT;
    ptools_err err = options_read(pt, "call options", given, sizeof options, &options, sizeof options);

    if (err != PTOOLS_OK)
        return err;
    if (options.flags != 0)
        return fail(pt, PTOOLS_ERR_INVALID, "call options: flags is 0x%x, must be 0", options.flags);
    if (options.worker > INT32_MAX)
        return fail(pt, PTOOLS_ERR_INVALID, "call options: worker is %u: 0 (any), or an id of at most %d",
                    options.worker, INT32_MAX);
    if (options.deadline_ms < 0)
        return fail(pt, PTOOLS_ERR_INVALID, "call options: deadline_ms is %lld: 0 (none) or more",
                    (long long)options.deadline_ms);
    if (options.grace_ms < 0)
        return fail(pt, PTOOLS_ERR_INVALID, "call options: grace_ms is %lld: 0 (as the daemon is set) or more",
                    (long long)options.grace_ms);
    call->worker = options.worker;
    call->deadline_ms = (uint64_t)options.deadline_ms;
    call->grace_ms = (uint64_t)options.grace_ms;
    return PTOOLS_OK;
}

/* Sends it; what is large goes by descriptor, if there is memory for it. */
static ptools_err send_call(struct ptools *pt, struct msg_request *request, const uint8_t *payload, size_t n,
                            uint64_t until_us, struct ptools_future **ret)
{
    struct msg_call *call = &request->call;
    struct scratch *args = NULL, *room = NULL;
    ptools_err err = PTOOLS_OK;

    if (!call->detached)
        err = large_prepare(pt, payload, n, until_us, &args, &room);
    if (err != PTOOLS_OK)
        return err;
    call->args = scratch_id(args);
    call->args_bytes = args ? n : 0;
    call->room = scratch_id(room);
    call->large = call->detached || pt->large == UINT64_MAX ? 0 : pt->large;
    err = request_send(pt, request, payload, args ? 0 : n, until_us, ret);
    if (err != PTOOLS_OK) {
        scratch_give_back(args);
        scratch_give_back(room);
        return err;
    }
    (*ret)->args = args;
    (*ret)->room = room;
    return PTOOLS_OK;
}

/* Starts a call. until_us bounds what may block: the connect, and the wait for room. */
static ptools_err start(struct ptools *pt, struct ptools_workerset *set, const char *function, const ptools_pack *args,
                        const ptools_call_options *options, bool detached, uint64_t until_us,
                        struct ptools_future **ret)
{
    struct msg_request request = { .kind = MSG_CALL, .call = { .detached = detached } };
    struct msg_call *call = &request.call;
    struct text module, name;
    const uint8_t *payload;
    size_t n;
    ptools_err err = handle_check(pt);

    if (err != PTOOLS_OK)
        return err;
    call->function = (struct text){ function, function ? strlen(function) : 0 };
    if (!function || !name_split(function, call->function.n, &module, &name))
        return fail(pt, PTOOLS_ERR_INVALID,
                    "function is \"%.140s\": MODULE.FUNCTION is expected, each 1 to %u of A-Z a-z 0-9 _ -",
                    function ? function : "(NULL)", NAME_BYTES_MAX);
    if (set && set->pt != pt)
        return set->pt ? fail_static(pt, PTOOLS_ERR_INVALID, "the worker set comes from another handle")
                       : fail_static(pt, PTOOLS_ERR_CLOSED, "the worker set comes from a handle that was closed");
    err = read_options(pt, options, call);
    if (err != PTOOLS_OK)
        return err;
    err = pack_finish_arguments(args, &payload, &n);
    if (err != PTOOLS_OK)
        return fail(pt, err, "the arguments cannot be sent: %s",
                    err == PTOOLS_ERR_INVALID ? "a list or map lacks items, or what was appended is no value"
                                              : ptools_strerror(err));
    for (int attempt = 0; attempt < 2; attempt++) {
        err = connection_ensure(pt, until_us);
        if (err == PTOOLS_OK && set)
            err = workerset_resolve(set, until_us, &call->set_id);
        if (err == PTOOLS_OK)
            err = send_call(pt, &request, payload, n, until_us, ret);
        if (err != PTOOLS_ERR_LOST)
            return err;
    }
    return fail(pt, PTOOLS_ERR_LOST, "the connection to %s ended twice before the call was sent", pt->address);
}

ptools_err ptools_remotecall(ptools *pt, ptools_workerset *set, const char *function, const ptools_pack *args,
                             const ptools_call_options *options, ptools_future **ret_future)
{
    ptools_err err = handle_check(pt);

    if (err == PTOOLS_OK && !ret_future)
        return fail_static(pt, PTOOLS_ERR_INVALID, "ret_future is NULL: ptools_remote_do() starts without a future");
    return err == PTOOLS_OK ? start(pt, set, function, args, options, false, CLOCK_FOREVER, ret_future) : err;
}

ptools_err ptools_remotecall_fetch(ptools *pt, ptools_workerset *set, const char *function, const ptools_pack *args,
                                   const ptools_call_options *options, int64_t timeout_ms, ptools_future **ret_future,
                                   ptools_value *ret_value)
{
    struct ptools_future *f;
    ptools_value value;
    uint64_t until_us;
    ptools_err err = handle_check(pt);

    if (err == PTOOLS_OK)
        err = check_timeout(pt, timeout_ms);
    if (err != PTOOLS_OK)
        return err;
    if (ret_value && !ret_future)
        return fail_static(pt, PTOOLS_ERR_INVALID, "ret_value without ret_future: the future owns the value");
    until_us = clock_until_us(timeout_ms);
    err = start(pt, set, function, args, options, false, until_us, &f);
    if (err != PTOOLS_OK)
        return err;
    if (future_await(f, until_us) == PTOOLS_OK) {
        err = future_result(f, &value);
    } else {
        ptools_future_cancel(f); /* if even that cannot be told, the connection is lost, and the task with it */
        err = fail(pt, PTOOLS_ERR_TIMEOUT, "%s was not done within %lld ms and is cancelled", function,
                   (long long)timeout_ms);
        pt->last.facts.maybe_executed = true;
    }
    if (err != PTOOLS_OK || !ret_future) {
        ptools_future_free(f);
        return err;
    }
    *ret_future = f;
    if (ret_value)
        *ret_value = value;
    return PTOOLS_OK;
}

ptools_err ptools_remotecall_wait(ptools *pt, ptools_workerset *set, const char *function, const ptools_pack *args,
                                  const ptools_call_options *options, int64_t timeout_ms, ptools_future **ret_future)
{
    uint64_t until_us;
    ptools_err err = handle_check(pt);

    if (err == PTOOLS_OK)
        err = check_timeout(pt, timeout_ms);
    if (err != PTOOLS_OK)
        return err;
    if (!ret_future)
        return fail_static(pt, PTOOLS_ERR_INVALID, "ret_future is NULL");
    until_us = clock_until_us(timeout_ms);
    err = start(pt, set, function, args, options, false, until_us, ret_future);
    if (err == PTOOLS_ERR_TIMEOUT)
        *ret_future = NULL; /* it was not even sent */
    if (err != PTOOLS_OK)
        return err;
    if (future_await(*ret_future, until_us) == PTOOLS_OK)
        return PTOOLS_OK;
    return fail(pt, PTOOLS_ERR_TIMEOUT, "%s was not done within %lld ms; it goes on", function, (long long)timeout_ms);
}

ptools_err ptools_remote_do(ptools *pt, ptools_workerset *set, const char *function, const ptools_pack *args,
                            const ptools_call_options *options, uint64_t *ret_task)
{
    struct ptools_future *f;
    uint64_t until_us;
    ptools_err err = handle_check(pt);

    if (err != PTOOLS_OK)
        return err;
    until_us = round_trip_until_us(pt, CLOCK_FOREVER);
    err = start(pt, set, function, args, options, true, until_us, &f);
    if (err != PTOOLS_OK)
        return err;
    if (future_await(f, until_us) != PTOOLS_OK) {
        err = fail(pt, PTOOLS_ERR_TIMEOUT, "the daemon did not answer in time whether it took %s", function);
        pt->last.facts.maybe_executed = true;
    } else if (f->failed) {
        err = fail_with(pt, &f->failure);
    } else if (ret_task) {
        *ret_task = f->reply.task;
    }
    ptools_future_free(f);
    return err;
}
