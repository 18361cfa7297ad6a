/* SPDX-License-Identifier: MIT */
/*
 * stasks -- server tasks, from start to stop: arrays first, then the processes, then a lane to each.
 *
 * A handle is good for the connection on which it was got: the daemon that owns its processes is at the other end.
 * What is called on it is in stask_call.c.
 */
#include "client/lib/handle.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { START_TIMEOUT_MS = 30000 };

static ptools_err check_connection(struct ptools_stasks *s)
{
    ptools_err err;

    if (!s)
        return PTOOLS_ERR_INVALID;
    if (!s->pt)
        return PTOOLS_ERR_CLOSED;
    err = handle_check(s->pt);
    if (err != PTOOLS_OK)
        return err;
    if (s->generation != s->pt->generation || !connection_alive(s->pt)) /* numbers are of one connection */
        return fail_static(s->pt, PTOOLS_ERR_NO_STASKS,
                           "the connection on which these server tasks were got is gone: attach to them by name, or "
                           "start new ones");
    return PTOOLS_OK;
}

ptools_err stasks_check(struct ptools_stasks *s)
{
    if (s && s->pt && s->stopped && handle_check(s->pt) == PTOOLS_OK)
        return fail_static(s->pt, PTOOLS_ERR_NO_STASKS, "these server tasks were stopped");
    return check_connection(s);
}

static void close_lanes(struct ptools_stasks *s, ptools_err code, const char *text)
{
    for (uint32_t i = 0; i < s->n; i++)
        lane_give_up(&s->lanes[i], code, text);
}

void stasks_disconnect(struct ptools *pt)
{
    struct ptools_stasks *s;

    LIST_FOREACH(s, &pt->stasks, link)
        close_lanes(s, PTOOLS_ERR_LOST,
                    "the connection on which the server tasks were got was lost before the answer came");
}

void stasks_orphan(struct ptools_stasks *s)
{
    close_lanes(s, PTOOLS_ERR_CLOSED, "the handle of the server tasks was freed before the answer came");
    LIST_REMOVE(s, link);
    s->pt = NULL;
}

static void stasks_destroy(struct ptools_stasks *s)
{
    for (uint32_t i = 0; s->arrays && i < s->n_arrays; i++)
        ptools_array_free(s->arrays[i]);
    free(s->arrays);
    free(s->lanes);
    free(s);
}

static void ask_to_stop(struct ptools_stasks *s, uint64_t id)
{
    struct msg_request request = { .kind = MSG_STASKS_STOP, .stasks = { .stasks = id } };

    if (connection_alive(s->pt) && s->generation == s->pt->generation)
        request_send(s->pt, &request, NULL, 0, CLOCK_FOREVER, NULL);
}

ptools_stasks *ptools_stasks_free(ptools_stasks *s)
{
    if (!s)
        return NULL;
    if (s->pt && handle_is_ours(s->pt)) {
        if (!s->named && !s->stopped)
            ask_to_stop(s, s->id);
    }
    if (s->pt)
        stasks_orphan(s);
    stasks_destroy(s);
    return NULL;
}

/* -- getting one ---------------------------------------------------------------------------------------- */

/* In the handle's list, without lanes and arrays. NULL: no memory. */
static struct ptools_stasks *stasks_new(struct ptools *pt, const struct msg_reply *reply)
{
    struct ptools_stasks *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    s->lanes = calloc(reply->count, sizeof *s->lanes);
    s->arrays = calloc(reply->arrays + 1u, sizeof *s->arrays);
    if (!s->lanes || !s->arrays) {
        stasks_destroy(s);
        return NULL;
    }
    s->pt = pt;
    s->id = reply->stasks;
    s->generation = pt->generation;
    s->n = reply->count;
    for (uint32_t i = 0; i < s->n; i++) {
        s->lanes[i].stasks = s;
        s->lanes[i].index = i;
        s->lanes[i].fd = -1;
        intake_init(&s->lanes[i].in);
        chain_init(&s->lanes[i].out);
        TAILQ_INIT(&s->lanes[i].futures);
    }
    LIST_INSERT_HEAD(&pt->stasks, s, link);
    return s;
}

/* A lane to each that has none. One that is dead has none, and that is no failure: calls of it tell. */
static ptools_err open_lanes(struct ptools_stasks *s)
{
    for (uint32_t i = 0; i < s->n; i++) {
        ptools_err err = s->lanes[i].fd >= 0 ? PTOOLS_OK : lane_open(&s->lanes[i]);

        if (err != PTOOLS_OK && err != PTOOLS_ERR_STATE_LOST)
            return err;
    }
    return PTOOLS_OK;
}

