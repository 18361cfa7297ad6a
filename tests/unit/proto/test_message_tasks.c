/* SPDX-License-Identifier: MIT */
/*
 * message -- the kinds for queued tasks and their events, and what the answers to them carry.
 *
 * Numbers with a fraction stand as the notation's raw bytes: a double is cb and 8 bytes, a float ca and 4.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "proto/text.h"
#include "proto/util.h"
#include "tests/support/suite.h"
#include "tests/unit/proto/message_notation.h"

#define A16         "aaaaaaaaaaaaaaaa"
#define A64         A16 A16 A16 A16
#define HEX16       "61616161616161616161616161616161"
#define HEX64       HEX16 HEX16 HEX16 HEX16
#define F64_HALF    "#cb3fe0000000000000"
#define F64_INF     "#cb7ff0000000000000"
#define F64_INF_NEG "#cbfff0000000000000"

/* -- submit -------------------------------------------------------------------------------------------- */

/* Everything but a start_ms, which delay_ms excludes, and targets other than hosts. */
START_TEST(submit)
{
    static const char wire[] =
        "[1 'task-submit' 5 {'function' 'text.count' 'hosts' ['node1.lan' '10.0.0.7' 'fe80::1%eth0'] 'wait_target' "
        "true "
        "'priority' " F64_HALF " 'delay_ms' 1 'expire_ms' 2 'deadline_ms' 3 'grace_ms' 9 'attempts' 255 'backoff_ms' 4 "
        "'backoff_max_ms' 5 'retry_on' ['died' 'failed' 'timeout'] 'idempotent' true 'key' #c403610062 "
        "'key_passing' true 'tags' ['night' 'v=1:2/3@x+y.z' '9'] 'after' [7 18446744073709551615] 'after_any' true "
        "'after_keep' true 'keep_ms' 6 'result_max' 18446744073709551615 'durability' 'durable' 'hold' true "
        "'wait' true 'block' true}]";
    struct msg_request m = request_from(wire);
    const struct msg_submit *s = &m.submit;

    ck_assert_int_eq(m.kind, MSG_TASK_SUBMIT);
    ck_assert_uint_eq(m.id, 5);
    assert_text(s->function, "text.count");
    ck_assert_uint_eq(s->target, 0);
    ck_assert_uint_eq(s->n_hosts, 3);
    assert_text(s->hosts[0], "node1.lan");
    assert_text(s->hosts[1], "10.0.0.7");
    assert_text(s->hosts[2], "fe80::1%eth0");
    ck_assert(s->wait_target && !s->any_target);
    ck_assert(s->has_priority);
    ck_assert_double_eq(s->priority, 0.5);
    ck_assert_uint_eq(s->delay_ms, 1);
    ck_assert_uint_eq(s->expire_ms, 2);
    ck_assert_uint_eq(s->deadline_ms, 3);
    ck_assert_uint_eq(s->grace_ms, 9);
    ck_assert_uint_eq(s->attempts, ATTEMPTS_MAX);
    ck_assert_uint_eq(s->backoff_ms, 4);
    ck_assert_uint_eq(s->backoff_max_ms, 5);
    ck_assert_uint_eq(s->retry_on, RETRY_DIED | RETRY_FAILED | RETRY_TIMEOUT);
    ck_assert(s->idempotent && s->key_passing);
    ck_assert_uint_eq(s->key.n, 3);
    ck_assert_mem_eq(s->key.data, "a\0b", 3); /* any bytes */
    ck_assert_uint_eq(s->n_tags, 3);
    assert_text(s->tags[0], "night");
    assert_text(s->tags[1], "v=1:2/3@x+y.z");
    assert_text(s->tags[2], "9");
    ck_assert_uint_eq(s->n_after, 2);
    ck_assert_uint_eq(s->after[0], 7);
    ck_assert_uint_eq(s->after[1], UINT64_MAX);
    ck_assert(s->after_any && s->after_keep);
    ck_assert_uint_eq(s->keep_ms, 6);
    ck_assert_uint_eq(s->result_max, UINT64_MAX);
    ck_assert_uint_eq(s->durability, TASK_DURABLE);
    ck_assert(s->hold && s->wait && s->block);
    assert_request(&m, wire);
}
END_TEST

