/* SPDX-License-Identifier: MIT */
/* calls_fail_deeds -- see calls_fail_deeds.h. */
#include "tests/fault/calls_fail_deeds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/integration/server.h"

enum { ITEMS = 64, ELEMENTS = 1024, LARGE = 2 << 20, CHILDREN = 3, LOOK_MS = 100, CONNECT_MS = 2000 };

/* -- what they are made of ----------------------------------------------------------------------------------------- */

static ptools_err told(struct client *c, ptools_err err)
{
    if (err != PTOOLS_OK)
        c->story = ptools_error_message(c->pt);
    return err;
}

static ptools_pack *hello(void)
{
    ptools_pack *pack = ptools_pack_new();

    ptools_pack_str(pack, "hello");
    return pack;
}

static void assert_hello(ptools_value value)
{
    const char *text;
    size_t bytes;

    ck_assert_ptools(ptools_get_str(value, &text, &bytes));
    ck_assert_msg(bytes == 5 && memcmp(text, "hello", 5) == 0, "the value is another");
}

ptools *deeds_open(struct client *c, ptools_err *ret)
{
    ptools_options options = PTOOLS_OPTIONS_INIT;

    options.address = c->dir;
    options.connect_timeout_ms = CONNECT_MS; /* so long a request waits where the daemon has ended, too */
    c->pt = NULL;
    *ret = ptools_open(&options, &c->pt, &c->story);
    return c->pt;
}

/* -- calls --------------------------------------------------------------------------------------------------------- */

static ptools_err call_in(struct client *c, ptools_workerset *set)
{
    PTOOLS_AUTO(ptools_pack) args = hello();
    PTOOLS_AUTO(ptools_future) f = NULL;
    ptools_value value;
    ptools_err err = ptools_remotecall_fetch(c->pt, set, "q.echo", args, NULL, DEEDS_WAIT_MS, &f, &value);

    if (err == PTOOLS_OK)
        assert_hello(value);
    return told(c, err);
}

static ptools_err call(struct client *c)
{
    return call_in(c, NULL);
}

static ptools_err use_set(struct client *c)
{
    ptools_workerset *set = NULL;
    ptools_err err = told(c, ptools_workerset_create(c->pt, NULL, (const uint32_t[]){ 2, 1 }, 2, PTOOLS_WS_RR, &set));

    if (err == PTOOLS_OK)
        err = call_in(c, set);
    if (err == PTOOLS_OK)
        err = told(c, ptools_workerset_destroy(set));
    ptools_workerset_free(set);
    return err;
}

/* There and back as memory that is handed over. */
static ptools_err call_large(struct client *c)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    PTOOLS_AUTO(ptools_future) f = NULL;
    void *bytes = calloc(1, LARGE);
    const void *back;
    ptools_value value;
    ptools_err err;
    size_t n;

    memset(bytes, 7, LARGE);
    ptools_pack_bytes(args, bytes, LARGE);
    err = ptools_remotecall_fetch(c->pt, NULL, "t.echo", args, NULL, DEEDS_WAIT_MS, &f, &value);
    if (err == PTOOLS_OK) {
        ck_assert_ptools(ptools_get_item(value, 0, &value));
        ck_assert_ptools(ptools_get_bytes(value, &back, &n));
        ck_assert_msg(n == LARGE && memcmp(back, bytes, n) == 0, "the large value is another");
    }
    free(bytes);
    return told(c, err);
}

/* A worker dies of it; the next call finds another one in its place. */
static ptools_err kill_worker(struct client *c)
{
    PTOOLS_AUTO(ptools_future) f = NULL;
    const ptools_err err = ptools_remotecall_fetch(c->pt, NULL, "q.kill", NULL, NULL, DEEDS_WAIT_MS, &f, NULL);

    ck_assert_msg(err != PTOOLS_OK, "a worker that was killed has a value");
    return err == PTOOLS_ERR_WORKER_DIED ? use_set(c) : told(c, err);
}

/* -- queued tasks -------------------------------------------------------------------------------------------------- */

static ptools_err fetch_queued(const struct client *c, ptools_future *f, ptools_value *ret)
{
    const uint64_t until = now_ms() + DEEDS_WAIT_MS;
    ptools_err err;

    do
        err = ptools_future_fetch(f, LOOK_MS, ret);
    while (err == PTOOLS_ERR_TIMEOUT && !c->has_ended() && now_ms() < until);
    return err;
}

static ptools_err execute(struct client *c, ptools_durability durability, ptools_target target)
{
    PTOOLS_AUTO(ptools_pack) args = hello();
    PTOOLS_AUTO(ptools_future) f = NULL;
    ptools_worker_task task = PTOOLS_WORKER_TASK_INIT;
    ptools_value value;
    uint64_t id;
    ptools_err err;

    task.function = "q.echo";
    task.args = args;
    task.durability = durability;
    task.target = target;
    task.backoff_ms = 1;
    err = ptools_queue_worker_task(c->pt, &task, &id);
    if (err != PTOOLS_OK)
        return told(c, err);
    if (durability >= PTOOLS_CRASHSAFE && c->kept->n < DEEDS_KEPT_MAX)
        c->kept->ids[c->kept->n++] = id;
    err = ptools_queued_result(c->pt, id, &f);
    if (err == PTOOLS_OK)
        err = fetch_queued(c, f, &value);
    if (err == PTOOLS_OK && target == PTOOLS_TARGET_ANY)
        assert_hello(value);
    return told(c, err);
}

