/* SPDX-License-Identifier: MIT */
/* message -- what is sent is what is understood, and whatever else comes gets a sentence. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "proto/text.h"
#include "proto/value.h"
#include "tests/support/suite.h"
#include "tests/unit/proto/message_notation.h"

/* -- requests ------------------------------------------------------------------------------------------ */

START_TEST(hello)
{
    static const char wire[] = "[1 'hello' 1 {'versions' [1 3] 'client' 'libptools 0.1.0'}]";
    struct msg_request m = request_from(wire);

    ck_assert_int_eq(m.kind, MSG_HELLO);
    ck_assert_uint_eq(m.id, 1);
    ck_assert_uint_eq(m.hello.version_min, 1);
    ck_assert_uint_eq(m.hello.version_max, 3);
    assert_text(m.hello.client, "libptools 0.1.0");
    assert_request(&m, wire);
    m = request_from("[1 'hello' 1 {'versions' [1 4294967295]}]");
    ck_assert_uint_eq(m.hello.version_max, UINT32_MAX);
    assert_text(m.hello.client, NULL);
}
END_TEST

START_TEST(call)
{
    static const char wire[] = "[1 'call' 18446744073709551615 {'function' 'text.count' 'set' 'night' 'worker' 3 "
                               "'deadline_ms' 500 'grace_ms' 700 'detached' true}]";
    struct msg_request m = request_from(wire);

    ck_assert_int_eq(m.kind, MSG_CALL);
    ck_assert_uint_eq(m.id, UINT64_MAX);
    assert_text(m.call.function, "text.count");
    assert_text(m.call.set, "night");
    ck_assert_uint_eq(m.call.set_id, 0);
    ck_assert_uint_eq(m.call.worker, 3);
    ck_assert_uint_eq(m.call.deadline_ms, 500);
    ck_assert_uint_eq(m.call.grace_ms, 700);
    ck_assert(m.call.detached);
    assert_request(&m, wire);
}
END_TEST

START_TEST(call_least)
{
    static const char wire[] = "[1 'call' 1 {'function' 'a.b'}]";
    struct msg_request m = request_from(wire);

    assert_text(m.call.set, NULL);
    ck_assert_uint_eq(m.call.set_id, 0);
    ck_assert_uint_eq(m.call.worker, 0);
    ck_assert_uint_eq(m.call.deadline_ms, 0);
    ck_assert(!m.call.detached);
    assert_request(&m, wire);
    /* saying the defaults is the same */
    m = request_from("[1 'call' 1 {'function' 'a.b' 'set' 0 'worker' 0 'deadline_ms' 0 'detached' false}]");
    assert_request(&m, wire);
}
END_TEST

START_TEST(call_bounds)
{
    struct msg_request m = request_from("[1 'call' 1 {'deadline_ms' 1000000000000 'worker' 2147483647 "
                                        "'set' 4294967295 'function' 'a.b'}]");

    ck_assert_uint_eq(m.call.deadline_ms, UINT64_C(1000000000000));
    ck_assert_uint_eq(m.call.worker, INT32_MAX);
    ck_assert_uint_eq(m.call.set_id, UINT32_MAX);
    assert_text(m.call.set, NULL);
}
END_TEST

START_TEST(call_limit)
{
    static const char *const wire[] = { "[1 'call-limit' 2 {'request' 77 'item_ms' 5}]",
                                        "[1 'call-limit' 2 {'request' 77}]" };

    for (int i = 0; i < 2; i++) {
        struct msg_request m = request_from(wire[i]);

        ck_assert_int_eq(m.kind, MSG_CALL_LIMIT);
        ck_assert_uint_eq(m.limit.request, 77);
        ck_assert_uint_eq(m.limit.item_ms, i ? 0 : 5);
        assert_request(&m, wire[i]);
    }
}
END_TEST

START_TEST(cancel)
{
    struct msg_request m = request_from("[1 'cancel' 2 {'request' 77}]");

    ck_assert_int_eq(m.kind, MSG_CANCEL);
    ck_assert_uint_eq(m.cancel.request, 77);
    ck_assert_uint_eq(m.cancel.task, 0);
    assert_request(&m, "[1 'cancel' 2 {'request' 77}]");
    m = request_from("[1 'cancel' 2 {'task' 18446744073709551615}]");
    ck_assert_uint_eq(m.cancel.request, 0);
    ck_assert_uint_eq(m.cancel.task, UINT64_MAX);
    assert_request(&m, "[1 'cancel' 2 {'task' 18446744073709551615}]");
}
END_TEST

START_TEST(sets)
{
    struct msg_request m = request_from("[1 'set-create' 3 {'name' 'night' 'mode' 'ff' 'workers' [2 3 1]}]");

    ck_assert_int_eq(m.kind, MSG_SET_CREATE);
    assert_text(m.set.name, "night");
    ck_assert_uint_eq(m.set.mode, 2);
    ck_assert_uint_eq(m.set.n, 3);
    ck_assert_uint_eq(m.set.members[0], 2);
    ck_assert_uint_eq(m.set.members[1], 3);
    ck_assert_uint_eq(m.set.members[2], 1);
    assert_request(&m, "[1 'set-create' 3 {'name' 'night' 'mode' 'ff' 'workers' [2 3 1]}]");

    m = request_from("[1 'set-create' 3 {'workers' [7]}]"); /* anonymous, round robin */
    assert_text(m.set.name, NULL);
    ck_assert_uint_eq(m.set.mode, 1);
    assert_request(&m, "[1 'set-create' 3 {'mode' 'rr' 'workers' [7]}]");

    m = request_from("[1 'set-open' 4 {'name' 'a.b'}]");
    ck_assert_int_eq(m.kind, MSG_SET_OPEN);
    assert_text(m.set.name, "a.b");
    assert_request(&m, "[1 'set-open' 4 {'name' 'a.b'}]");

    m = request_from("[1 'set-change' 5 {'set' 9 'mode' 'rr' 'workers' [2147483647]}]");
    ck_assert_int_eq(m.kind, MSG_SET_CHANGE);
    ck_assert_uint_eq(m.set.set_id, 9);
    ck_assert_uint_eq(m.set.members[0], INT32_MAX);
    assert_request(&m, "[1 'set-change' 5 {'set' 9 'mode' 'rr' 'workers' [2147483647]}]");

    m = request_from("[1 'set-destroy' 6 {'set' 4294967295}]");
    ck_assert_int_eq(m.kind, MSG_SET_DESTROY);
    ck_assert_uint_eq(m.set.set_id, UINT32_MAX);
    assert_request(&m, "[1 'set-destroy' 6 {'set' 4294967295}]");
}
END_TEST