static ptools_err map_arrays(struct ptools_stasks *s, uint32_t n, uint32_t flags)
{
    for (uint32_t i = 0; i < n; i++) {
        struct fds_request request = { .kind = FDS_SHARED, .id = s->id, .index = i };
        ptools_err err = array_map(s->pt, &request, flags, CLOCK_FOREVER, &s->arrays[i]);

        if (err != PTOOLS_OK)
            return err;
        s->n_arrays++;
    }
    return PTOOLS_OK;
}

/* Lanes and arrays; if that fails, the handle is gone, and pt tells why. */
static ptools_err equip(struct ptools_stasks *s, uint32_t n_arrays, uint32_t flags, bool stop, ptools_stasks **ret)
{
    struct ptools *pt = s->pt;
    ptools_err err = map_arrays(s, n_arrays, flags);
    struct failure kept;

    if (err == PTOOLS_OK)
        err = open_lanes(s);
    if (err == PTOOLS_OK) {
        *ret = s;
        return PTOOLS_OK;
    }
    failure_init(&kept);
    failure_copy(&kept, &pt->last);
    s->named = !stop; /* one that was only attached to goes on */
    ptools_stasks_free(s);
    fail_with(pt, &kept);
    failure_deinit(&kept);
    return err;
}

static ptools_err read_options(struct ptools *pt, const ptools_stasks_options *given, ptools_stasks_options *ret)
{
    const ptools_stasks_options defaults = PTOOLS_STASKS_OPTIONS_INIT;
    const uint32_t allowed = PTOOLS_SHM_REPLACE | PTOOLS_SHM_POPULATE | PTOOLS_SHM_HUGE;
    ptools_err err;

    *ret = defaults;
    err = options_read(pt, "options of server tasks", given, sizeof *ret, ret, sizeof *ret);
    if (err != PTOOLS_OK)
        return err;
    if (ret->flags != 0)
        return fail(pt, PTOOLS_ERR_INVALID, "options of server tasks: flags is 0x%x, must be 0", ret->flags);
    if (ret->shm_flags & ~allowed)
        return fail(pt, PTOOLS_ERR_INVALID,
                    "options of server tasks: shm_flags is 0x%x: PTOOLS_SHM_REPLACE, _POPULATE and _HUGE are allowed",
                    ret->shm_flags);
    if (ret->count > STASKS_MAX)
        return fail(pt, PTOOLS_ERR_INVALID, "options of server tasks: count is %u: at most %u, or 0 for one a worker",
                    ret->count, STASKS_MAX);
    if (ret->timeout_ms < PTOOLS_FOREVER)
        return fail(pt, PTOOLS_ERR_INVALID,
                    "options of server tasks: timeout_ms is %lld: 0 (%d), more, or PTOOLS_FOREVER",
                    (long long)ret->timeout_ms, START_TIMEOUT_MS);
    if (ret->name && !name_ok_set(ret->name, strlen(ret->name)))
        return fail(pt, PTOOLS_ERR_INVALID,
                    "\"%.80s\" is no name for server tasks: 1 to %u of A-Z a-z 0-9 _ . - , not beginning with a digit",
                    ret->name, NAME_BYTES_MAX);
    return PTOOLS_OK;
}

/* Creates the arrays: *ret_done of them are there, also when it fails. */
static ptools_err create_arrays(struct ptools *pt, const ptools_shmcfg *cfgs, size_t n,
                                const ptools_shm_options *options, uint64_t *ids, size_t *ret_done)
{
    struct msg_array m;
    ptools_err err = PTOOLS_OK;

    *ret_done = 0;
    for (size_t i = 0; err == PTOOLS_OK && i < n; i++)
        err = shm_describe(pt, &cfgs[i], options, &m);
    for (size_t i = 0; err == PTOOLS_OK && i < n; i++) {
        for (size_t k = 0; k < i; k++)
            if (strcmp(cfgs[k].name, cfgs[i].name) == 0)
                return fail(pt, PTOOLS_ERR_INVALID, "array %s is there twice", cfgs[i].name);
    }
    for (size_t i = 0; err == PTOOLS_OK && i < n; i++) {
        (void)shm_describe(pt, &cfgs[i], options, &m);
        err = array_create(pt, &m, CLOCK_FOREVER, &ids[i]);
        *ret_done += err == PTOOLS_OK;
    }
    return err;
}