static ptools_err queue_volatile(struct client *c)
{
    return execute(c, PTOOLS_VOLATILE, PTOOLS_TARGET_ANY);
}

static ptools_err queue_crashsafe(struct client *c)
{
    return execute(c, PTOOLS_CRASHSAFE, PTOOLS_TARGET_ALL);
}

ptools_err deeds_durable(struct client *c)
{
    return execute(c, PTOOLS_DURABLE, PTOOLS_TARGET_ANY);
}

static ptools_err run_command(struct client *c)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    PTOOLS_AUTO(ptools_future) f = NULL;
    ptools_worker_task task = PTOOLS_WORKER_TASK_INIT;
    ptools_value value;
    uint64_t id;
    ptools_err err;

    ptools_pack_map(args, 1);
    ptools_pack_str(args, "argv");
    ptools_pack_list(args, 2);
    ptools_pack_str(args, "echo");
    ptools_pack_str(args, "hello");
    task.function = "command.run";
    task.args = args;
    err = ptools_queue_worker_task(c->pt, &task, &id);
    if (err == PTOOLS_OK)
        err = ptools_queued_result(c->pt, id, &f);
    if (err == PTOOLS_OK)
        err = fetch_queued(c, f, &value);
    if (err == PTOOLS_OK)
        err = ptools_queued_change(c->pt, &id, 1, PTOOLS_CHANGE_FORGET, NULL);
    return told(c, err);
}

/* -- arrays, server tasks, maps ------------------------------------------------------------------------------------ */

static ptools_err use_array(struct client *c)
{
    const ptools_shmcfg cfg = PTOOLS_SHMCFG("array", PTOOLS_FLOAT64, ELEMENTS);
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    PTOOLS_AUTO(ptools_future) f = NULL;
    ptools_shm_options options = PTOOLS_SHM_OPTIONS_INIT;
    ptools_array *array = NULL;
    ptools_value value;
    double sum = 0;
    ptools_err err;

    options.flags = PTOOLS_SHM_REPLACE; /* one that failed half way has left its name */
    err = told(c, ptools_shm_create(c->pt, &cfg, &options, &array));
    if (err != PTOOLS_OK)
        return err;
    ((double *)ptools_array_data(array))[ELEMENTS - 1] = 42;
    ptools_pack_array(args, array);
    err = told(c, ptools_remotecall_fetch(c->pt, NULL, "a.sum", args, NULL, DEEDS_WAIT_MS, &f, &value));
    if (err == PTOOLS_OK) {
        ck_assert_ptools(ptools_get_f64(value, &sum));
        ck_assert_msg(sum > 41.5 && sum < 42.5, "the sum is another");
        err = told(c, ptools_unlink_shm(c->pt, &cfg, 1, NULL));
    }
    ptools_array_free(array);
    return err;
}

static ptools_err use_stasks(struct client *c)
{
    const ptools_shmcfg cfg = PTOOLS_SHMCFG("s", PTOOLS_FLOAT64, ELEMENTS);
    PTOOLS_AUTO(ptools_pack) list = ptools_pack_new();
    const ptools_pack *const lists[] = { list };
    ptools_stasks_options options = PTOOLS_STASKS_OPTIONS_INIT;
    ptools_stasks *stasks = NULL;
    ptools_outcomes *o = NULL;
    ptools_value value;
    int64_t n = 0;
    ptools_err err;

    options.count = 2;
    options.timeout_ms = DEEDS_WAIT_MS;
    options.shm_flags = PTOOLS_SHM_REPLACE;
    err = told(c, ptools_start_stasks(c->pt, &cfg, 1, "stasks", &options, &stasks));
    if (err != PTOOLS_OK)
        return err;
    ptools_pack_i64(list, 3);
    ptools_pack_i64(list, 4);
    err = told(c, ptools_pmap_stasks(stasks, "a.add", lists, 1, DEEDS_WAIT_MS, &o));
    if (err == PTOOLS_OK) {
        ck_assert_ptools(ptools_future_fetch(ptools_outcomes_future(o, 1), 0, &value));
        ck_assert_ptools(ptools_get_i64(value, &n));
        ck_assert_int_eq(n, 4);
    }
    ptools_outcomes_free(o);
    if (err == PTOOLS_OK)
        err = told(c, ptools_stop_stasks(stasks, DEEDS_WAIT_MS));
    ptools_stasks_free(stasks);
    return err;
}