START_TEST(largest_set)
{
    static uint32_t ids[SET_MEMBERS_MAX + 1];
    struct msg_request back, m = { .kind = MSG_SET_CREATE, .id = 1 };

    for (uint32_t i = 0; i < ELEMENTS(ids); i++)
        ids[i] = INT32_MAX - i;
    m.set.mode = 2;
    m.set.members = ids;
    m.set.n = SET_MEMBERS_MAX;
    msg_request_encode(&m, &out);
    ck_assert_int_eq(out.err, 0);
    for (int i = 0; i < 10; i++) { /* the decoder's memory is used again */
        ck_assert_int_eq(msg_request_decode(decoder, out.data, out.n, &back, &problem), 0);
        ck_assert_uint_eq(back.set.n, SET_MEMBERS_MAX);
        ck_assert_mem_eq(back.set.members, ids, SET_MEMBERS_MAX * sizeof ids[0]);
    }
    m.set.n++;
    bytes_reset(&out);
    msg_request_encode(&m, &out);
    ck_assert_int_eq(msg_request_decode(decoder, out.data, out.n, &back, &problem), 1);
    ck_assert_int_eq(problem.code, PTOOLS_ERR_BAD_REQUEST);
}
END_TEST

START_TEST(workers_and_inspect)
{
    struct msg_request m = request_from("[1 'workers-add' 1 {'count' 1024}]");

    ck_assert_int_eq(m.kind, MSG_WORKERS_ADD);
    ck_assert_uint_eq(m.workers.n, WORKERS_MAX);
    assert_request(&m, "[1 'workers-add' 1 {'count' 1024}]");
    m = request_from("[1 'workers-remove' 1 {'worker' 8}]");
    ck_assert_int_eq(m.kind, MSG_WORKERS_REMOVE);
    ck_assert_uint_eq(m.workers.worker, 8);
    assert_request(&m, "[1 'workers-remove' 1 {'worker' 8}]");
    m = request_from("[1 'inspect' 1 {'what' 'status'}]");
    ck_assert_int_eq(m.kind, MSG_INSPECT);
    assert_text(m.inspect.what, "status");
    assert_request(&m, "[1 'inspect' 1 {'what' 'status'}]");
}
END_TEST

START_TEST(unknown_keys_are_skipped)
{
    struct msg_request m = request_from("[1 'call' 1 {'colour' {'r' [1 2 {'x' nil}]} 'function' 'a.b' "
                                        "'colour' 7 'functio' 1 'functions' 2}]");

    assert_text(m.call.function, "a.b");
}
END_TEST

START_TEST(any_width_of_integers)
{
    struct msg_request m = request_from("[#cf0000000000000001 #d90463616c6c #ce00000007 "
                                        "{'function' #da0003612e62 'worker' #d30000000000000003}]");

    ck_assert_int_eq(m.kind, MSG_CALL);
    ck_assert_uint_eq(m.id, 7);
    ck_assert_uint_eq(m.call.worker, 3); /* a signed format, but not negative */
    m = request_from("#dd0000000401a463616c6c07df00000001a866756e6374696f6ea3612e62");
    assert_text(m.call.function, "a.b");
}
END_TEST

/* -- bad requests -------------------------------------------------------------------------------------- */