ptools_err ptools_start_stasks(ptools *pt, const ptools_shmcfg *cfgs, size_t n_cfgs, const char *prefix,
                               const ptools_stasks_options *given, ptools_stasks **ret_stasks)
{
    struct msg_request request = { .kind = MSG_STASKS_START };
    ptools_shm_options shm = PTOOLS_SHM_OPTIONS_INIT;
    uint64_t ids[STASKS_ARRAYS_MAX];
    ptools_stasks_options options;
    struct ptools_future *f;
    struct ptools_stasks *s;
    struct msg_reply reply;
    size_t done = 0;
    ptools_err err = handle_check(pt);

    if (err != PTOOLS_OK)
        return err;
    if (!ret_stasks || (n_cfgs > 0 && !cfgs) || n_cfgs > STASKS_ARRAYS_MAX)
        return fail(pt, PTOOLS_ERR_INVALID, "%s: %zu arrays, at most %u are allowed",
                    !ret_stasks ? "ret_stasks is NULL" : !cfgs ? "cfgs is NULL" : "too many arrays", n_cfgs,
                    STASKS_ARRAYS_MAX);
    err = read_options(pt, given, &options);
    if (err == PTOOLS_OK && prefix && !name_ok_prefix(prefix, strlen(prefix)))
        err = fail(pt, PTOOLS_ERR_INVALID, "\"%.80s\" is no prefix for arrays: up to %u of A-Z a-z 0-9 _ . -", prefix,
                   NAME_BYTES_MAX);
    if (err == PTOOLS_OK)
        err = fds_check(pt);
    if (err != PTOOLS_OK)
        return err;
    shm.flags = options.shm_flags;
    shm.prefix = prefix;
    err = create_arrays(pt, cfgs, n_cfgs, &shm, ids, &done);
    if (err == PTOOLS_OK) {
        request.stasks = (struct msg_stasks){ .count = options.count, .n_arrays = (uint32_t)n_cfgs, .arrays = ids };
        if (options.name)
            request.stasks.name = (struct text){ options.name, strlen(options.name) };
        if (prefix && *prefix)
            request.stasks.prefix = (struct text){ prefix, strlen(prefix) };
        if (!options.timeout_ms)
            options.timeout_ms = START_TIMEOUT_MS;
        err = request_wait(pt, &request, clock_until_us(options.timeout_ms), &f);
    }
    if (err != PTOOLS_OK) {
        while (done > 0)
            array_unlink(pt, ids[--done]);
        return err;
    }
    reply = f->reply;
    ptools_future_free(f);
    s = stasks_new(pt, &reply);
    if (!s)
        return fail_no_memory(pt); /* what was started ends with the connection */
    s->named = options.name != NULL;
    return equip(s, reply.arrays, options.shm_flags & PTOOLS_SHM_POPULATE, true, ret_stasks);
}

ptools_err ptools_attach_stasks(ptools *pt, const char *name, ptools_stasks **ret_stasks)
{
    struct msg_request request = { .kind = MSG_STASKS_OPEN };
    struct ptools_future *f;
    struct ptools_stasks *s;
    struct msg_reply reply;
    ptools_err err = handle_check(pt);

    if (err != PTOOLS_OK)
        return err;
    if (!ret_stasks || !name || !name_ok_set(name, strlen(name)))
        return fail(pt, PTOOLS_ERR_INVALID, "\"%.80s\" is no name for server tasks%s", name ? name : "(NULL)",
                    ret_stasks ? "" : ", and ret_stasks is NULL");
    err = fds_check(pt);
    if (err != PTOOLS_OK)
        return err;
    request.stasks.name = (struct text){ name, strlen(name) };
    err = request_round_trip(pt, &request, NULL, &f);
    if (err != PTOOLS_OK)
        return err;
    reply = f->reply;
    ptools_future_free(f);
    s = stasks_new(pt, &reply);
    if (!s)
        return fail_no_memory(pt);
    s->named = true;
    return equip(s, reply.arrays, 0, false, ret_stasks);
}

/* -- asking ---------------------------------------------------------------------------------------------- */

uint32_t ptools_count_stasks(ptools_stasks *s)
{
    return s ? s->n : 0;
}

ptools_array *ptools_stasks_array(ptools_stasks *s, const char *name)
{
    for (uint32_t i = 0; s && name && i < s->n_arrays; i++)
        if (strcmp(s->arrays[i]->name, name) == 0)
            return s->arrays[i];
    return NULL;
}