static ptools_err map_with(struct client *c, uint32_t flags, uint64_t items)
{
    PTOOLS_AUTO(ptools_pack) list = ptools_pack_new();
    const ptools_pack *const lists[] = { list };
    ptools_pmap_options options = PTOOLS_PMAP_OPTIONS_INIT;
    ptools_pmap *map = NULL;
    ptools_item item;
    uint64_t n, ended = 0;
    ptools_err err, first = PTOOLS_OK;

    for (uint64_t i = 0; i < items; i++)
        ptools_pack_u64(list, i);
    options.flags = flags;
    options.batch_size = 8;
    err = told(c, ptools_pmap_start(c->pt, "p.same", lists, 1, &options, &map));
    while (err == PTOOLS_OK && (err = ptools_pmap_next(map, DEEDS_WAIT_MS, &item)) == PTOOLS_OK) {
        ck_assert_uint_eq(item.index, ended++);
        if (item.err != PTOOLS_OK) {
            ck_assert_msg(item.failure && item.failure->message[0], "an item fails with %s, and tells no reason",
                          ptools_errname(item.err));
            first = item.err;
            continue;
        }
        ck_assert_ptools(ptools_get_u64(item.value, &n));
        ck_assert_uint_eq(n, item.index);
    }
    if (map && err == PTOOLS_ERR_RANGE) {
        ck_assert_uint_eq(ended, items);
        err = PTOOLS_OK;
    }
    told(c, err);
    ptools_pmap_free(map);
    if (err == PTOOLS_OK && first != PTOOLS_OK)
        c->story = "an item failed, and said why";
    return err == PTOOLS_OK ? first : err;
}

static ptools_err map(struct client *c)
{
    return map_with(c, 0, ITEMS);
}

static ptools_err map_isolated(struct client *c)
{
    return map_with(c, PTOOLS_PMAP_ISOLATED, 8);
}

/* -- what concerns no task ----------------------------------------------------------------------------------------- */

static ptools_err look(struct client *c)
{
    PTOOLS_AUTO(ptools_future) f = NULL;
    ptools_queued *tasks = NULL;
    ptools_value value;
    ptools_err err = ptools_inspect(c->pt, "status", &f, &value);

    if (err == PTOOLS_OK)
        err = ptools_queued_list(c->pt, 0, NULL, 0, &tasks);
    ptools_queued_free(tasks);
    return told(c, err);
}

static ptools_err come_and_go(struct client *c)
{
    static char story[512];
    struct client other = *c;
    ptools_err err;

    if (!deeds_open(&other, &err)) {
        c->story = other.story;
        return err;
    }
    err = call(&other);
    if (err != PTOOLS_OK) {
        snprintf(story, sizeof story, "%s", other.story);
        c->story = story;
    }
    ptools_close(other.pt);
    return err;
}

static ptools_err child(int i, void *arg, ptools_child *child)
{
    (void)arg;
    ptools_pack_i64(ptools_child_result(child), i);
    return PTOOLS_OK;
}

static ptools_err fork_children(struct client *c)
{
    ptools_children *children = NULL;
    const ptools_err err = ptools_pfork(CHILDREN, child, NULL, NULL, &children, &c->story);

    ptools_children_free(children);
    return err;
}

static const struct deed {
    const char *name;
    ptools_err (*act)(struct client *c);
} deeds[] = {
    { "call", call },
    { "queue a durable task", deeds_durable },
    { "queue a volatile task", queue_volatile },
    { "queue a crashsafe task for all", queue_crashsafe },
    { "run a command", run_command },
    { "use a set", use_set },
    { "call with much", call_large },
    { "use an array", use_array },
    { "use server tasks", use_stasks },
    { "map", map },
    { "map with a process each", map_isolated },
    { "kill a worker", kill_worker },
    { "come and go", come_and_go },
    { "look", look },
    { "fork children", fork_children },
};
enum { DEEDS = sizeof deeds / sizeof *deeds };

const char *deeds_name(unsigned i)
{
    return i < DEEDS ? deeds[i].name : NULL;
}

ptools_err deeds_act(struct client *c, unsigned i)
{
    c->story = "";
    return deeds[i].act(c);
}

void deeds_assert_kept(struct client *c, bool may_fail)
{
    for (unsigned i = 0; i < c->kept->n; i++) {
        const uint64_t id = c->kept->ids[i];
        const ptools_queued_info *t;
        ptools_queued *one = NULL;
        ptools_err err = ptools_queued_wait(c->pt, &id, 1, false, DEEDS_WAIT_MS, NULL);

        if (err == PTOOLS_OK)
            err = ptools_queued_get(c->pt, id, 0, &one);
        ck_assert_msg(err == PTOOLS_OK, "a task that was accepted: %s: %s", ptools_errname(err),
                      ptools_error_message(c->pt));
        t = ptools_queued_at(one, 0);
        ck_assert_msg(t->state == PTOOLS_QUEUED_DONE || (may_fail && t->message[0]),
                      "a task that was accepted is %s: %s", ptools_queued_state_name(t->state), t->message);
        ptools_queued_free(one);
    }
}