static const struct {
    const char *wire;
    ptools_err code;
    uint64_t id;
    const char *says;
} bad_requests[] = {
    /* the envelope */
    { "7", PTOOLS_ERR_BAD_REQUEST, 0, "[version, kind, id, body]" },
    { "{}", PTOOLS_ERR_BAD_REQUEST, 0, "[version, kind, id, body]" },
    { "nil", PTOOLS_ERR_BAD_REQUEST, 0, "[version, kind, id, body]" },
    { "[]", PTOOLS_ERR_BAD_REQUEST, 0, "must begin with version" },
    { "[1 'call']", PTOOLS_ERR_BAD_REQUEST, 0, "must begin with version" },
    { "[[] 'call' 1 {}]", PTOOLS_ERR_BAD_REQUEST, 0, "must begin with version" },
    { "[1 {} 1 {}]", PTOOLS_ERR_BAD_REQUEST, 0, "must begin with version" },
    { "[1 'call' 9]", PTOOLS_ERR_BAD_REQUEST, 9, "must have 4 elements; it has 3" },
    { "[1 #a663616c6c0000 9 {}]", PTOOLS_ERR_BAD_REQUEST, 9, "kind must be one of" }, /* call, and two NUL bytes */
    { "[1 'call' 9 {'function' 'a.b' 'items' 0}]", PTOOLS_ERR_BAD_REQUEST, 9,
      "items must be an integer from 1 to 65536" },
    { "[1 'call' 9 {'function' 'a.b' 'items' 65537}]", PTOOLS_ERR_BAD_REQUEST, 9, "items must be an integer from 1" },
    { "[1 'call' 9 {'function' 'a.b' 'items' 1 'init' 'nodot'}]", PTOOLS_ERR_BAD_REQUEST, 9, "init must be a string" },
    { "[1 'call' 9 {'function' 'a.b' 'items' 1 'map' 4294967296}]", PTOOLS_ERR_BAD_REQUEST, 9, "map must be" },
    { "[1 'call' 9 {'function' 'a.b' 'items' 1 'captured' [0 1]}]", PTOOLS_ERR_BAD_REQUEST, 9, "captured must be" },
    { "[1 'call' 9 {'function' 'a.b' 'items' 1 'isolated' 1}]", PTOOLS_ERR_BAD_REQUEST, 9, "isolated must be" },
    { "[1 'call' 9 {'function' 'a.b' 'items' 1 'reduce' 'add'}]", PTOOLS_ERR_BAD_REQUEST, 9, "reduce" },
    { "[1 'call' 9 {'function' 'a.b' 'items' 1 'values' 65537}]", PTOOLS_ERR_BAD_REQUEST, 9, "values" },
    { "[1 'call' 9 {} {}]", PTOOLS_ERR_BAD_REQUEST, 9, "must have 4 elements; it has 5" },
    { "[1 'call' 0 {'function' 'a.b'}]", PTOOLS_ERR_BAD_REQUEST, 0, "call: id must be an integer from 1" },
    { "[1 'call' -1 {'function' 'a.b'}]", PTOOLS_ERR_BAD_REQUEST, 0, "id must be an integer from 1" },
    { "[1 'call' 'x' {}]", PTOOLS_ERR_BAD_REQUEST, 0, "it is \"x\"" },
    { "[1 'dance' 9 {}]", PTOOLS_ERR_BAD_REQUEST, 9,
      "kind must be one of hello, call, cancel, call-limit, set-create, set-open, "
      "set-change, set-destroy, workers-add, workers-remove, inspect, "
      "array-create, array-unlink, array-close, stasks-start, "
      "stasks-open, stasks-restart, stasks-stop, stasks-fate, "
      "stasks-cancel, task-submit, task-get, task-result, task-wait, "
      "task-change, task-list, task-priorities, task-why, events, "
      "events-end, queue-pause, queue-resume; it is \"dance\"" },
    { "[1 5 9 {}]", PTOOLS_ERR_BAD_REQUEST, 9, "queue-resume; it is 5" },
    { "[1 'reply' 9 {}]", PTOOLS_ERR_BAD_REQUEST, 9, "it is \"reply\"" },
    { "[1 'call' 9 []]", PTOOLS_ERR_BAD_REQUEST, 9, "call: the body must be a map; it is a value of type list" },
    { "[1 'call' 9 nil]", PTOOLS_ERR_BAD_REQUEST, 9, "type nil" },
    { "[1 'call' 9 {1 2}]", PTOOLS_ERR_BAD_REQUEST, 9, "call: the keys of the body must be strings; one is 1" },
    /* versions */
    { "[0 'call' 9 {}]", PTOOLS_ERR_VERSION, 9, "protocol versions 1 to 1 are spoken here" },
    { "[2 'call' 9 {}]", PTOOLS_ERR_VERSION, 9, "the message's version is 2" },
    { "[2 'new-kind' 9 'no map' 8 9]", PTOOLS_ERR_VERSION, 9, "version is 2" },
    { "[2 7 9]", PTOOLS_ERR_VERSION, 9, "version is 2" },
    { "[-1 'call' 9 {}]", PTOOLS_ERR_VERSION, 9, "version is -1" },
    { "['1' 'call' 9 {}]", PTOOLS_ERR_VERSION, 9, "version is \"1\"" },
    /* fields */
    { "[1 'call' 9 {}]", PTOOLS_ERR_BAD_REQUEST, 9, "call: function is missing" },
    { "[1 'call' 9 {'function' 'ab'}]", PTOOLS_ERR_BAD_REQUEST, 9, "call: function must be a string MODULE.FUNCTION" },
    { "[1 'call' 9 {'function' 'a.b.c'}]", PTOOLS_ERR_BAD_REQUEST, 9, "it is \"a.b.c\"" },
    { "[1 'call' 9 {'function' 3}]", PTOOLS_ERR_BAD_REQUEST, 9, "it is 3" },
    { "[1 'call' 9 {'function' #c403612e62}]", PTOOLS_ERR_BAD_REQUEST, 9, "it is a value of type bytes" },
    { "[1 'call' 9 {'function' 'a.b' 'function' 'a.b'}]", PTOOLS_ERR_BAD_REQUEST, 9, "call: function is there twice" },
    { "[1 'call' 9 {'function' 'a.b' 'set' -1}]", PTOOLS_ERR_BAD_REQUEST, 9, "call: set must be a number from 0 to" },
    { "[1 'call' 9 {'function' 'a.b' 'set' 4294967296}]", PTOOLS_ERR_BAD_REQUEST, 9, "call: set must be a number" },
    { "[1 'call' 9 {'function' 'a.b' 'set' '7up'}]", PTOOLS_ERR_BAD_REQUEST, 9, "not beginning with a digit" },
    { "[1 'call' 9 {'function' 'a.b' 'set' ''}]", PTOOLS_ERR_BAD_REQUEST, 9, "it is \"\"" },
    { "[1 'call' 9 {'function' 'a.b' 'worker' 2147483648}]", PTOOLS_ERR_BAD_REQUEST, 9,
      "call: worker must be an integer from 0 to 2147483647; it is 2147483648" },
    { "[1 'call' 9 {'function' 'a.b' 'worker' '3'}]", PTOOLS_ERR_BAD_REQUEST, 9, "it is \"3\"" },
    { "[1 'call' 9 {'function' 'a.b' 'deadline_ms' -5}]", PTOOLS_ERR_BAD_REQUEST, 9,
      "call: deadline_ms must be an integer from 0 to 1000000000000; it is -5" },
    { "[1 'call' 9 {'function' 'a.b' 'deadline_ms' 1000000000001}]", PTOOLS_ERR_BAD_REQUEST, 9, "deadline_ms" },
    { "[1 'call' 9 {'function' 'a.b' 'deadline_ms' #cb3ff0000000000000}]", PTOOLS_ERR_BAD_REQUEST, 9, "type float" },
    { "[1 'call' 9 {'function' 'a.b' 'detached' 1}]", PTOOLS_ERR_BAD_REQUEST, 9,
      "call: detached must be true or false; it is 1" },
    { "[1 'call' 9 {'function' 'a.b' 'detached' nil}]", PTOOLS_ERR_BAD_REQUEST, 9, "it is a value of type nil" },
    { "[1 'hello' 9 {}]", PTOOLS_ERR_BAD_REQUEST, 9, "hello: versions is missing" },
    { "[1 'hello' 9 {'versions' [2 1]}]", PTOOLS_ERR_BAD_REQUEST, 9, "hello: versions must be a list [lowest, high" },
    { "[1 'hello' 9 {'versions' [0 1]}]", PTOOLS_ERR_BAD_REQUEST, 9, "versions" },
    { "[1 'hello' 9 {'versions' [1]}]", PTOOLS_ERR_BAD_REQUEST, 9, "versions" },
    { "[1 'hello' 9 {'versions' 1}]", PTOOLS_ERR_BAD_REQUEST, 9, "versions" },
    { "[1 'hello' 9 {'versions' [1 1] 'client' '01234567890123456789012345678901234567890123456789012345678901234'}]",
      PTOOLS_ERR_BAD_REQUEST, 9,
      "hello: client must be a string of at most 64 bytes; it is \"012345678901234567890123\"..." },
    { "[1 'call-limit' 9 {'item_ms' 5}]", PTOOLS_ERR_BAD_REQUEST, 9, "call-limit: request" },
    { "[1 'call-limit' 9 {'request' 1 'item_ms' 1000000000001}]", PTOOLS_ERR_BAD_REQUEST, 9, "item_ms must be" },
    { "[1 'cancel' 9 {}]", PTOOLS_ERR_BAD_REQUEST, 9, "exactly one of request and task" },
    { "[1 'cancel' 9 {'request' 1 'task' 1}]", PTOOLS_ERR_BAD_REQUEST, 9, "exactly one of request and task" },
    { "[1 'cancel' 9 {'request' 0}]", PTOOLS_ERR_BAD_REQUEST, 9, "cancel: request must be an integer from 1 to" },
    { "[1 'set-create' 9 {}]", PTOOLS_ERR_BAD_REQUEST, 9, "set-create: workers is missing" },
    { "[1 'set-create' 9 {'workers' []}]", PTOOLS_ERR_BAD_REQUEST, 9, "a list of 1 to 1024 worker ids" },
    { "[1 'set-create' 9 {'workers' [0]}]", PTOOLS_ERR_BAD_REQUEST, 9, "each from 1 to 2147483647" },
    { "[1 'set-create' 9 {'workers' [1 'a']}]", PTOOLS_ERR_BAD_REQUEST, 9, "workers" },
    { "[1 'set-create' 9 {'workers' [2147483648]}]", PTOOLS_ERR_BAD_REQUEST, 9, "workers" },
    { "[1 'set-create' 9 {'workers' [1] 'mode' 'lifo'}]", PTOOLS_ERR_BAD_REQUEST, 9,
      "set-create: mode must be \"rr\" or \"ff\"; it is \"lifo\"" },
    { "[1 'set-create' 9 {'workers' [1] 'mode' 1}]", PTOOLS_ERR_BAD_REQUEST, 9, "it is 1" },
    { "[1 'set-create' 9 {'workers' [1] 'name' 'a b'}]", PTOOLS_ERR_BAD_REQUEST, 9, "set-create: name must be a str" },
    { "[1 'set-open' 9 {}]", PTOOLS_ERR_BAD_REQUEST, 9, "set-open: name is missing" },
    { "[1 'set-change' 9 {'workers' [1]}]", PTOOLS_ERR_BAD_REQUEST, 9, "set-change: set is missing" },
    { "[1 'set-change' 9 {'set' 0 'workers' [1]}]", PTOOLS_ERR_BAD_REQUEST, 9, "an integer from 1 to 4294967295" },
    { "[1 'set-change' 9 {'set' 1}]", PTOOLS_ERR_BAD_REQUEST, 9, "set-change: workers is missing" },
    { "[1 'set-destroy' 9 {'set' 'night'}]", PTOOLS_ERR_BAD_REQUEST, 9, "set-destroy: set must be an integer" },
    { "[1 'workers-add' 9 {'count' 0}]", PTOOLS_ERR_BAD_REQUEST, 9, "an integer from 1 to 1024; it is 0" },
    { "[1 'workers-add' 9 {'count' 1025}]", PTOOLS_ERR_BAD_REQUEST, 9, "it is 1025" },
    { "[1 'workers-remove' 9 {'worker' 0}]", PTOOLS_ERR_BAD_REQUEST, 9, "workers-remove: worker must be" },
    { "[1 'inspect' 9 {}]", PTOOLS_ERR_BAD_REQUEST, 9, "inspect: what is missing" },
    { "[1 'inspect' 9 {'what' 4}]", PTOOLS_ERR_BAD_REQUEST, 9, "inspect: what must be a string" },
    /* bounds of the body */
    { "[1 'call' 9 {'function' 'a.b' 'x' [[[[[]]]]]}]", PTOOLS_ERR_LIMIT, 9,
      "call: the body is not accepted: nested deeper than allowed; an envelope has at most 8192 values, nested 6 " },
};