START_TEST(submit_least)
{
    static const char wire[] = "[1 'task-submit' 5 {'function' 'a.b'}]";
    struct msg_request m = request_from(wire);
    const struct msg_submit *s = &m.submit;

    ck_assert_uint_eq(s->target, 0);
    ck_assert_uint_eq(s->n_workers + s->n_hosts + s->n_tags + s->n_after + s->set_id, 0);
    assert_text(s->set, NULL);
    assert_text(s->key, NULL);
    ck_assert(!s->has_priority && !s->wait_target && !s->any_target && !s->idempotent && !s->key_passing);
    ck_assert(!s->after_any && !s->after_keep && !s->hold && !s->wait && !s->block);
    ck_assert_uint_eq(s->attempts + s->retry_on + s->durability, 0);
    assert_request(&m, wire);
    /* saying the defaults is the same */
    m = request_from("[1 'task-submit' 5 {'function' 'a.b' 'wait_target' false 'any_target' false 'delay_ms' 0 "
                     "'start_ms' 0 'expire_ms' 0 'deadline_ms' 0 'backoff_ms' 0 'backoff_max_ms' 0 'idempotent' false "
                     "'key_passing' false 'after_any' false 'after_keep' false 'keep_ms' 0 'result_max' 0 'hold' false "
                     "'wait' false 'block' false}]");
    assert_request(&m, wire);
}
END_TEST

START_TEST(submit_targets)
{
    static const char *const wires[] = {
        "[1 'task-submit' 5 {'function' 'a.b' 'target' 'any'}]",
        "[1 'task-submit' 5 {'function' 'a.b' 'target' 'all'}]",
        "[1 'task-submit' 5 {'function' 'a.b' 'workers' [1 2147483647] 'any_target' true}]",
        "[1 'task-submit' 5 {'function' 'a.b' 'hosts' ['n']}]",
        "[1 'task-submit' 5 {'function' 'a.b' 'set' 'night'}]",
        "[1 'task-submit' 5 {'function' 'a.b' 'set' 4294967295}]",
    };

    for (size_t i = 0; i < ELEMENTS(wires); i++) {
        struct msg_request m = request_from(wires[i]);

        assert_request(&m, wires[i]);
    }
    ck_assert_uint_eq(request_from(wires[0]).submit.target, TARGET_ANY);
    ck_assert_uint_eq(request_from(wires[1]).submit.target, TARGET_ALL);
    ck_assert_uint_eq(request_from(wires[2]).submit.n_workers, 2);
    ck_assert_uint_eq(request_from(wires[2]).submit.workers[1], INT32_MAX);
    ck_assert(request_from(wires[2]).submit.any_target);
    assert_text(request_from(wires[4]).submit.set, "night");
    ck_assert_uint_eq(request_from(wires[5]).submit.set_id, UINT32_MAX);
}
END_TEST

START_TEST(submit_words)
{
    static const struct {
        const char *word;
        uint32_t durability;
    } classes[] = { { "volatile", TASK_VOLATILE }, { "crashsafe", TASK_CRASHSAFE }, { "durable", TASK_DURABLE } };
    static const struct {
        const char *words;
        uint32_t bits;
    } retries[] = {
        { "'died'", RETRY_DIED },
        { "'failed'", RETRY_FAILED },
        { "'timeout'", RETRY_TIMEOUT },
        { "'timeout' 'died'", RETRY_DIED | RETRY_TIMEOUT }, /* in any order */
        { "'failed' 'failed'", RETRY_FAILED },              /* and twice is once */
    };
    char wire[160];

    for (size_t i = 0; i < ELEMENTS(classes); i++) {
        snprintf(wire, sizeof wire, "[1 'task-submit' 5 {'function' 'a.b' 'durability' '%s'}]", classes[i].word);
        ck_assert_uint_eq(request_from(wire).submit.durability, classes[i].durability);
    }
    for (size_t i = 0; i < ELEMENTS(retries); i++) {
        snprintf(wire, sizeof wire, "[1 'task-submit' 5 {'function' 'a.b' 'retry_on' [%s]}]", retries[i].words);
        ck_assert_uint_eq(request_from(wire).submit.retry_on, retries[i].bits);
    }
}
END_TEST

