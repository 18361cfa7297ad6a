/* SPDX-License-Identifier: MIT */
/*
 * open -- from options to a connection that has said hello; and again, when one was lost.
 *
 * Where the daemon is: what the options name, else $PTOOLS_ADDRESS, else $PTOOLS_DIR, else the user's
 * daemon, else the system's; the first that anybody serves. A place that is there but refuses is an
 * error, never a reason to look elsewhere. Once decided the place is kept: a connection made anew
 * goes to the same place, so that a user's calls never wander to another daemon. With PTOOLS_PRIVATE, where nobody
 * serves, a daemon is started: in the directory that was named, or in a new one of its own.
 */
#include "client/lib/handle.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proto/text.h"

#define SYSTEM_DIR "/run/ptools"

static _Thread_local char open_message[512];

static bool is_endpoint(const char *address)
{
    return strncmp(address, "ipc://", 6) == 0 || strncmp(address, "tcp://", 6) == 0;
}

uint64_t round_trip_until_us(const struct ptools *pt, uint64_t until_us)
{
    return MIN(until_us, clock_until_us(pt->settings.connect_timeout_ms));
}

/* -- connect --------------------------------------------------------------------------------------- */

static struct text client_name(char *buffer, size_t n)
{
    int length = snprintf(buffer, n, "%s (libptools %s)", program_invocation_short_name, PTOOLS_VERSION);
    size_t used = length < 0 ? 0 : MIN((size_t)length, n - 1);

    text_clean(buffer, used, false);
    return (struct text){ buffer, used };
}

/* The handshake has been made: agrees on a version. */
static ptools_err say_hello(struct ptools *pt, uint64_t until_us)
{
    char client[NAME_BYTES_MAX + 1];
    struct msg_request request = {
        .kind = MSG_HELLO,
        .hello = { PROTOCOL_VERSION_MIN, PROTOCOL_VERSION_MAX, client_name(client, sizeof client) },
    };
    struct ptools_future *f;
    ptools_err err = request_send(pt, &request, NULL, 0, until_us, &f);

    if (err != PTOOLS_OK)
        return err == PTOOLS_ERR_LOST ? fail(pt, err, "%s: %s", pt->address, pt->transport->end.text) : err;
    if (future_await(f, until_us) != PTOOLS_OK) {
        err = fail(pt, PTOOLS_ERR_TIMEOUT, "%s: connected, but the daemon did not answer in time", pt->address);
    } else if (f->failed && !connection_alive(pt)) {
        err = fail(pt, pt->transport->end.code, "%s: %s", pt->address, pt->transport->end.text);
    } else if (f->failed) {
        err = fail(pt, f->failure.facts.code, "%s: %s", pt->address, f->failure.facts.message);
    } else if (f->reply.version < PROTOCOL_VERSION_MIN || f->reply.version > PROTOCOL_VERSION_MAX) {
        err = fail(pt, PTOOLS_ERR_VERSION, "%s: the daemon chose protocol version %u, this library speaks %u to %u",
                   pt->address, f->reply.version, PROTOCOL_VERSION_MIN, PROTOCOL_VERSION_MAX);
    }
    if (err == PTOOLS_OK)
        pt->workers = f->reply.workers;
    if (err == PTOOLS_OK && f->reply.message_max > 0) {
        pt->message_max = MIN(f->reply.message_max, ANSWER_BYTES_MAX);
        pt->transport->ops->limit(pt->transport, pt->message_max + ENVELOPE_BYTES_MAX);
    }
    ptools_future_free(f);
    return err;
}

static ptools_err make_transport(const char *address, uint64_t until_us, struct transport **ret,
                                 struct problem *ret_problem)
{
    char path[4096];
    int n;

    if (is_endpoint(address))
        return transport_zmq_new(address, ret, ret_problem);
    n = snprintf(path, sizeof path, "%s/%s", address, SOCKET_NAME);
    if (n < 0 || (size_t)n >= sizeof path)
        return problem_set(ret_problem, PTOOLS_ERR_INVALID, "the name of the directory is too long");
    return transport_unix_new(path, until_us, ret, ret_problem);
}

void connection_free(struct ptools *pt)
{
    multiplex_leave(pt);
    pt->transport = transport_free(pt->transport, false);
}