START_TEST(bad_request)
{
    struct msg_request m, untouched;
    int r;

    memset(&m, 0x5a, sizeof m);
    untouched = m;
    write_envelope(bad_requests[_i].wire);
    r = msg_request_decode(decoder, out.data, out.n, &m, &problem);
    ck_assert_msg(r == 1, "%s: %d", bad_requests[_i].wire, r);
    ck_assert_msg(strstr(problem.text, bad_requests[_i].says), "%s: %s", bad_requests[_i].wire, problem.text);
    ck_assert_msg(problem.code == bad_requests[_i].code, "%s: %s", bad_requests[_i].wire, ptools_errname(problem.code));
    ck_assert_msg(problem.id == bad_requests[_i].id, "%s: %ju", bad_requests[_i].wire, (uintmax_t)problem.id);
    ck_assert_mem_eq(&m, &untouched, sizeof m);
}
END_TEST

START_TEST(deepest_body)
{
    /* the envelope is level 1, its body 2, x 3: the innermost is ENVELOPE_DEPTH_MAX */
    struct msg_request m = request_from("[1 'call' 9 {'x' [[[{'y' 1} [] 2]]] 'function' 'a.b'}]");

    assert_text(m.call.function, "a.b");
}
END_TEST

START_TEST(too_many_items)
{
    struct msg_request m;

    write_envelope("[1 'call' 9 {'function' 'a.b' 'x' []}]");
    out.n--;
    bytes_append(&out, "\xdc\x20\x00", 3); /* 8192 items, and those that hold them */
    for (int i = 0; i < 8192; i++)
        bytes_append(&out, "\0", 1);
    ck_assert_int_eq(msg_request_decode(decoder, out.data, out.n, &m, &problem), 1);
    ck_assert_int_eq(problem.code, PTOOLS_ERR_LIMIT);
    ck_assert_uint_eq(problem.id, 9);
}
END_TEST

