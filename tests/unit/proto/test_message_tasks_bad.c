/* SPDX-License-Identifier: MIT */
/* message -- queued tasks and events: what is refused, and in which words. What is accepted: test_message_tasks.c. */
#include <string.h>

#include "proto/text.h"
#include "proto/util.h"
#include "tests/support/suite.h"
#include "tests/unit/proto/message_notation.h"

#define A16      "aaaaaaaaaaaaaaaa"
#define A64      A16 A16 A16 A16
#define HEX16    "61616161616161616161616161616161"
#define HEX64    HEX16 HEX16 HEX16 HEX16
#define F64_HALF "#cb3fe0000000000000" /* raw bytes of the notation */
#define F64_NAN  "#cb7ff8000000000000"

#define SUBMIT(fields) "[1 'task-submit' 9 {'function' 'a.b' " fields "}]"
#define LIST(fields)   "[1 'task-list' 9 {" fields "}]"
#define A_TAG          "1 to 64 of A-Z a-z 0-9 _ - . : / = @ +"

static const struct {
    const char *wire, *says;
} bad_requests[] = {
    { "[1 'task-submit' 9 {}]", "task-submit: function is missing" },
    { "[1 'task-submit' 9 {'function' 'ab'}]", "task-submit: function must be a string MODULE.FUNCTION" },
    { SUBMIT("'function' 'a.b'"), "task-submit: function is there twice" },
    { SUBMIT("'target' 'some'"), "task-submit: target must be one of any, all; it is \"some\"" },
    { SUBMIT("'target' 1"), "target must be one of any, all; it is 1" },
    { SUBMIT("'workers' []"), "task-submit: workers must be a list of 1 to 1024 worker ids" },
    { SUBMIT("'workers' [0]"), "workers must be" },
    { SUBMIT("'workers' 3"), "workers must be" },
    { SUBMIT("'hosts' []"), "task-submit: hosts must be a list of 1 to 64 names or addresses of hosts" },
    { SUBMIT("'hosts' ['']"), "hosts must be" },
    { SUBMIT("'hosts' ['a' 'b c']"), "hosts must be" },
    { SUBMIT("'hosts' ['a' 7]"), "hosts must be" },
    { SUBMIT("'hosts' 'a'"), "hosts must be a list of 1 to 64 names or addresses of hosts; it is \"a\"" },
    { SUBMIT("'set' 0"), "task-submit: set must be a number from 1 to 4294967295 or a name, 1 to 64 of" },
    { SUBMIT("'set' '0'"), "set must be" },
    { SUBMIT("'wait_target' 1"), "task-submit: wait_target must be true or false; it is 1" },
    { SUBMIT("'any_target' nil"), "any_target must be true or false" },
    { SUBMIT("'priority' " F64_NAN),
      "task-submit: priority must be a number, and not NaN; it is a value of type float" },
    { SUBMIT("'priority' #ca7fc00000"), "priority must be a number, and not NaN" },
    { SUBMIT("'priority' '1'"), "priority must be a number, and not NaN; it is \"1\"" },
    { SUBMIT("'priority' true"), "priority must be" },
    { SUBMIT("'priority' nil"), "priority must be" },
    { SUBMIT("'delay_ms' 1000000000001"), "task-submit: delay_ms must be an integer from 0 to 1000000000000" },
    { SUBMIT("'delay_ms' -1"), "delay_ms must be" },
    { SUBMIT("'delay_ms' " F64_HALF), "delay_ms must be an integer" },
    { SUBMIT("'start_ms' 253402300800000"), "task-submit: start_ms must be an integer from 0 to 253402300799999" },
    { SUBMIT("'expire_ms' 1000000000001"), "expire_ms must be an integer from 0 to 1000000000000" },
    { SUBMIT("'deadline_ms' 1000000000001"), "deadline_ms must be an integer from 0 to 1000000000000" },
    { SUBMIT("'attempts' 0"), "task-submit: attempts must be an integer from 1 to 255; it is 0" },
    { SUBMIT("'attempts' 256"), "attempts must be an integer from 1 to 255; it is 256" },
    { SUBMIT("'backoff_ms' 1000000000001"), "backoff_ms must be an integer from 0 to 1000000000000" },
    { SUBMIT("'backoff_max_ms' 1000000000001"), "backoff_max_ms must be an integer from 0 to 1000000000000" },
    { SUBMIT("'retry_on' []"), "task-submit: retry_on must be a list of some of died, failed, timeout" },
    { SUBMIT("'retry_on' 'died'"), "retry_on must be a list of some of died, failed, timeout; it is \"died\"" },
    { SUBMIT("'retry_on' ['died' 'cancelled']"), "retry_on must be a list of some of died, failed, timeout" },
    { SUBMIT("'retry_on' [1]"), "retry_on must be" },
    { SUBMIT("'idempotent' 'yes'"), "idempotent must be true or false" },
    { SUBMIT("'key' #c400"), "task-submit: key must be binary, 1 to 64 bytes" },
    { SUBMIT("'key' #c441" HEX64 "61"), "key must be binary, 1 to 64 bytes" },
    { SUBMIT("'key' 'text'"), "key must be binary, 1 to 64 bytes; it is \"text\"" },
    { SUBMIT("'key_passing' 1"), "key_passing must be" },
    { SUBMIT("'tags' []"), "task-submit: tags must be a list of 1 to 16 strings, each " A_TAG },
    { SUBMIT("'tags' ['']"), "tags must be" },
    { SUBMIT("'tags' ['a' 'b c']"), "tags must be" },
    { SUBMIT("'tags' ['" A64 "a']"), "tags must be" },
    { SUBMIT("'tags' [1]"), "tags must be" },
    { SUBMIT("'tags' 'a'"), "tags must be" },
    { SUBMIT("'after' []"), "task-submit: after must be a list of 1 to 64 numbers, each from 1" },
    { SUBMIT("'after' [1 0]"), "after must be" },
    { SUBMIT("'after' 1"), "after must be" },
    { SUBMIT("'after_any' 0"), "after_any must be" },
    { SUBMIT("'after_keep' 0"), "after_keep must be" },
    { SUBMIT("'keep_ms' 1000000000001"), "keep_ms must be an integer from 0 to 1000000000000" },
    { SUBMIT("'result_max' -1"), "result_max must be an integer from 0 to 18446744073709551615; it is -1" },
    { SUBMIT("'durability' 'eternal'"),
      "task-submit: durability must be one of volatile, crashsafe, durable; it is \"eternal\"" },
    { SUBMIT("'durability' ''"), "durability must be" },
    { SUBMIT("'durability' 3"), "durability must be" },
    { SUBMIT("'hold' 1"), "hold must be" },
    { SUBMIT("'wait' 1"), "wait must be" },
    { SUBMIT("'block' 1"), "block must be" },
    /* what excludes each other */
    { SUBMIT("'target' 'any' 'workers' [1]"), "task-submit: only one of target, workers, hosts and set may be there" },
    { SUBMIT("'target' 'all' 'set' 'night'"), "only one of target, workers, hosts and set" },
    { SUBMIT("'workers' [1] 'hosts' ['a']"), "only one of target, workers, hosts and set" },
    { SUBMIT("'hosts' ['a'] 'set' 1"), "only one of target, workers, hosts and set" },
    { SUBMIT("'workers' [1] 'set' 1"), "only one of target, workers, hosts and set" },
    { SUBMIT("'delay_ms' 1 'start_ms' 1"), "task-submit: only one of delay_ms and start_ms may be there" },
    { SUBMIT("'wait_target' true 'any_target' true"),
      "task-submit: only one of wait_target and any_target may be there" },
    { "[1 'task-get' 9 {'task' 0}]", "task-get: task must be an integer from 1 to 18446744073709551615; it is 0" },
    { "[1 'task-get' 9 {'task' 1 'args' 1}]", "task-get: args must be true or false" },
    { "[1 'task-result' 9 {'key' 'a'}]", "task-result: key must be binary, 1 to 64 bytes" },
    { "[1 'task-why' 9 {'key' #c400}]", "task-why: key must be binary, 1 to 64 bytes" },
    { "[1 'task-wait' 9 {}]", "task-wait: tasks is missing" },
    { "[1 'task-wait' 9 {'tasks' []}]", "task-wait: tasks must be a list of 1 to 1024 numbers, each from 1" },
    { "[1 'task-wait' 9 {'tasks' [0]}]", "task-wait: tasks must be" },
    { "[1 'task-wait' 9 {'tasks' [1] 'any' 1}]", "task-wait: any must be true or false" },
    { "[1 'task-change' 9 {'tasks' [1]}]", "task-change: change is missing" },
    { "[1 'task-change' 9 {'change' 'kick'}]", "task-change: tasks is missing" },
    { "[1 'task-change' 9 {'tasks' [1] 'change' 'undo'}]",
      "task-change: change must be one of dequeue, cancel, hold, release, kick, rerun, forget; it is \"undo\"" },
    { LIST("'states' []"),
      "task-list: states must be a list of some of waiting, queued, running, done, failed, timeout, "
      "cancelled, expired, dead, lost; it is a value of type list" },
    { LIST("'states' ['asleep']"), "task-list: states must be" },
    { LIST("'states' 'done'"), "states must be" },
    { LIST("'states' 7"), "states must be" },
    { LIST("'tag' ''"), "task-list: tag must be a string, " A_TAG "; it is \"\"" },
    { LIST("'tag' 'a b'"), "tag must be" },
    { LIST("'tag' '" A64 "a'"), "tag must be" },
    { LIST("'tag' ['a']"), "tag must be" },
    { LIST("'after' -1"), "after must be an integer" },
    { LIST("'limit' 0"), "task-list: limit must be an integer from 1 to 4096; it is 0" },
    { LIST("'limit' 4097"), "limit must be an integer from 1 to 4096; it is 4097" },
    { "[1 'events' 9 {'tag' '#'}]", "events: tag must be" },
    { "[1 'events' 9 {'tag' 'a' 'task' 1}]", "events: only one of tag and task may be there" },
    { "[1 'events' 9 {'task' 0}]", "events: task must be an integer from 1" },
    { "[1 'events-end' 9 {}]", "events-end: request is missing" },
    { "[1 'queue-pause' 9 {'tag' '#'}]", "queue-pause: tag must be" },
    { "[1 'queue-resume' 9 {'tag' ''}]", "queue-resume: tag must be" },
    { "[1 'events-end' 9 {'request' 0}]", "events-end: request must be an integer from 1" },
};