/* Both sides say what they speak. */
static ptools_err greet(struct ptools *pt, uint64_t until_us)
{
    while (connection_alive(pt) && !pt->transport->open)
        if (!connection_pump(pt, until_us) || (!pt->transport->open && until_us < clock_now_us()))
            break;
    if (!connection_alive(pt))
        return fail(pt, pt->transport->end.code, "%s: %s", pt->address, pt->transport->end.text);
    if (!pt->transport->open)
        return fail(pt, PTOOLS_ERR_TIMEOUT, "%s: connected, but the peer did not greet in time", pt->address);
    return say_hello(pt, until_us);
}

/* Connects to pt->address. On failure there is no connection. */
static ptools_err connect_once(struct ptools *pt, uint64_t until_us)
{
    struct problem problem;
    ptools_err err;

    stasks_disconnect(pt);
    connection_free(pt);
    fds_forget(pt);
    scratch_forget(pt);
    captured_forget(pt);
    err = make_transport(pt->address, until_us, &pt->transport, &problem);
    if (err != PTOOLS_OK)
        return fail(pt, err, "%s", problem.text);
    pt->generation++;
    pt->message_max = MESSAGE_BYTES_DEFAULT;
    pt->connecting = true;
    err = greet(pt, until_us);
    pt->connecting = false;
    if (err != PTOOLS_OK)
        connection_free(pt);
    return err;
}

static ptools_err set_address(struct ptools *pt, const char *address)
{
    char *copy = strdup(address);

    if (!copy)
        return fail_no_memory(pt);
    free(pt->address);
    pt->address = copy;
    return PTOOLS_OK;
}

/* Nobody serves pt->address, and the caller allows a private daemon. */
static ptools_err connect_private(struct ptools *pt, uint64_t until_us)
{
    struct problem problem;
    ptools_err err;

    if (pt->implied) {
        char *dir = private_dir_new(&problem);

        if (!dir)
            return fail(pt, problem.code, "%s", problem.text);
        err = set_address(pt, dir);
        free(dir);
        if (err != PTOOLS_OK)
            return err;
    }
    err = private_start(&pt->settings, pt->address, until_us, &problem);
    if (err == PTOOLS_OK)
        return connect_once(pt, until_us);
    if (pt->implied)
        rmdir(pt->address);
    else if (connect_once(pt, until_us) == PTOOLS_OK) /* another program has started one there at the same time */
        return PTOOLS_OK;
    return fail(pt, err, "%s", problem.text);
}

static ptools_err connect_or_start(struct ptools *pt, uint64_t until_us)
{
    ptools_err err = connect_once(pt, until_us);

    if (err == PTOOLS_ERR_NO_DAEMON && (pt->settings.flags & PTOOLS_PRIVATE) && !is_endpoint(pt->address))
        return connect_private(pt, until_us);
    return err;
}

ptools_err connection_ensure(struct ptools *pt, uint64_t until_us)
{
    ptools_err err;

    if (connection_alive(pt))
        return PTOOLS_OK;
    err = connect_or_start(pt, round_trip_until_us(pt, until_us));
    if (err == PTOOLS_OK)
        again_connected(pt);
    return err;
}

/* -- where ------------------------------------------------------------------------------------------- */

static const char *from_environment(const char *name)
{
    const char *value = secure_getenv(name);

    return value && *value ? value : NULL;
}

/* The address that somebody named, or NULL; *ret_who is who did. */
static const char *named_address(const ptools_options *options, const char **ret_who)
{
    const char *address = options->address;

    *ret_who = "address";
    if (!address)
        address = from_environment(*ret_who = "PTOOLS_ADDRESS");
    if (!address)
        address = from_environment(*ret_who = "PTOOLS_DIR");
    return address;
}