START_TEST(priorities)
{
    static const struct {
        const char *number;
        double priority;
    } numbers[] = {
        { F64_HALF, 0.5 }, { "#ca3f000000", 0.5 }, { F64_INF, (double)INFINITY },  { F64_INF_NEG, -(double)INFINITY },
        { "0", 0 },        { "-7", -7 },           { "9007199254740992", 0x1p53 }, { "#cb0000000000000001", 0x1p-1074 },
    };
    char wire[120];

    for (size_t i = 0; i < ELEMENTS(numbers); i++) {
        struct msg_request m;

        snprintf(wire, sizeof wire, "[1 'task-submit' 5 {'function' 'a.b' 'priority' %s}]", numbers[i].number);
        m = request_from(wire);
        ck_assert(m.submit.has_priority);
        ck_assert_msg(m.submit.priority == numbers[i].priority, "%s", numbers[i].number);
    }
    /* 0 is a priority, and is sent */
    assert_request(&(struct msg_request){ .kind = MSG_TASK_SUBMIT,
                                          .id = 5,
                                          .submit = { .function = text("a.b"), .has_priority = true } },
                   "[1 'task-submit' 5 {'function' 'a.b' 'priority' #cb0000000000000000}]");
}
END_TEST

/* Everything at its largest fits into an envelope, and one more of anything is refused. */
START_TEST(submit_most)
{
    static char host[HOST_BYTES_MAX], tag[NAME_BYTES_MAX], function[FUNCTION_BYTES_MAX];
    static uint64_t ids[TASK_AFTER_MAX + 1];
    struct text hosts[HOSTS_MAX + 1], tags[TAGS_MAX + 1];
    struct msg_request back, m = { .kind = MSG_TASK_SUBMIT, .id = UINT64_MAX };
    struct msg_submit *s = &m.submit;
    static const char *const says[] = {
        "task-submit: hosts must be a list of 1 to 64 names or addresses of hosts; it is a value of type list",
        "task-submit: tags must be a list of 1 to 16 strings, each 1 to 64 of A-Z a-z 0-9 _ - . : / = @ +",
        "task-submit: after must be a list of 1 to 64 numbers, each from 1",
    };

    memset(host, 'h', sizeof host);
    memset(tag, 't', sizeof tag);
    memset(function, 'f', sizeof function);
    function[NAME_BYTES_MAX] = '.';
    for (uint32_t i = 0; i < ELEMENTS(hosts); i++)
        hosts[i] = (struct text){ host, sizeof host };
    for (uint32_t i = 0; i < ELEMENTS(tags); i++)
        tags[i] = (struct text){ tag, sizeof tag };
    for (uint32_t i = 0; i < ELEMENTS(ids); i++)
        ids[i] = UINT64_MAX - i;
    *s = (struct msg_submit){ .function = { function, sizeof function },
                              .n_hosts = HOSTS_MAX,
                              .hosts = hosts,
                              .any_target = true,
                              .has_priority = true,
                              .start_ms = UINT64_C(253402300799999),
                              .expire_ms = UINT64_C(1000000000000),
                              .deadline_ms = UINT64_C(1000000000000),
                              .attempts = ATTEMPTS_MAX,
                              .backoff_ms = UINT64_C(1000000000000),
                              .backoff_max_ms = UINT64_C(1000000000000),
                              .retry_on = 7,
                              .idempotent = true,
                              .key = { tag, sizeof tag },
                              .key_passing = true,
                              .n_tags = TAGS_MAX,
                              .tags = tags,
                              .n_after = TASK_AFTER_MAX,
                              .after = ids,
                              .keep_ms = UINT64_C(1000000000000),
                              .result_max = UINT64_MAX,
                              .durability = TASK_CRASHSAFE };
    msg_request_encode(&m, &out);
    ck_assert_int_eq(out.err, 0);
    for (int i = 0; i < 3; i++) { /* the decoder's memory is used again */
        ck_assert_int_eq(msg_request_decode(decoder, out.data, out.n, &back, &problem), 0);
        ck_assert_uint_eq(back.submit.n_hosts, HOSTS_MAX);
        ck_assert_uint_eq(back.submit.n_tags, TAGS_MAX);
        for (uint32_t k = 0; k < HOSTS_MAX; k++)
            ck_assert(back.submit.hosts[k].n == sizeof host && !memcmp(back.submit.hosts[k].data, host, sizeof host));
        for (uint32_t k = 0; k < TAGS_MAX; k++)
            ck_assert(back.submit.tags[k].n == sizeof tag && !memcmp(back.submit.tags[k].data, tag, sizeof tag));
        ck_assert_uint_eq(back.submit.n_after, TASK_AFTER_MAX);
        ck_assert_mem_eq(back.submit.after, ids, TASK_AFTER_MAX * sizeof ids[0]);
        ck_assert_uint_eq(back.submit.start_ms, UINT64_C(253402300799999));
    }
    for (uint32_t i = 0; i < ELEMENTS(says); i++) {
        uint32_t *const n[] = { &s->n_hosts, &s->n_tags, &s->n_after };

        ++*n[i];
        bytes_reset(&out);
        msg_request_encode(&m, &out);
        --*n[i];
        ck_assert_int_eq(msg_request_decode(decoder, out.data, out.n, &back, &problem), 1);
        ck_assert_msg(strstr(problem.text, says[i]), "%s", problem.text);
    }
}
END_TEST