START_TEST(too_many_bytes)
{
    static uint8_t data[ENVELOPE_BYTES_MAX + 100];
    struct msg_request m;
    size_t n;

    write_envelope("[1 'call' 9 {'function' 'a.b' 'x' 0}]");
    n = out.n - 1;
    memcpy(data, out.data, n);
    data[n++] = 0xda; /* a string that fills it up */
    data[n] = (uint8_t)((ENVELOPE_BYTES_MAX - n - 2) >> 8);
    data[n + 1] = (uint8_t)(ENVELOPE_BYTES_MAX - n - 2);
    ck_assert_int_eq(msg_request_decode(decoder, data, ENVELOPE_BYTES_MAX, &m, &problem), 0);
    data[n + 1]++;
    ck_assert_int_eq(msg_request_decode(decoder, data, ENVELOPE_BYTES_MAX + 1, &m, &problem), 1);
    ck_assert_int_eq(problem.code, PTOOLS_ERR_LIMIT);
    ck_assert_uint_eq(problem.id, 9);
    ck_assert_str_eq(problem.text, "call: the envelope has 65537 bytes; at most 65536 are allowed");
}
END_TEST

START_TEST(not_msgpack)
{
    static const struct {
        const char *data;
        size_t n;
        uint64_t id;
    } bad[] = {
        { "", 0, 0 },
        { "\xc1", 1, 0 },
        { "GET / HTTP/1.1\r\n", 16, 0 },
        { "\xdc\x00", 2, 0 },
        { "\xdd\xff\xff\xff\xff", 5, 0 },
        { "\x94\x01\xa4"
          "call\x09\xc1",
          9, 9 },
        { "\x94\x01\xa4"
          "call\x09\x80\x80",
          10, 9 }, /* more than the envelope */
        { "\x94\x01\xa4"
          "call\x09\xdf\xff\xff\xff\xff",
          13, 9 }, /* claims four billion pairs */
        { "\x94\x01\xa4"
          "call\x09\x81\xa1x\xd4\x01\x02",
          14, 9 }, /* an extension */
        { "\xdd\xff\xff\xff\xff\x01\xa4"
          "call\x09",
          12, 9 },
        { "\x94\x01\xdb\xff\xff\xff\xff"
          "call\x09",
          12, 0 },
    };
    struct msg_request m;

    for (size_t i = 0; i < ELEMENTS(bad); i++) {
        ck_assert_int_eq(msg_request_decode(decoder, (const uint8_t *)bad[i].data, bad[i].n, &m, &problem), 1);
        ck_assert_int_eq(problem.code, PTOOLS_ERR_BAD_REQUEST);
        ck_assert_uint_eq(problem.id, bad[i].id);
        ck_assert_uint_gt(strlen(problem.text), 10);
    }
}
END_TEST

START_TEST(cut_off_anywhere)
{
    struct msg_request m;

    write_envelope("[1 'set-create' 3 {'name' 'night' 'mode' 'ff' 'workers' [2 300 70000]}]");
    for (size_t n = 0; n < out.n; n++) {
        AUTO_MEM uint8_t *exact = malloc(n ? n : 1); /* so that a read beyond the end is seen */

        ck_assert_ptr_nonnull(exact);
        memcpy(exact, out.data, n);
        ck_assert_int_eq(msg_request_decode(decoder, exact, n, &m, &problem), 1);
        ck_assert_int_eq(problem.code, PTOOLS_ERR_BAD_REQUEST);
    }
}
END_TEST

START_TEST(any_byte_changed)
{
    struct msg_request m;
    unsigned refused = 0;

    write_envelope("[1 'call' 3 {'function' 'a.b' 'set' 'night' 'worker' 300 'detached' true}]");
    for (size_t i = 0; i < out.n; i++) {
        uint8_t was = out.data[i];

        for (unsigned byte = 0; byte < 256; byte++) {
            int r;

            out.data[i] = (uint8_t)byte;
            r = msg_request_decode(decoder, out.data, out.n, &m, &problem);
            ck_assert(r == 0 || r == 1);
            refused += r == 1;
            ck_assert(r == 0 || text_is_clean(problem.text, strlen(problem.text), false));
        }
        out.data[i] = was;
    }
    ck_assert_uint_gt(refused, out.n * 100);
}
END_TEST