int32_t ptools_stasks_pid(ptools_stasks *s, uint32_t i)
{
    struct fds_request request = { .kind = FDS_LANE, .index = i };
    struct fds_answer answer;
    struct lane *lane;
    int fd;

    if (stasks_check(s) != PTOOLS_OK || i >= s->n)
        return 0;
    lane = &s->lanes[i];
    while (lane_receive(lane)) /* its end, if it has come to that, behind what it has answered */
        ;
    if (lane->fd >= 0)
        return lane->pid;
    request.id = s->id;
    if (fds_ask(s->pt, &request, -1, CLOCK_FOREVER, &answer, &fd) != PTOOLS_OK)
        return 0;
    close(fd);
    return answer.process == lane->process ? answer.pid : 0; /* another has taken its place, with a state of its own */
}

/* -- again, and no more ------------------------------------------------------------------------------------- */

/* All are gone: what they have answered is there, and then the end of each lane. */
static void settle_lanes(struct ptools_stasks *s)
{
    for (uint32_t i = 0; i < s->n; i++) {
        while (lane_receive(&s->lanes[i]))
            ;
        lane_end(&s->lanes[i]); /* also of one whose other end is held by a child of its process */
    }
}

ptools_err ptools_stop_stasks(ptools_stasks *s, int64_t timeout_ms)
{
    struct msg_request request = { .kind = MSG_STASKS_STOP };
    ptools_err err;

    if (s && s->pt && s->gone)
        return PTOOLS_OK;
    err = check_connection(s);
    if (err == PTOOLS_OK)
        err = check_timeout(s->pt, timeout_ms);
    if (err != PTOOLS_OK)
        return err;
    if (timeout_ms == 0) {
        ask_to_stop(s, s->id);
        s->stopped = true;
        return PTOOLS_OK;
    }
    request.stasks.stasks = s->id;
    request.stasks.kill_ms = timeout_ms > 0 ? (uint64_t)timeout_ms : 0;
    err = request_wait(s->pt, &request, CLOCK_FOREVER, NULL);
    if (err == PTOOLS_ERR_NO_STASKS) /* somebody else stopped them */
        err = PTOOLS_OK;
    if (err == PTOOLS_OK) {
        s->stopped = s->gone = true;
        settle_lanes(s);
    }
    return err;
}

/* A lane to the dead is found out here. One that cannot be told to be that is left alone, with what is in flight. */
static ptools_err renew_lane(struct lane *lane)
{
    struct fds_request request = { .kind = FDS_LANE, .id = lane->stasks->id, .index = lane->index };
    const uint32_t was = lane->process;
    struct fds_answer answer;
    ptools_err err;
    int fd;

    while (lane_receive(lane))
        ;
    if (lane->fd >= 0) { /* a child of its process may hold its other end: the door knows */
        err = fds_ask(lane->stasks->pt, &request, -1, CLOCK_FOREVER, &answer, &fd);
        if (err == PTOOLS_OK)
            close(fd);
        if (err == PTOOLS_OK ? answer.process == was : err != PTOOLS_ERR_STATE_LOST)
            return err;
        lane_end(lane);
    }
    return lane_open(lane);
}

ptools_err ptools_restart_stasks(ptools_stasks *s, const char *init, const ptools_pack *args)
{
    struct msg_request request = { .kind = MSG_STASKS_RESTART };
    AUTO_MEM bool *anew = NULL;
    struct ptools_future *f;
    uint32_t first;
    struct ptools *pt;
    ptools_err err = stasks_check(s);

    if (err != PTOOLS_OK)
        return err;
    pt = s->pt;
    anew = calloc(s->n, sizeof *anew);
    if (!anew)
        return fail_no_memory(pt);
    request.stasks.stasks = s->id;
    err = request_wait(pt, &request, clock_until_us(START_TIMEOUT_MS), &f);
    if (err != PTOOLS_OK)
        return err;
    first = f->reply.process;
    ptools_future_free(f);
    for (uint32_t i = 0; err == PTOOLS_OK && i < s->n; i++) {
        err = renew_lane(&s->lanes[i]);
        anew[i] = err == PTOOLS_OK && s->lanes[i].process >= first; /* else by somebody else, for whom it is at work */
    }
    return err == PTOOLS_OK && init ? stasks_call_each(s, init, args, anew) : err;
}