/* -- by id or key -------------------------------------------------------------------------------------- */

START_TEST(about_one)
{
    static const char *const kinds[] = { "task-get", "task-result", "task-why" };
    static const enum msg_kind numbers[] = { MSG_TASK_GET, MSG_TASK_RESULT, MSG_TASK_WHY };
    char wire[256], says[96];
    struct msg_request m;

    for (size_t i = 0; i < ELEMENTS(kinds); i++) {
        snprintf(wire, sizeof wire, "[1 '%s' 6 {'task' 18446744073709551615}]", kinds[i]);
        m = request_from(wire);
        ck_assert_int_eq(m.kind, numbers[i]);
        ck_assert_uint_eq(m.task.task, UINT64_MAX);
        assert_text(m.task.key, NULL);
        assert_request(&m, wire);
        snprintf(wire, sizeof wire, "[1 '%s' 6 {'key' #c440" HEX64 "}]", kinds[i]);
        m = request_from(wire);
        ck_assert_uint_eq(m.task.task, 0);
        assert_text(m.task.key, A64);
        assert_request(&m, wire);
        snprintf(says, sizeof says, "%s: exactly one of task and key must be there", kinds[i]);
        for (int both = 0; both <= 1; both++) {
            snprintf(wire, sizeof wire, "[1 '%s' 6 {%s}]", kinds[i], both ? "'task' 1 'key' #c40161" : "");
            write_envelope(wire);
            ck_assert_int_eq(msg_request_decode(decoder, out.data, out.n, &m, &problem), 1);
            ck_assert_str_eq(problem.text, says);
            ck_assert_uint_eq(problem.id, 6);
        }
    }
    m = request_from("[1 'task-get' 6 {'task' 1 'args' true}]");
    ck_assert(m.task.args);
    assert_request(&m, "[1 'task-get' 6 {'task' 1 'args' true}]");
}
END_TEST

START_TEST(about_many)
{
    static const char wait[] = "[1 'task-wait' 6 {'tasks' [3 1 3] 'any' true}]";
    static const char change[] = "[1 'task-change' 6 {'tasks' [18446744073709551615] 'change' 'cancel'}]";
    static const char stop[] = "[1 'task-change' 6 {'tasks' [1] 'change' 'cancel' 'grace_ms' 20 'at_once' true}]";
    struct msg_request m = request_from(wait);

    ck_assert_int_eq(m.kind, MSG_TASK_WAIT);
    ck_assert_uint_eq(m.task.n_tasks, 3);
    ck_assert_uint_eq(m.task.tasks[0], 3);
    ck_assert_uint_eq(m.task.tasks[1], 1);
    ck_assert(m.task.any);
    assert_request(&m, wait);
    ck_assert(!request_from("[1 'task-wait' 6 {'tasks' [1]}]").task.any);
    m = request_from(change);
    ck_assert_int_eq(m.kind, MSG_TASK_CHANGE);
    ck_assert_uint_eq(m.task.n_tasks, 1);
    ck_assert_uint_eq(m.task.tasks[0], UINT64_MAX);
    ck_assert_uint_eq(m.task.change, CHANGE_CANCEL);
    assert_request(&m, change);
    m = request_from(stop);
    ck_assert_uint_eq(m.task.grace_ms, 20);
    ck_assert(m.task.at_once);
    assert_request(&m, stop);
}
END_TEST

