/* SPDX-License-Identifier: MIT */
/* core_check() must see what is wrong with arrays and server tasks: here it is made wrong, one thing at a time. */
#include "tests/unit/core/rig_shared.h"

static struct rig r;

#define SEES(wrong, right, part)                                                                                       \
    do {                                                                                                               \
        const char *sentence;                                                                                          \
                                                                                                                       \
        wrong;                                                                                                         \
        sentence = core_check(r.core);                                                                                 \
        right;                                                                                                         \
        ck_assert_msg(sentence &&strstr(sentence, part), "%s: \"%s\"", #wrong, sentence ? sentence : "all is well");   \
        ck_assert_ptr_null(core_check(r.core));                                                                        \
    } while (0)

/* One of each kind: named, kept for a time, being made, used by a call, made for a value, delivered as one. */
static struct {
    struct array *named, *kept, *making, *args, *value, *delivered;
    struct task *task;
} the;

static void begin(void)
{
    struct msg_array kept = rig_shape("kept", 10), making = rig_shape("making", 10);
    uint64_t task;

    rig_limits(&r);
    rig_start(&r, 2);
    the.named = rig_the_array(&r, rig_array_of(&r, "named", 10));
    kept.keep = true;
    kept.keep_ms = 100;
    the.kept = rig_the_array(&r, rig_array(&r, r.client, &kept));
    rig_array_request(&r, r.client, MSG_ARRAY_CREATE, &making);
    the.making = rig_the_array(&r, rig_asked(&r));
    rig_clear(&r);
    task = rig_runs_large(&r, 0, 0, 0, 1);
    rig_wants_room(&r, rig_where(&r, r.request), 0, task, 50);
    the.delivered = rig_the_array(&r, rig_asked(&r));
    rig_made(&r, the.delivered->id);
    rig_done_array(&r, task, the.delivered->id, 50);
    rig_clear(&r);
    the.args = rig_the_array(&r, rig_array_of(&r, NULL, 10));
    the.task = task_find(r.core, rig_runs_large(&r, the.args->id, 10, 0, 1));
    rig_wants_room(&r, the.task->worker->id, 0, the.task->id, 50);
    the.value = rig_the_array(&r, rig_asked(&r));
    rig_made(&r, the.value->id);
    ck_assert_int_eq(rig_take(&r, true, r.client, 0, the.named->id, NULL), PTOOLS_OK);
    ck_assert_int_eq(rig_take(&r, false, the.task->worker->id, the.task->id, the.named->id, NULL), PTOOLS_OK);
}

START_TEST(it_sees_arrays)
{
    struct user *user, *other;
    struct client *client;

    begin();
    client = client_find(r.core, r.client);
    user = client->user;
    other = client_find(r.core, rig_client(&r, 1001))->user;
    SEES(the.named->id++, the.named->id--, "by its number");
    SEES(r.core->last_array = 1, r.core->last_array = the.value->id, "by its number");
    SEES(the.named->key.uid++, the.named->key.uid--, "name of another user");
    SEES(the.named->key.name[0] = 'x', the.named->key.name[0] = 'n', "by its name");
    SEES(the.named->in_names = false, the.named->in_names = true, "against its state");
    SEES(the.args->in_names = true, the.args->in_names = false, "against its state");
    SEES(the.named->owner = NULL, the.named->owner = client, "kept for nobody");
    SEES(the.kept->owner = client, the.kept->owner = NULL, "has an owner");
    SEES(the.making->asked_client = 0, the.making->asked_client = client->id, "nobody for one that is not");
    SEES(the.named->asked_client = 1, the.named->asked_client = 0, "that is there");
    SEES(the.making->asked_process = 1, the.making->asked_process = 0, "two wait");
    SEES(the.args->state = ARRAY_ENDED, the.args->state = ARRAY_READY, "belongs to somebody");
    SEES(the.named->file = true, the.named->file = false, "file is charged");
    SEES(the.named->charged--, the.named->charged++, "charged wrongly");
    SEES(the.named->keep_ms = 5; the.named->keep = true, the.named->keep_ms = 0; the.named->keep = false, "owner");
    SEES(the.kept->keep_ms = 0, the.kept->keep_ms = 100, "has a time");
    SEES(the.named->n_share = SHARE_MAX + 1, the.named->n_share = 0, "too many");
    SEES(the.args->uses++, the.args->uses--, "uses of an array");
    SEES(the.task->args = NULL, the.task->args = the.args, "uses of an array");
    SEES(the.value->for_task = 1, the.value->for_task = the.task->id, "does not know it");
    SEES(the.value->for_task = the.task->id - 1, the.value->for_task = the.task->id, "does not know it");
    SEES(the.delivered->untaken = false, the.delivered->untaken = true, "nobody has come for");
    SEES(the.kept->untaken = true, the.kept->untaken = false, "waits for nobody");
    SEES(user->n_arrays++, user->n_arrays--, "other arrays");
    SEES(user->shm_bytes--, user->shm_bytes++, "other arrays");
    SEES(the.named->user = other, the.named->user = user, "");
    SEES(r.core->shm_bytes++, r.core->shm_bytes--, "bytes of all arrays");
    SEES(r.core->leases.v[0].node->place = 7, r.core->leases.v[0].node->place = 1, "place in the heap");
    SEES(r.core->leases.n = 0, r.core->leases.n = 1, "heap of leases");
    rig_end(&r);
}
END_TEST

START_TEST(it_sees_holds)
{
    struct hold *of_client, *of_worker, **list;
    struct worker *w;

    begin();
    w = the.task->worker;
    of_client = client_find(r.core, r.client)->holds;
    of_worker = w->holds;
    list = of_client->list;
    SEES(of_client->count = 0, of_client->count = 1, "given back");
    SEES(of_client->array = the.kept, of_client->array = the.named, "hold of another");
    SEES(of_client->list = &w->holds, of_client->list = list, "list of its holder");
    SEES(of_client->id = 99, of_client->id = r.client, "list of its holder");
    SEES(of_worker->kind = HOLDER_CLIENT; of_worker->id = r.client; of_worker->list = list,
         of_worker->kind = HOLDER_WORKER; of_worker->id = w->id; of_worker->list = &w->holds, "two holds");
    SEES(*list = NULL, *list = of_client, "in no list");
    SEES(w->holds = of_client, w->holds = of_worker, "hold of another");
    SEES(the.named->holds = of_worker, the.named->holds = of_client, "who maps it");
    rig_end(&r);
}
END_TEST

START_TEST(it_sees_server_tasks)
{
    struct msg_stasks m = { .count = 2, .n_arrays = 1, .arrays = (uint64_t[1]){ 0 } }, named = { .count = 1 };
    struct client *client;
    struct stask *dead, *up;
    struct stasks *s, *n;
    struct array *a;
    int32_t pid;
    size_t cap;

    rig_limits(&r);
    rig_start(&r, 1);
    client = client_find(r.core, r.client);
    m.arrays[0] = rig_array_of(&r, "a", 10);
    a = rig_the_array(&r, m.arrays[0]);
    s = stasks_find(r.core, rig_stasks(&r, r.client, &m));
    named.name = TEXT("n");
    n = stasks_find(r.core, rig_stasks(&r, r.client, &named));
    dead = &s->tasks[0];
    up = &s->tasks[1];
    rig_stask_dies(&r, dead->process, 9, 0);
    pid = up->pid;
    cap = r.core->stask_timers.cap;

    SEES(n->id += 2, n->id -= 2, "by their number");
    SEES(r.core->last_stasks = 1, r.core->last_stasks = n->id, "by their number");
    SEES(s->n_arrays = STASKS_ARRAYS_MAX + 1, s->n_arrays = 1, "too many arrays");
    SEES(n->owner = client, n->owner = NULL, "with a name have an owner");
    SEES(s->owner = NULL, s->owner = client, "outlive their owner");
    SEES(n->name[0] = '\0', n->name[0] = 'n', "outlive their owner");
    SEES(client->stasks = NULL, client->stasks = s, "does not know them");
    SEES(up->index = 0, up->index = 1, "its place");
    SEES(up->handle = n, up->handle = s, "its place");
    SEES(dead->pid = 5, dead->pid = 0, "dead server task");
    SEES(up->state = STASK_DEAD, up->state = STASK_UP, "dead server task has a process");
    SEES(dead->state = STASK_UP, dead->state = STASK_DEAD, "by its process");
    SEES(n->tasks[0].process++, n->tasks[0].process--, "by its process");
    SEES(n->tasks[0].process ^= STASK_PROCESS_BIT, n->tasks[0].process ^= STASK_PROCESS_BIT, "number of a worker");
    SEES(up->state = STASK_STOPPING, up->state = STASK_UP, "against its handle");
    SEES(s->stopping = true, s->stopping = false, "against its handle");
    SEES(up->state = STASK_STARTING, up->state = STASK_UP, "too far");
    SEES(up->state = STASK_MAPPING, up->state = STASK_UP, "has mapped all");
    SEES(up->n_mapped = 0, up->n_mapped = 1, "has not mapped all");
    SEES(up->pid = 0, up->pid = pid, "has not mapped all");
    SEES(a->stasks = NULL; a->keep = true, a->stasks = s; a->keep = false, "strange array");
    SEES(a->stasks = n, a->stasks = s, "do not know their array");
    SEES(a->owner = client, a->owner = NULL, "two owners");
    SEES(s->up = false, s->up = true, "come up for nobody");
    SEES(s->stoppers = &(struct stask_waiter){ .client = 1 }, s->stoppers = NULL, "a stop waits");
    SEES(n->starter = &(struct stask_waiter){ .client = 1 }, n->starter = NULL, "a start waits");
    SEES(up->fates = &(struct stask_waiter){ .client = 1 }, up->fates = NULL, "awaited for ever");
    SEES(r.core->n_stasks++, r.core->n_stasks--, "miscounted");
    SEES(s->user->n_stasks--, s->user->n_stasks++, "other server tasks");
    SEES(r.core->stask_timers.cap = 0, r.core->stask_timers.cap = cap, "no room for a timer");
    cap = r.core->fate_timers.cap;
    SEES(r.core->fate_timers.cap = 0, r.core->fate_timers.cap = cap, "no room for the time of a fate");
    stask_set_timer(r.core, up, r.now + 5, 0);
    SEES(r.core->stask_timers.n = 0, r.core->stask_timers.n = 1, "heap of timers");
    SEES(r.core->stask_timers.v[0].node->place = 2, r.core->stask_timers.v[0].node->place = 1, "place in the heap");
    SEES(dead->timer.place = 1, dead->timer.place = 0, "waits for a dead");
    rig_end(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core check_shared");
    TCase *tc = suite_case(suite, "check");

    tcase_add_test(tc, it_sees_arrays);
    tcase_add_test(tc, it_sees_holds);
    tcase_add_test(tc, it_sees_server_tasks);
    return suite_run(suite);
}