/* The user's daemon, then the system's. */
static ptools_err connect_implied(struct ptools *pt, uint64_t until_us)
{
    const char *runtime = from_environment("XDG_RUNTIME_DIR");
    char user_dir[4096] = "";
    ptools_err err;

    pt->implied = true;
    if (runtime && (size_t)snprintf(user_dir, sizeof user_dir, "%s/ptools", runtime) < sizeof user_dir) {
        err = set_address(pt, user_dir);
        if (err == PTOOLS_OK)
            err = connect_once(pt, until_us);
        if (err != PTOOLS_ERR_NO_DAEMON)
            return err;
    }
    err = set_address(pt, SYSTEM_DIR);
    if (err == PTOOLS_OK)
        err = connect_once(pt, until_us);
    /* The system's daemon may be for others: nobody named it, so that is no reason to do without one. */
    if ((err == PTOOLS_ERR_NO_DAEMON || err == PTOOLS_ERR_DENIED) && (pt->settings.flags & PTOOLS_PRIVATE))
        return connect_private(pt, until_us);
    if (err == PTOOLS_ERR_NO_DAEMON)
        return fail(pt, err, "no daemon serves %s%s%s: start ptoolsd, or set PTOOLS_DIR to the directory of one",
                    user_dir, *user_dir ? " or " : "", SYSTEM_DIR);
    return err;
}

static ptools_err read_options(struct ptools *pt, const ptools_options *given, ptools_options *ret)
{
    const ptools_options defaults = PTOOLS_OPTIONS_INIT;
    ptools_err err;

    *ret = defaults;
    err = options_read(pt, "options", given, offsetof(ptools_options, large_bytes), ret, sizeof *ret);
    if (err != PTOOLS_OK)
        return err;
    if (ret->flags & ~(uint32_t)PTOOLS_PRIVATE)
        return fail(pt, PTOOLS_ERR_INVALID, "options: unknown bits 0x%x in flags",
                    ret->flags & ~(uint32_t)PTOOLS_PRIVATE);
    if (ret->connect_timeout_ms < PTOOLS_FOREVER)
        return fail(pt, PTOOLS_ERR_INVALID, "options: connect_timeout_ms is %lld: 0 (%d), more, or PTOOLS_FOREVER",
                    (long long)ret->connect_timeout_ms, CONNECT_TIMEOUT_MS);
    if (ret->private_workers > WORKERS_MAX)
        return fail(pt, PTOOLS_ERR_INVALID, "options: private_workers is %u, at most %u are allowed",
                    ret->private_workers, WORKERS_MAX);
    return PTOOLS_OK;
}

ptools_err connection_open(struct ptools *pt, const ptools_options *given)
{
    const char *who, *address;
    ptools_options options;
    uint64_t until_us;
    ptools_err err = read_options(pt, given, &options);

    if (err != PTOOLS_OK)
        return err;
    pt->settings.flags = options.flags;
    pt->settings.connect_timeout_ms = options.connect_timeout_ms ? options.connect_timeout_ms : CONNECT_TIMEOUT_MS;
    pt->settings.private_workers = options.private_workers;
    pt->settings.large_bytes = options.large_bytes;
    pt->settings.module_path = options.module_path ? strdup(options.module_path) : NULL;
    if (options.module_path && !pt->settings.module_path)
        return fail_no_memory(pt);
    until_us = clock_until_us(pt->settings.connect_timeout_ms);
    address = named_address(&options, &who);
    if (!address)
        return connect_implied(pt, until_us);
    if (address[0] != '/' && !is_endpoint(address))
        return fail(pt, PTOOLS_ERR_INVALID,
                    "%s is \"%.200s\": an absolute directory, \"ipc://PATH\" or \"tcp://HOST:PORT\" is expected", who,
                    address);
    err = set_address(pt, address);
    return err == PTOOLS_OK ? connect_or_start(pt, until_us) : err;
}

ptools_err ptools_open(const ptools_options *options, ptools **ret_pt, const char **ret_message)
{
    struct ptools *pt = handle_new();
    ptools_err err;

    if (!pt) {
        snprintf(open_message, sizeof open_message, "no memory for a handle: %s", strerror(errno));
        err = PTOOLS_ERR_NO_MEMORY;
    } else if (!ret_pt) {
        err = fail_static(pt, PTOOLS_ERR_INVALID, "ptools_open(): ret_pt is NULL");
    } else {
        err = connection_open(pt, options);
    }
    if (pt && err != PTOOLS_OK)
        snprintf(open_message, sizeof open_message, "%s", ptools_error_message(pt));
    if (err == PTOOLS_OK)
        *ret_pt = pt;
    else
        handle_free(pt);
    if (err != PTOOLS_OK && ret_message)
        *ret_message = open_message;
    return err;
}