START_TEST(every_change)
{
    static const char *const words[] = { "dequeue", "cancel", "hold", "release", "kick", "rerun", "forget" };
    char wire[96];

    ck_assert_uint_eq(ELEMENTS(words), CHANGE_FORGET);
    for (uint32_t i = 0; i < ELEMENTS(words); i++) {
        struct msg_request m;

        snprintf(wire, sizeof wire, "[1 'task-change' 6 {'tasks' [1] 'change' '%s'}]", words[i]);
        m = request_from(wire);
        ck_assert_uint_eq(m.task.change, i + 1);
        assert_request(&m, wire);
    }
}
END_TEST

START_TEST(most_tasks)
{
    uint64_t ids[TASK_IDS_MAX + 1];
    struct msg_request back, m = { .kind = MSG_TASK_WAIT, .id = 1 };

    for (uint32_t i = 0; i < ELEMENTS(ids); i++)
        ids[i] = UINT64_MAX - i;
    m.task.tasks = ids;
    m.task.n_tasks = TASK_IDS_MAX;
    msg_request_encode(&m, &out);
    ck_assert_int_eq(msg_request_decode(decoder, out.data, out.n, &back, &problem), 0);
    ck_assert_uint_eq(back.task.n_tasks, TASK_IDS_MAX);
    ck_assert_mem_eq(back.task.tasks, ids, TASK_IDS_MAX * sizeof ids[0]);
    m.task.n_tasks++;
    bytes_reset(&out);
    msg_request_encode(&m, &out);
    ck_assert_int_eq(msg_request_decode(decoder, out.data, out.n, &back, &problem), 1);
    ck_assert_ptr_nonnull(strstr(problem.text, "task-wait: tasks must be a list of 1 to 1024 numbers, each from 1"));
}
END_TEST

/* -- lists, priorities, events ------------------------------------------------------------------------- */

START_TEST(list)
{
    static const char wire[] = "[1 'task-list' 7 {'states' ['waiting' 'queued' 'running' 'done' 'failed' 'timeout' "
                               "'cancelled' 'expired' 'dead' 'lost'] 'tag' 'night' 'after' 18446744073709551615 "
                               "'limit' 4096 'newest' true 'args' true}]";
    struct msg_request m = request_from(wire);

    ck_assert_int_eq(m.kind, MSG_TASK_LIST);
    ck_assert_uint_eq(m.task.states, (1u << SHOWN_STATES) - 2);
    assert_text(m.task.tag, "night");
    ck_assert_uint_eq(m.task.after, UINT64_MAX);
    ck_assert_uint_eq(m.task.limit, TASK_PAGE_MAX);
    ck_assert(m.task.args && m.task.newest);
    assert_request(&m, wire);
    m = request_from("[1 'task-list' 7 {}]");
    ck_assert_uint_eq(m.task.states + m.task.after + m.task.limit, 0);
    assert_text(m.task.tag, NULL);
    assert_request(&m, "[1 'task-list' 7 {}]");
    assert_request(&(struct msg_request){ .kind = MSG_TASK_LIST, .id = 7, .task = { .states = 1u << SHOWN_DEAD } },
                   "[1 'task-list' 7 {'states' ['dead']}]");
}
END_TEST

START_TEST(every_state)
{
    char wire[96];

    for (uint32_t state = SHOWN_WAITING; state < SHOWN_STATES; state++) {
        struct msg_answer m;

        snprintf(wire, sizeof wire, "[1 'task-list' 7 {'states' ['%s']}]", task_shown_name(state));
        ck_assert_uint_eq(request_from(wire).task.states, 1u << state);
        snprintf(wire, sizeof wire, "[1 'reply' 7 {'state' '%s'}]", task_shown_name(state));
        m = answer_from(wire);
        ck_assert_uint_eq(m.reply.state, state);
        assert_answer(&m, wire);
        ck_assert(task_shown_ended(state) == (state >= SHOWN_DONE));
    }
}
END_TEST

START_TEST(task_priorities)
{
    struct msg_request m = request_from("[1 'task-priorities' 8 {}]"); /* its payload has it all */

    ck_assert_int_eq(m.kind, MSG_TASK_PRIORITIES);
    ck_assert_uint_eq(m.id, 8);
    assert_request(&m, "[1 'task-priorities' 8 {}]");
    request_from("[1 'task-priorities' 8 {'of' 'tomorrow'}]");
    ck_assert_uint_eq(sizeof(struct msg_priority), 16);
}
END_TEST