START_TEST(hostile_text_is_quoted)
{
    struct msg_request m;

    write_envelope("[1 'call' 3 {'function' 0}]");
    out.n--;
    bytes_append(&out, "\xd9\xff", 2);
    for (int i = 1; i <= 255; i++)
        bytes_append(&out, &(uint8_t){ (uint8_t)i }, 1);
    ck_assert_int_eq(msg_request_decode(decoder, out.data, out.n, &m, &problem), 1);
    ck_assert(text_is_clean(problem.text, strlen(problem.text), false));
    ck_assert_ptr_nonnull(strstr(problem.text, "it is \"\\x01\\x02"));
    ck_assert_str_eq(problem.text + strlen(problem.text) - 4, "\"...");
}
END_TEST

/* -- answers ------------------------------------------------------------------------------------------- */

START_TEST(batch)
{
    static const char wire[] =
        "[1 'call' 3 {'function' 'text.count' 'priority' #cb4004000000000000 'items' 65536 'item_ms' 50 "
        "'hand_back_ms' 40 'map' 4294967295 'init' 'text.load' 'captured' [7 100] 'isolated' true 'reduce' 'math.add' "
        "'values' 3}]";
    static const char reply[] =
        "[1 'reply' 3 {'task' 5 'worker' 1 'attempt' 1 'run_us' 9 'items' 65536 'items_failed' 2}]";
    static const char error[] = "[1 'error' 3 {'code' 62 'name' 'WORKER_DIED' 'message' 'it died' 'maybe_executed' "
                                "true 'items' 7}]";
    struct msg_request m = request_from(wire);
    struct msg_answer a;

    ck_assert_uint_eq(m.call.items, 65536);
    ck_assert(m.call.has_priority && m.call.priority == 2.5);
    ck_assert_uint_eq(m.call.item_ms, 50);
    ck_assert_uint_eq(m.call.hand_back_ms, 40);
    ck_assert_uint_eq(m.call.map, UINT32_MAX);
    assert_text(m.call.init, "text.load");
    ck_assert(m.call.captured == 7 && m.call.captured_bytes == 100 && m.call.isolated);
    ck_assert(m.call.reduce.n == 8 && memcmp(m.call.reduce.data, "math.add", 8) == 0 && m.call.values == 3);
    assert_request(&m, wire);
    a = answer_from(reply);
    ck_assert(!a.failed && a.reply.items == 65536 && a.reply.items_failed == 2);
    assert_answer(&a, reply);
    a = answer_from(error);
    ck_assert(a.failed && a.failure.items == 7 && a.failure.maybe_executed);
    assert_answer(&a, error);
}
END_TEST

START_TEST(reply_to_hello)
{
    static const char wire[] = "[1 'reply' 1 {'version' 1 'daemon' 'ptoolsd 0.1.0' "
                               "'epoch' #c410000102030405060708090a0b0c0d0e0f "
                               "'message_max' 134217728 'workers' 4}]";
    struct msg_answer m = answer_from(wire);

    ck_assert(!m.failed);
    ck_assert_uint_eq(m.id, 1);
    ck_assert_uint_eq(m.reply.version, 1);
    assert_text(m.reply.daemon, "ptoolsd 0.1.0");
    ck_assert_uint_eq(m.reply.epoch.n, 16);
    ck_assert_uint_eq(m.reply.epoch.data[15], 15);
    ck_assert_uint_eq(m.reply.message_max, 134217728);
    ck_assert_uint_eq(m.reply.workers, 4);
    assert_answer(&m, wire);
}
END_TEST

START_TEST(replies)
{
    static const char *const wires[] = {
        "[1 'reply' 9 {}]",
        "[1 'reply' 9 {'task' 18446744073709551615 'worker' 3 'attempt' 1 'run_us' 1234 'cpu_us' 5 'peak_bytes' 6}]",
        "[1 'reply' 9 {'set' 12 'mode' 'ff'}]",
        "[1 'reply' 9 {'set' 12 'mode' 'rr'}]",
        "[1 'reply' 9 {'worker' 5}]",
        "[1 'reply' 18446744073709551615 {'done' true}]",
    };
    struct msg_answer m;

    for (size_t i = 0; i < ELEMENTS(wires); i++) {
        m = answer_from(wires[i]);
        assert_answer(&m, wires[i]);
    }
    m = answer_from(wires[1]);
    ck_assert_uint_eq(m.reply.task, UINT64_MAX);
    ck_assert_uint_eq(m.reply.worker, 3);
    ck_assert_uint_eq(m.reply.attempt, 1);
    ck_assert_uint_eq(m.reply.run_us, 1234);
    ck_assert(m.reply.cpu_us == 5 && m.reply.peak_bytes == 6);
    m = answer_from(wires[2]);
    ck_assert_uint_eq(m.reply.set_id, 12);
    ck_assert_uint_eq(m.reply.mode, 2);
    ck_assert(answer_from(wires[5]).reply.done);
}
END_TEST

START_TEST(failure)
{
    static const char wire[] =
        "[1 'error' 9 {'code' 62 'name' 'WORKER_DIED' 'message' 'killed' 'task' 7 'worker' 3 'attempt' 2 'pid' 4711 "
        "'exit_status' 0 'signal' 11 'maybe_executed' true 'run_us' 5 'cpu_us' 4 'peak_bytes' 1048576 'phase' 'sorting' "
        "'progress' [3 9] 'log' 'a' 'backtrace' 'b'}]";
    struct msg_answer m = answer_from(wire);

    ck_assert(m.failed);
    ck_assert_int_eq(m.failure.code, PTOOLS_ERR_WORKER_DIED);
    assert_text(m.failure.message, "killed");
    ck_assert_uint_eq(m.failure.task, 7);
    ck_assert_uint_eq(m.failure.worker, 3);
    ck_assert_uint_eq(m.failure.attempt, 2);
    ck_assert_int_eq(m.failure.pid, 4711);
    ck_assert(m.failure.exited);
    ck_assert_int_eq(m.failure.exit_status, 0);
    ck_assert_int_eq(m.failure.signal, 11);
    ck_assert(m.failure.maybe_executed);
    ck_assert_uint_eq(m.failure.run_us, 5);
    ck_assert_uint_eq(m.failure.cpu_us, 4);
    ck_assert_uint_eq(m.failure.peak_bytes, 1048576);
    assert_text(m.failure.phase, "sorting");
    ck_assert_uint_eq(m.failure.progress, 3);
    ck_assert_uint_eq(m.failure.progress_of, 9);
    assert_text(m.failure.log, "a");
    assert_text(m.failure.backtrace, "b");
    assert_answer(&m, wire);
}
END_TEST