START_TEST(bad_request)
{
    const char *wire = bad_requests[_i].wire;
    struct msg_request m, untouched;
    int r;

    memset(&m, 0x5a, sizeof m);
    untouched = m;
    write_envelope(wire);
    r = msg_request_decode(decoder, out.data, out.n, &m, &problem);
    ck_assert_msg(r == 1, "%s: %d", wire, r);
    ck_assert_msg(strstr(problem.text, bad_requests[_i].says), "%s: %s", wire, problem.text);
    ck_assert_int_eq(problem.code, PTOOLS_ERR_BAD_REQUEST);
    ck_assert_uint_eq(problem.id, 9);
    ck_assert(text_is_clean(problem.text, strlen(problem.text), false));
    ck_assert_mem_eq(&m, &untouched, sizeof m);
}
END_TEST

static const struct {
    const char *wire, *says;
} bad_answers[] = {
    { "[1 'reply' 9 {'state' 'asleep'}]",
      "reply: state must be one of waiting, queued, running, done, failed, timeout, "
      "cancelled, expired, dead, lost; it is \"asleep\"" },
    { "[1 'reply' 9 {'state' 3}]", "reply: state must be" },
    { "[1 'reply' 9 {'skipped' 4294967296}]", "reply: skipped must be" },
    { "[1 'reply' 9 {'duplicate' 1}]", "reply: duplicate must be" },
    { "[1 'reply' 9 {'reason' 1}]", "reply: reason must be a string" },
    { "[1 'error' 9 {'code' 41 'retry_ms' -1}]", "error: retry_ms must be" },
    { "[1 'error' 9 {'code' 58 'state' 'asleep'}]", "error: state must be one of waiting" },
    { "[1 'event' 0 {'seq' 1 'event' 'ended'}]", "event: id must be an integer from 1 to" },
    { "[1 'event' 9 {'event' 'ended'}]", "event: seq is missing" },
    { "[1 'event' 9 {'seq' 0 'event' 'ended'}]", "event: seq must be an integer from 1" },
    { "[1 'event' 9 {'seq' 1}]", "event: event is missing" },
    { "[1 'event' 9 {'seq' 1 'event' 'begun'}]",
      "event: event must be one of queued, started, progress, ended, retry, missed; it is \"begun\"" },
    { "[1 'event' 9 {'seq' 1 'event' 'ended' 'progress' [1]}]", "event: progress must be a list of two integers" },
    { "[1 'event' 9 {'seq' 1 'event' 'ended' 'worker' 2147483648}]", "event: worker must be" },
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
    ck_assert_mem_eq(&m, &untouched, sizeof m);
}
END_TEST

/* The sentence about a kind that is not known names all that are, and has room for the longest quotation. */
START_TEST(every_kind_is_named)
{
    struct msg_request m;

    write_envelope("[1 #d940" HEX64 " 9 {}]");
    for (size_t i = 0; i < 64; i++)
        out.data[4 + i] = '\x01'; /* each is quoted in four bytes */
    ck_assert_int_eq(msg_request_decode(decoder, out.data, out.n, &m, &problem), 1);
    for (enum msg_kind kind = MSG_HELLO; kind < MSG_REQUESTS; kind++)
        ck_assert_msg(strstr(problem.text, msg_kind_name(kind)), "%s", msg_kind_name(kind));
    ck_assert_str_eq(problem.text + strlen(problem.text) - 8, "\\x01\"...");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("message-tasks-bad");
    TCase *tc = suite_case(suite, "refused");

    tcase_add_checked_fixture(tc, message_setup, message_teardown);
    tcase_add_loop_test(tc, bad_request, 0, (int)ELEMENTS(bad_requests));
    tcase_add_loop_test(tc, bad_answer, 0, (int)ELEMENTS(bad_answers));
    tcase_add_test(tc, every_kind_is_named);
    return suite_run(suite);
}