START_TEST(events)
{
    static const char *const wires[] = {
        "[1 'events' 9 {}]",
        "[1 'events' 9 {'tag' '" A64 "'}]",
        "[1 'events' 9 {'task' 18446744073709551615}]",
        "[1 'events-end' 10 {'request' 18446744073709551615}]",
        "[1 'queue-pause' 11 {}]",
        "[1 'queue-pause' 11 {'tag' 'x'}]",
        "[1 'queue-resume' 11 {'tag' 'x'}]",
    };
    static const enum msg_kind kinds[] = { MSG_EVENTS,      MSG_EVENTS,      MSG_EVENTS,      MSG_EVENTS_END,
                                           MSG_QUEUE_PAUSE, MSG_QUEUE_PAUSE, MSG_QUEUE_RESUME };
    struct msg_request m;

    for (size_t i = 0; i < ELEMENTS(wires); i++) {
        m = request_from(wires[i]);
        ck_assert_int_eq(m.kind, kinds[i]);
        assert_request(&m, wires[i]);
    }
    assert_text(request_from(wires[1]).task.tag, A64);
    ck_assert_uint_eq(request_from(wires[2]).task.task, UINT64_MAX);
    ck_assert_uint_eq(request_from(wires[3]).task.request, UINT64_MAX);
}
END_TEST

/* -- answers ------------------------------------------------------------------------------------------- */

START_TEST(replies)
{
    static const char *const wires[] = {
        "[1 'reply' 9 {'task' 4711 'count' 1024 'state' 'queued' 'duplicate' true}]",
        "[1 'reply' 9 {'count' 4294967295 'state' 'cancelled' 'skipped' 4294967294}]",
        "[1 'reply' 9 {'reason' 'it waits for task 12'}]",
        "[1 'reply' 9 {'task' 4711 'log' 'one\ntwo\n'}]",
    };
    struct msg_answer m;

    for (size_t i = 0; i < ELEMENTS(wires); i++) {
        m = answer_from(wires[i]);
        ck_assert(!m.failed && !m.is_event);
        assert_answer(&m, wires[i]);
    }
    m = answer_from(wires[0]);
    ck_assert_uint_eq(m.reply.task, 4711);
    ck_assert_uint_eq(m.reply.count, 1024);
    ck_assert_uint_eq(m.reply.state, SHOWN_QUEUED);
    ck_assert(m.reply.duplicate);
    m = answer_from(wires[1]);
    ck_assert_uint_eq(m.reply.count, UINT32_MAX);
    ck_assert_uint_eq(m.reply.skipped, UINT32_MAX - 1);
    ck_assert_uint_eq(m.reply.state, SHOWN_CANCELLED);
    assert_text(answer_from(wires[2]).reply.reason, "it waits for task 12");
    assert_text(answer_from(wires[3]).reply.log, "one\ntwo\n");
}
END_TEST

START_TEST(reason_is_cut_and_cleaned)
{
    static char story[5000];
    struct msg_answer back, m = { .id = 1 };

    memset(story, 's', sizeof story);
    story[0] = '\x1b';
    m.reply.reason = (struct text){ story, sizeof story };
    msg_answer_encode(&m, &out);
    ck_assert_int_eq(msg_answer_decode(decoder, out.data, out.n, &back, &problem), 0);
    ck_assert_uint_eq(back.reply.reason.n, 4096);
    ck_assert_mem_eq(back.reply.reason.data, "?sss", 4);
}
END_TEST