START_TEST(failure_least)
{
    struct msg_answer m = { .failed = true };

    m.failure.code = PTOOLS_ERR_LIMIT;
    assert_answer(&m, "[1 'error' 0 {'code' 41 'name' 'LIMIT'}]"); /* id 0: about the connection */
    m = answer_from("[1 'error' 0 {'code' 41}]");
    ck_assert(!m.failure.exited);
    assert_text(m.failure.message, NULL);
    m = answer_from("[1 'error' 3 {'code' 4242 'name' 'OF_TOMORROW'}]"); /* codes may be added */
    ck_assert_int_eq(m.failure.code, 4242);
}
END_TEST

START_TEST(stories_are_cut_and_cleaned)
{
    static char story[100000];
    struct msg_answer back, m = { .failed = true, .id = UINT64_MAX };
    struct msg_failure *f = &m.failure;

    memset(story, 's', sizeof story);
    memcpy(story, "a\nb\tc\x1b[2J\xff\xc3\xa4", 12);
    *f = (struct msg_failure){ .code = PTOOLS_ERR_FAILED,
                               .task = UINT64_MAX,
                               .worker = INT32_MAX,
                               .attempt = UINT32_MAX,
                               .pid = INT32_MAX,
                               .exited = true,
                               .exit_status = 255,
                               .signal = 64,
                               .maybe_executed = true,
                               .run_us = UINT64_MAX,
                               .cpu_us = UINT64_MAX,
                               .peak_bytes = UINT64_MAX,
                               .progress = UINT64_MAX,
                               .progress_of = UINT64_MAX };
    f->message = f->phase = f->log = f->backtrace = (struct text){ story, sizeof story };
    msg_answer_encode(&m, &out); /* everything at its largest fits */
    ck_assert_int_eq(out.err, 0);
    ck_assert_int_eq(msg_answer_decode(decoder, out.data, out.n, &back, &problem), 0);
    ck_assert_uint_eq(back.failure.message.n, 4096);
    ck_assert_mem_eq(back.failure.message.data, "a\nb?c?[2J?\xc3\xa4", 12);
    ck_assert_uint_eq(back.failure.phase.n, 64);
    ck_assert_uint_eq(back.failure.log.n, 4096);
    ck_assert_uint_eq(back.failure.backtrace.n, 8192);
    ck_assert_int_eq(story[5], '\x1b'); /* the giver's text is left alone */
}
END_TEST

static const struct {
    const char *wire;
    uint64_t id;
    const char *says;
} bad_answers[] = {
    { "[1 'call' 9 {}]", 9, "kind must be one of reply, error, event; it is \"call\"" },
    { "[1 'reply' 0 {}]", 0, "reply: id must be" },
    { "[1 'error' 9 {}]", 9, "error: code is missing" },
    { "[1 'error' 9 {'code' 0}]", 9, "error: code must be an integer from 1 to 2147483647; it is 0" },
    { "[1 'error' 9 {'code' 2147483648}]", 9, "error: code" },
    { "[1 'error' 9 {'code' 60 'exit_status' 256}]", 9, "error: exit_status must be an integer from 0 to 255" },
    { "[1 'error' 9 {'code' 60 'name' 60}]", 9, "error: name must be a string" },
    { "[1 'error' 9 {'code' 60 'message' 60}]", 9, "error: message must be a string of at most 4096 bytes" },
    { "[1 'error' 9 {'code' 60 'progress' [1]}]", 9, "error: progress must be a list of two integers" },
    { "[1 'error' 9 {'code' 60 'pid' -1}]", 9, "error: pid" },
    { "[1 'reply' 9 {'epoch' #c40100}]", 9, "reply: epoch must be binary, 16 to 16 bytes" },
    { "[1 'reply' 9 {'epoch' 'not binary and 16'}]", 9, "reply: epoch" },
    { "[1 'reply' 9 {'mode' 2}]", 9, "reply: mode" },
    { "[1 'reply' 9 {'task' 1 'task' 1}]", 9, "reply: task is there twice" },
    { "[1 'reply' 9 {'set' 4294967296}]", 9, "reply: set" },
};

START_TEST(bad_answer)
{
    struct msg_answer m, untouched;

    memset(&m, 0x5a, sizeof m);
    untouched = m;
    write_envelope(bad_answers[_i].wire);
    ck_assert_int_eq(msg_answer_decode(decoder, out.data, out.n, &m, &problem), 1);
    ck_assert_msg(strstr(problem.text, bad_answers[_i].says), "%s: %s", bad_answers[_i].wire, problem.text);
    ck_assert_int_eq(problem.code, PTOOLS_ERR_BAD_REQUEST);
    ck_assert_uint_eq(problem.id, bad_answers[_i].id);
    ck_assert_mem_eq(&m, &untouched, sizeof m);
}
END_TEST

/* -- encoding ------------------------------------------------------------------------------------------ */