START_TEST(failures)
{
    static const char limit[] =
        "[1 'error' 9 {'code' 41 'name' 'LIMIT' 'message' 'm' 'retry_ms' 18446744073709551615}]";
    static const char not_now[] = "[1 'error' 9 {'code' 58 'name' 'NOT_NOW' 'message' 'm' 'task' 7 'state' 'running'}]";
    static const char *const others[] = {
        "[1 'error' 9 {'code' 56 'name' 'KEY_REUSED'}]",
        "[1 'error' 9 {'code' 57 'name' 'STORAGE'}]",
        "[1 'error' 9 {'code' 68 'name' 'EXPIRED'}]",
        "[1 'error' 9 {'code' 71 'name' 'DEPENDENCY'}]",
    };
    struct msg_answer m = answer_from(limit);

    ck_assert(m.failed && !m.is_event);
    ck_assert_int_eq(m.failure.code, PTOOLS_ERR_LIMIT);
    ck_assert_uint_eq(m.failure.retry_ms, UINT64_MAX);
    ck_assert_uint_eq(m.failure.state, 0);
    assert_answer(&m, limit);
    m = answer_from(not_now);
    ck_assert_int_eq(m.failure.code, PTOOLS_ERR_NOT_NOW);
    ck_assert_uint_eq(m.failure.state, SHOWN_RUNNING);
    ck_assert_uint_eq(m.failure.retry_ms, 0);
    assert_answer(&m, not_now);
    for (size_t i = 0; i < ELEMENTS(others); i++) {
        m = answer_from(others[i]);
        ck_assert(error_known(m.failure.code));
        assert_answer(&m, others[i]);
    }
}
END_TEST

START_TEST(event)
{
    static const char wire[] = "[1 'event' 9 {'seq' 18446744073709551615 'event' 'ended' 'task' 4711 'state' 'failed' "
                               "'time_ms' 1764201600000 'worker' 3 'attempt' 2 'code' 62 'progress' [3 9] 'missed' 5}]";
    struct msg_answer m = answer_from(wire);

    ck_assert(m.is_event && !m.failed);
    ck_assert_uint_eq(m.id, 9);
    ck_assert_uint_eq(m.event.seq, UINT64_MAX);
    ck_assert_uint_eq(m.event.event, EVENT_ENDED);
    ck_assert_uint_eq(m.event.task, 4711);
    ck_assert_uint_eq(m.event.state, SHOWN_FAILED);
    ck_assert_uint_eq(m.event.time_ms, UINT64_C(1764201600000));
    ck_assert_uint_eq(m.event.worker, 3);
    ck_assert_uint_eq(m.event.attempt, 2);
    ck_assert_uint_eq(m.event.code, PTOOLS_ERR_WORKER_DIED);
    ck_assert_uint_eq(m.event.progress, 3);
    ck_assert_uint_eq(m.event.progress_of, 9);
    ck_assert_uint_eq(m.event.missed, 5);
    assert_answer(&m, wire);
}
END_TEST

START_TEST(every_event)
{
    static const char *const words[] = { "queued", "started", "progress", "ended", "retry", "missed" };
    char wire[96];

    ck_assert_uint_eq(ELEMENTS(words), EVENT_MISSED);
    for (uint32_t i = 0; i < ELEMENTS(words); i++) {
        struct msg_answer m;

        snprintf(wire, sizeof wire, "[1 'event' 9 {'seq' 1 'event' '%s'}]", words[i]);
        m = answer_from(wire);
        ck_assert_uint_eq(m.event.event, i + 1);
        ck_assert_uint_eq(m.event.task, 0);
        assert_answer(&m, wire);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("message-tasks");
    TCase *tc = suite_case(suite, "submit");

    tcase_add_checked_fixture(tc, message_setup, message_teardown);
    tcase_add_test(tc, submit);
    tcase_add_test(tc, submit_least);
    tcase_add_test(tc, submit_targets);
    tcase_add_test(tc, submit_words);
    tcase_add_test(tc, priorities);
    tcase_add_test(tc, submit_most);
    tc = suite_case(suite, "tasks");
    tcase_add_checked_fixture(tc, message_setup, message_teardown);
    tcase_add_test(tc, about_one);
    tcase_add_test(tc, about_many);
    tcase_add_test(tc, every_change);
    tcase_add_test(tc, most_tasks);
    tcase_add_test(tc, list);
    tcase_add_test(tc, every_state);
    tcase_add_test(tc, task_priorities);
    tcase_add_test(tc, events);
    tc = suite_case(suite, "answers");
    tcase_add_checked_fixture(tc, message_setup, message_teardown);
    tcase_add_test(tc, replies);
    tcase_add_test(tc, reason_is_cut_and_cleaned);
    tcase_add_test(tc, failures);
    tcase_add_test(tc, event);
    tcase_add_test(tc, every_event);
    return suite_run(suite);
}