START_TEST(no_room)
{
    struct msg_request m = { .kind = MSG_CALL, .id = 1, .call = { .function = text("text.count") } };
    struct msg_answer a = { .failed = true, .id = 1, .failure = { .code = 60, .message = text("no") } };

    for (size_t room = 0; room < 30; room++) {
        struct bytes small;

        bytes_init(&small, room);
        msg_request_encode(&m, &small);
        ck_assert_int_eq(small.err, room < 29 ? -EMSGSIZE : 0);
        bytes_reset(&small);
        msg_answer_encode(&a, &small);
        ck_assert_int_eq(small.err, -EMSGSIZE);
        bytes_deinit(&small);
    }
}
END_TEST

START_TEST(encoding_appends)
{
    struct msg_request m = { .kind = MSG_INSPECT, .id = 1, .inspect = { .what = text("status") } };

    bytes_append(&out, "before", 6);
    msg_request_encode(&m, &out);
    ck_assert_mem_eq(out.data, "before\x94\x01\xa7inspect\x01\x81\xa4what\xa6status", out.n);
}
END_TEST

/* -- PROTOCOL.md --------------------------------------------------------------------------------------- */

/* The bytes of the indented hex block after the line that begins with `title`. */
static size_t example(const char *title, uint8_t *ret, size_t max)
{
    FILE *f = fopen(SOURCE_ROOT "/proto/PROTOCOL.md", "re");
    bool found = false;
    char line[512];
    size_t n = 0;

    ck_assert_ptr_nonnull(f);
    while (fgets(line, sizeof line, f)) {
        const char *s = line + 4;
        int step;

        if (!found || strncmp(line, "    ", 4) != 0) {
            if (n > 0)
                break;
            found = found || strncmp(line, title, strlen(title)) == 0;
            continue;
        }
        while (n < max && sscanf(s, "%2hhx%n", &ret[n], &step) == 1 && step == 2 && (s[2] == ' ' || s[2] == '\n')) {
            s += 3;
            n++;
            if (s[0] == ' ') /* the explanation begins */
                break;
        }
    }
    fclose(f);
    ck_assert_msg(n > 0, "PROTOCOL.md has no example '%s'", title);
    return n;
}

static void assert_example(const char *title, const uint8_t *expected, size_t n_expected)
{
    uint8_t data[512];
    size_t n = example(title, data, sizeof data);

    ck_assert_uint_eq(n, n_expected);
    ck_assert_mem_eq(data, expected, n);
}

START_TEST(examples_of_the_document)
{
    struct msg_request m = { .kind = MSG_CALL, .id = 7 };
    struct msg_answer reply = { .id = 7 }, error = { .failed = true, .id = 7 };
    ptools_pack *pack = ptools_pack_new();
    const uint8_t *data;
    size_t n;

    m.call.function = text("math.square");
    m.call.deadline_ms = 500;
    msg_request_encode(&m, &out);
    assert_example("Envelope frame of the call", out.data, out.n);
    ptools_pack_i64(pack, 12);
    ck_assert_int_eq(pack_finish_arguments(pack, &data, &n), PTOOLS_OK);
    assert_example("Payload frame of the call", data, n);

    reply.reply.task = 42;
    reply.reply.worker = 3;
    reply.reply.attempt = 1;
    reply.reply.run_us = 5;
    bytes_reset(&out);
    msg_answer_encode(&reply, &out);
    assert_example("Envelope frame of the reply", out.data, out.n);
    ptools_pack_reset(pack);
    ptools_pack_i64(pack, 144);
    ck_assert_int_eq(pack_finish_value(pack, &data, &n), PTOOLS_OK);
    assert_example("Payload frame of the reply", data, n);
    ptools_pack_free(pack);

    error.failure.code = PTOOLS_ERR_NO_FUNCTION;
    error.failure.message = text("no such function");
    bytes_reset(&out);
    msg_answer_encode(&error, &out);
    assert_example("Envelope frame of an error", out.data, out.n);
}
END_TEST

START_TEST(free_null)
{
    ck_assert_ptr_null(msg_decoder_free(NULL));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("message");
    TCase *tc = suite_case(suite, "requests");

    tcase_add_checked_fixture(tc, message_setup, message_teardown);
    tcase_add_test(tc, hello);
    tcase_add_test(tc, call);
    tcase_add_test(tc, call_least);
    tcase_add_test(tc, batch);
    tcase_add_test(tc, call_bounds);
    tcase_add_test(tc, cancel);
    tcase_add_test(tc, call_limit);
    tcase_add_test(tc, sets);
    tcase_add_test(tc, largest_set);
    tcase_add_test(tc, workers_and_inspect);
    tcase_add_test(tc, unknown_keys_are_skipped);
    tcase_add_test(tc, any_width_of_integers);
    tc = suite_case(suite, "bad requests");
    tcase_add_checked_fixture(tc, message_setup, message_teardown);
    tcase_add_loop_test(tc, bad_request, 0, (int)ELEMENTS(bad_requests));
    tcase_add_test(tc, deepest_body);
    tcase_add_test(tc, too_many_items);
    tcase_add_test(tc, too_many_bytes);
    tcase_add_test(tc, not_msgpack);
    tcase_add_test(tc, cut_off_anywhere);
    tcase_add_test(tc, any_byte_changed);
    tcase_add_test(tc, hostile_text_is_quoted);
    tc = suite_case(suite, "answers");
    tcase_add_checked_fixture(tc, message_setup, message_teardown);
    tcase_add_test(tc, reply_to_hello);
    tcase_add_test(tc, replies);
    tcase_add_test(tc, failure);
    tcase_add_test(tc, failure_least);
    tcase_add_test(tc, stories_are_cut_and_cleaned);
    tcase_add_loop_test(tc, bad_answer, 0, (int)ELEMENTS(bad_answers));
    tc = suite_case(suite, "encoding");
    tcase_add_checked_fixture(tc, message_setup, message_teardown);
    tcase_add_test(tc, no_room);
    tcase_add_test(tc, encoding_appends);
    tcase_add_test(tc, examples_of_the_document);
    tcase_add_test(tc, free_null);
    return suite_run(suite);
}
