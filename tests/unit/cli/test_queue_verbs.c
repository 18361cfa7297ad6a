/* SPDX-License-Identifier: MIT */
/*
 * test_queue_verbs -- the verbs of the queue, from the command line to what is asked of libptools, and from its answers
 * to what is printed. The queue is that of fake_queue.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/suite.h"
#include "tests/unit/cli/fake_queue.h"
#include "tests/unit/cli/run_verb.h"

struct row {
    const char *line;
    int status;
    const char *out;   /* all of it; NULL: it does not matter */
    const char *err;   /* this is in it; NULL: it is empty */
    const char *asked; /* all of it; NULL: it does not matter */
    const char *input;
};

static void check(const struct row *row)
{
    struct outcome o = run_verb(row->line, row->input);
    const char *asked = fake_asked();

    ck_assert_msg(o.status == row->status, "%s: status %d\n%s%s", row->line, o.status, o.out, o.err);
    ck_assert_msg(!row->out || strcmp(o.out, row->out) == 0, "%s prints\n%s", row->line, o.out);
    ck_assert_msg(row->err ? strstr(o.err, row->err) != NULL : *o.err == '\0', "%s complains\n%s", row->line, o.err);
    ck_assert_msg(!row->asked || strcmp(asked, row->asked) == 0, "%s asks\n%s", row->line, asked);
    outcome_free(&o);
}

static void check_all(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        check(&rows[i]);
}
#define CHECK_ALL(rows) check_all(rows, sizeof(rows) / sizeof(rows)[0])

/* -- submit ------------------------------------------------------------------------------------------------ */

START_TEST(submit)
{
    static const struct row rows[] = {
        { "submit math.square 12", 0, "101\n", NULL, "submit math.square [12] durability=2\n" },
        { "submit a.b 1.5 x [{\"k\":1}] --string 7", 0, "101\n", NULL,
          "submit a.b [1.5,\"x\",[{\"k\":1}],\"7\"] durability=2\n" },
        { "submit a.b --stdin 2", 0, "101\n", NULL, "submit a.b [\"text\",2] durability=2\n", "text" },
        { "submit --json a.b", 0, "{\"schema\":1,\"task\":101}\n", NULL, NULL },
        { "submit a.b --priority -0.5 --target all --volatile", 0, "101\n", NULL,
          "submit a.b [] durability=1 priority=-0.5 target=all\n" },
        { "submit a.b --priority inf --target any --durable", 0, "101\n", NULL, "submit a.b [] durability=3\n" },
        { "submit a.b --worker 2,3 --worker 5 --wait-target", 0, "101\n", NULL,
          "submit a.b [] durability=2 target=workers:2:3:5 wait-target\n" },
        { "submit a.b --host node1,10.0.0.7 --any-target", 0, "101\n", NULL,
          "submit a.b [] durability=2 target=hosts:node1:10.0.0.7 any-target\n" },
        { "submit a.b --set mine", 0, "101\n", NULL, "set mine\nsubmit a.b [] durability=2 target=set\n" },
        { "submit a.b --delay 2m --expire 1h --deadline 0.5 --keep 24h", 0, "101\n", NULL,
          "submit a.b [] durability=2 delay=120000 expire=3600000 deadline=500 keep=86400000\n" },
        { "submit a.b --at @2000000000", 0, "101\n", NULL, "submit a.b [] durability=2 start=2000000000000\n" },
        { "submit a.b --attempts 5 --retry-on died,failed --retry-on timeout --backoff 1s,5m", 0, "101\n", NULL,
          "submit a.b [] durability=2 attempts=5 retry_on=7 backoff=1000 backoff_max=300000\n" },
        { "submit a.b --backoff 250ms --result-max 64K", 0, "101\n", NULL,
          "submit a.b [] durability=2 backoff=250 result_max=65536\n" },
        { "submit a.b --key {a,b c} --tag x --tag y:1 --idempotent --hold --block --crashsafe", 0, "101\n", NULL,
          "submit a.b [] durability=2 key=a,b c tag=x tag=y:1 idempotent hold block\n" },
        { "submit a.b --after 11,12 --after 13 --after-any", 0, "101\n", NULL,
          "submit a.b [] durability=2 after=11 after=12 after=13 after-any\n" },
        { "submit a.b --after key:k1 --after-keep", 0, "101\n", NULL,
          "submit a.b [] durability=2 after=15 after-keep\n" },
        { "submit a.b --after last", 0, "101\n", NULL, "list 0 - newest\nsubmit a.b [] durability=2 after=16\n" },
        { "submit a.b --after 12-14", 0, "101\n", NULL,
          "list 0 -\nsubmit a.b [] durability=2 after=12 after=13 after=14\n" },
        { "submit --wait math.square 12", 0, "144\n", NULL, "submit math.square [12] durability=2\n" },
        { "submit --wait --raw --timeout 2 math.square 12", 0, "144\n", NULL, NULL },
        { "submit no.such", 125, "", "ptools submit: the module \"no\" has no function \"such\"\n", NULL },
        { "submit --json no.such", 125, "", "\"code\":\"NO_FUNCTION\"", NULL },
        { "submit a.b --set nosuch", 125, "", "there is no set \"nosuch\"", "set nosuch\n" },
        { "submit a.b --after key:other", 125, "", "there is no task", "" },
    };

    CHECK_ALL(rows);
}
END_TEST

START_TEST(submit_mistakes)
{
    static const struct row rows[] = {
        { "submit", 2, "", "no function is named", "" },
        { "submit square 12", 2, "", "\"square\" names no function", "" },
        { "submit a.b --priority high", 2, "", "--priority: high: a priority is a number or inf", "" },
        { "submit a.b --target some", 2, "", "--target: some: allowed are any and all", "" },
        { "submit a.b --worker 0", 2, "", "--worker: 0: the id of a worker is a number", "" },
        { "submit a.b --worker 1,", 2, "", "the id of a worker is a number", "" },
        { "submit a.b --host a,,b", 2, "", "--host: \"\" is no name or address of a host", "" },
        { "submit a.b --set 1x", 2, "", "--set: \"1x\" is no name of a worker set", "" },
        { "submit a.b --target all --worker 1", 2, "", "target, worker, host and set exclude each other", "" },
        { "submit a.b --host x --worker 1", 2, "", "exclude each other", "" },
        { "submit a.b --set x --set y", 2, "", "exclude each other", "" },
        { "submit a.b --wait-target --any-target", 2, "", "wait-target and any-target exclude each other", "" },
        { "submit a.b --delay soon", 2, "", "--delay: soon: a duration is", "" },
        { "submit a.b --at noon", 2, "", "--at: \"noon\": a time is YYYY-MM-DD HH:MM[:SS]", "" },
        { "submit a.b --at 12:00 --delay 2", 2, "", "delay and at exclude each other", "" },
        { "submit a.b --delay 2 --at 12:00", 2, "", "delay and at exclude each other", "" },
        { "submit a.b --expire 0", 2, "", "--expire: 0: a duration is", "" },
        { "submit a.b --deadline -1", 2, "", "--deadline: -1: a duration is", "" },
        { "submit a.b --attempts 0", 2, "", "--attempts: 0: allowed is a number from 1 to 255", "" },
        { "submit a.b --attempts 256", 2, "", "a number from 1 to 255", "" },
        { "submit a.b --retry-on crashed", 2, "", "--retry-on: crashed: allowed are died, failed and timeout", "" },
        { "submit a.b --backoff 1s,", 2, "", "--backoff: 1s,: it is before the second attempt", "" },
        { "submit a.b --backoff 5m,1s", 2, "", "less than the first", "" },
        { "submit a.b --backoff 111111111111111111111111111", 2, "", "--backoff", "" },
        { "submit a.b --key {}", 2, "", "--key: a key is 1 to 64 bytes, and this one 0", "" },
        { "submit a.b --tag {a b}", 2, "", "--tag: a b: a tag is 1 to 64 of", "" },
        { "submit a.b --tag a --tag a --tag a --tag a --tag a --tag a --tag a --tag a --tag a --tag a --tag a --tag a "
          "--tag a --tag a --tag a --tag a --tag z",
          2, "", "--tag: z: that is one too many; a task has at most 16 tags", "" },
        { "submit a.b --after 0", 2, "", "--after: \"0\" names no task: a task is its number", "" },
        { "submit a.b --after-any", 2, "", "after-any: there is no task that comes first", "" },
        { "submit a.b --after-keep", 2, "", "after-keep: there is no task that comes first", "" },
        { "submit a.b --after 1 --after-any --after-keep", 2, "", "after-any and after-keep exclude each other", "" },
        { "submit a.b --keep 2d", 2, "", "--keep: 2d: a duration is", "" },
        { "submit a.b --result-max 0", 2, "", "--result-max: 0: a size is", "" },
        { "submit a.b --volatile --durable", 2, "", "volatile, crashsafe and durable exclude each other", "" },
        { "submit a.b --timeout 2", 2, "", "--timeout belongs to --wait", "" },
        { "submit a.b --raw", 2, "", "--raw belongs to --wait", "" },
        { "submit a.b --fail-fast", 2, "", "--fail-fast is for many tasks", "" },
        { "submit --stdin --wait", 2, "", "--wait is for one task", "" },
        { "submit --stdin --file x", 2, "", "--file is for the arguments of one task", "" },
        { "submit --stdin --string", 2, "", "--string is for the arguments", "" },
        { "submit --stdin --priority x", 2, "", "--priority: x", "" },
        { "submit a.b 99999999999999999999", 2, "", "does not fit into 64 bits", "" },
    };

    CHECK_ALL(rows);
}
END_TEST

START_TEST(submit_of_lines)
{
    static const struct row rows[] = {
        { "submit --stdin", 0, "", NULL, "", "" },
        { "submit --stdin", 0, "", NULL, "", "\n  \n\r\n" },
        { "submit --stdin", 0, "101\n102\n", NULL, "submit math.square [12] durability=2\nsubmit a.b [] durability=2\n",
          "{\"function\": \"math.square\", \"args\": [12]}\n{\"function\":\"a.b\"}" }, /* the last is not ended */
        { "submit --stdin --json", 0, "{\"schema\":1,\"task\":101,\"line\":2}\n", NULL, NULL,
          "\n{\"function\":\"a.b\",\"args\":[]}\r\n" },
        { "submit --stdin", 0, "101\n", NULL,
          "set s\nsubmit a.b [\"x\",{\"k\":null},true] durability=3 priority=1.5 target=set delay=2000 expire=500 "
          "deadline=60000 attempts=3 retry_on=3 backoff=1000 keep=3600000 result_max=1024 key=7 tag=a tag=b after=11 "
          "after=12 idempotent wait-target after-any hold block\n",
          "{\"args\":[\"x\",{\"k\":null},true],\"function\":\"a.b\",\"priority\":1.5,\"set\":\"s\",\"delay\":2,"
          "\"expire\":0.5,\"deadline\":\"1m\",\"attempts\":3,\"retry-on\":[\"died\",\"failed\"],\"backoff\":\"1s\","
          "\"keep\":\"1h\",\"result-max\":1024,\"key\":7,\"tag\":[\"a\",\"b\"],\"after\":[11,\"12\"],\"idempotent\":"
          "true,"
          "\"wait-target\":true,\"after-any\":true,\"hold\":true,\"block\":true,\"durable\":true,\"any-target\":false}"
          "\n" },
        { "submit --stdin", 0, "101\n102\n103\n104\n", NULL,
          "submit a.b [] durability=2 target=workers:1:2\nsubmit a.b [] durability=2 target=hosts:x\n"
          "submit a.b [] durability=2 target=all\nsubmit a.b [] durability=2 priority=-3 start=2000000000000\n",
          "{\"function\":\"a.b\",\"worker\":[1,2]}\n{\"function\":\"a.b\",\"host\":\"x\"}\n"
          "{\"function\":\"a.b\",\"target\":\"all\"}\n{\"function\":\"a.b\",\"at\":\"@2000000000\",\"priority\":-3}"
          "\n" },
        /* what the command line says holds where the line does not say otherwise */
        { "submit --stdin --tag day --tag x --priority 5 --worker 3 --durable --hold", 0, "101\n102\n", NULL,
          "submit a.b [] durability=3 priority=5 target=workers:3 tag=day tag=x hold\n"
          "submit a.b [] durability=1 priority=1 target=all tag=night hold\n",
          "{\"function\":\"a.b\"}\n"
          "{\"function\":\"a.b\",\"tag\":\"night\",\"priority\":1,\"target\":\"all\",\"volatile\":true}\n" },
        { "submit --stdin --delay 2", 0, "101\n", NULL, "submit a.b [] durability=2 start=2000000000000\n",
          "{\"function\":\"a.b\",\"at\":\"@2000000000\"}" },
        /* one set is opened once */
        { "submit --stdin --set s", 0, "101\n102\n103\n", NULL,
          "set s\nsubmit a.b [] durability=2 target=set\nsubmit a.b [] durability=2 target=set\nset t\n"
          "submit a.b [] durability=2 target=set\n",
          "{\"function\":\"a.b\"}\n{\"function\":\"a.b\"}\n{\"function\":\"a.b\",\"set\":\"t\"}\n" },
        { "submit --stdin", 0, "101\n102\n", NULL,
          "submit a.b [] durability=2\nlist 0 - newest\nsubmit a.b [] durability=2 after=16\n",
          "{\"function\":\"a.b\"}\n{\"function\":\"a.b\",\"after\":\"last\"}\n" },
    };

    CHECK_ALL(rows);
}
END_TEST

/* Each is told with its line and its field, nothing of it is queued, and the others go on. */
START_TEST(mistakes_in_lines)
{
    static const struct {
        const char *line, *why;
    } rows[] = {
        { "no json", "line 2: it is no JSON object" },
        { "12", "line 2: it is no JSON object" },
        { "[]", "line 2: it is no JSON object" },
        { "{\"function\":\"a.b\"", "line 2: it is no JSON object" },
        { "{\"function\":\"a.b\"} {}", "line 2: it is no JSON object" },
        { "{\"function\":\"a.b\",\"args\":[99999999999999999999]}",
          "line 2: the number 99999999999999999999 does not fit" },
        { "{}", "line 2: \"function\": it is missing" },
        { "{\"args\":[1]}", "line 2: \"function\": it is missing" },
        { "{\"function\":\"square\"}", "line 2: \"function\": it is MODULE.FUNCTION" },
        { "{\"function\":7}", "line 2: \"function\": it is MODULE.FUNCTION" },
        { "{\"function\":\"a.b\\u0000c\"}", "line 2: \"function\": it is MODULE.FUNCTION" },
        { "{\"function\":\"a.b\",\"args\":12}", "line 2: \"args\": it is a list" },
        { "{\"function\":\"a.b\",\"args\":[{\"$bytes\":\"?\"}]}",
          "line 2: \"args\": the text of $bytes is not base64" },
        { "{\"function\":\"a.b\",\"prioriti\":3}",
          "line 2: \"prioriti\": there is no such field; the nearest is priority" },
        { "{\"function\":\"a.b\",\"wait\":true}", "line 2: \"wait\": there is no such field" },
        { "{\"function\":\"a.b\",\"stdin\":true}", "line 2: \"stdin\": there is no such field" },
        { "{\"function\":\"a.b\",\"zzzzzz\":1}", "there are function, args, command, and the options of submit" },
        { "{\"function\":\"a.b\",\"priority\":\"high\"}", "line 2: \"priority\": high: a priority is" },
        { "{\"function\":\"a.b\",\"priority\":null}", "line 2: \"priority\": allowed are a string and a number" },
        { "{\"function\":\"a.b\",\"priority\":[1]}", "line 2: \"priority\": allowed are a string and a number" },
        { "{\"function\":\"a.b\",\"key\":\"a\\u0000b\"}", "line 2: \"key\": allowed are a string and a number" },
        { "{\"function\":\"a.b\",\"tag\":[\"x\",{}]}", "line 2: \"tag\": allowed are a string, a number, or a list" },
        { "{\"function\":\"a.b\",\"tag\":[\"a b\"]}", "line 2: \"tag\": a b: a tag is" },
        { "{\"function\":\"a.b\",\"hold\":1}", "line 2: \"hold\": allowed are true and false" },
        { "{\"function\":\"a.b\",\"durable\":true,\"volatile\":true}",
          "line 2: \"volatile\": volatile, crashsafe and durable" },
        { "{\"function\":\"a.b\",\"delay\":2,\"at\":\"12:00\"}", "line 2: \"at\": delay and at exclude each other" },
        { "{\"function\":\"a.b\",\"after-any\":true}", "line 2: after-any: there is no task that comes first" },
        { "{\"function\":\"a.b\",\"after\":\"key:other\"}", "line 2: there is no task" },
        { "{\"function\":\"a.b\",\"set\":\"nosuch\"}", "line 2: there is no set" },
        { "{\"function\":\"no.such\"}", "line 2: the module \"no\" has no function" },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char input[600];
        struct row row = { "submit --stdin", 125, "101\n102\n", rows[i].why, NULL, input };

        snprintf(input, sizeof input, "{\"function\":\"a.b\"}\n%s\n{\"function\":\"a.c\"}\n", rows[i].line);
        check(&row);
        row.line = "submit --stdin --fail-fast";
        row.out = "101\n";
        if (strstr(rows[i].why, "the module")) /* that is known only when all have been sent */
            row.out = NULL;
        check(&row);
    }
}
END_TEST

START_TEST(failures_of_lines_as_json)
{
    const struct row row = { "submit --stdin --json", 125,  NULL,
                             "\"line\":2,",           NULL, "{\"function\":\"a.b\"}\n{\"function\":\"no.such\"}\n" };

    check(&row);
}
END_TEST

/* More than are under way at once; and a line that is longer than what is read at once. */
START_TEST(many_lines)
{
    enum { LINES = 10000, LONG = 300000 };
    char *input = calloc(1, LONG + LINES * 20), *end = input, want[20];
    struct outcome o;
    size_t n = 0;

    end += sprintf(end, "{\"function\":\"a.%*s\"}\n", LONG, "b"); /* blanks, so that it is wrong */
    for (int i = 0; i < LINES; i++)
        end += sprintf(end, "{\"function\":\"a.b\"}\n");
    o = run_verb("submit --stdin", input);
    ck_assert_int_eq(o.status, 125);
    ck_assert_ptr_nonnull(strstr(o.err, "line 1: \"function\": it is MODULE.FUNCTION"));
    for (char *line = strtok(o.out, "\n"); line; line = strtok(NULL, "\n")) {
        snprintf(want, sizeof want, "%zu", 101 + n++);
        ck_assert_str_eq(line, want);
    }
    ck_assert_uint_eq(n, LINES);
    outcome_free(&o);
    free(input);
}
END_TEST

/* -- looking ----------------------------------------------------------------------------------------------- */

START_TEST(ls)
{
    static const struct row rows[] = {
        { "ls --columns id,state,priority,attempt,worker,function,tags", 0,
          "ID STATE   PRIORITY ATTEMPT WORKER FUNCTION    TAGS\n"
          "11 queued         3                math.square night,run:7\n"
          "12 running      inf       1      2 math.primes\n"
          "13 done           1       1      1 math.square\n"
          "14 failed         2       2      1 text.count\n"
          "15 waiting      inf                math.square\n"
          "16 dead         inf                bad.crash\n",
          NULL, "list 0 -\n" },
        { "ls --columns id 11-13,15", 0, "ID\n11\n12\n13\n15\n", NULL, "list 0 -\n" },
        { "ls --columns id 15,11,15,last,10-12", 0, "ID\n15\n11\n16\n12\n", NULL, "list 0 - newest\nlist 0 -\n" },
        { "ls --columns id key:k1 tag:night", 0, "ID\n15\n11\n", NULL, "list 0 night\n" },
        { "ls --columns id --state queued,dead", 0, "ID\n11\n16\n", NULL, "list 204 -\n" },
        { "ls --columns id --tag night", 0, "ID\n11\n", NULL, "list 0 night\n" },
        { "ls --columns id --tag day", 0, "", NULL, "list 0 day\n" },
        { "ls --columns id --where {priority < 3 || key == \"k1\"}", 0, "ID\n13\n14\n15\n", NULL, "list 0 -\n" },
        { "ls --columns id --where hold --state waiting 11-16", 0, "ID\n15\n", NULL, "list 2 -\n" },
        { "ls --columns id --where {state == \"done\"} 13 14", 0, "ID\n13\n", NULL, "" },
        { "ls --columns id,code,message,kills,hold,run_us,value_bytes 13-16", 0,
          "ID CODE   MESSAGE                     WORKERS KILLED ON HOLD RUN TIME VALUE\n"
          "13                                                   no        1.5 ms    2B\n"
          "14 FAILED no                                         no\n"
          "15                                                   yes\n"
          "16 DEAD   it has killed three workers              3 no\n",
          NULL, NULL },
        { "ls --columns id 11 77", 125, "ID\n11\n", "there is no task 77", "" },
        { "ls --columns id 70-77", 125, "", "there is no task from 70 to 77", NULL },
        { "ls --columns id tag:other", 125, "", "there is no task with the tag other", NULL },
        { "ls --columns id --state queued 70-77", 0, "", NULL, NULL },
        { "ls --json --state queued", 0,
          "{\"schema\":1,\"tasks\":[{\"id\":11,\"parent\":0,\"parts\":0,\"state\":\"queued\",\"function\":\"math."
          "square\","
          "\"target\":\"any\",\"priority\":3.0,\"durability\":\"crashsafe\",\"attempt\":0,\"attempts\":1,\"kills\":0,"
          "\"worker\":0,\"hold\":false,\"paused\":false,\"idempotent\":false,\"queued_ms\":1764192615000,\"due_ms\":0,\"started_ms\":0,"
          "\"ended_ms\":0,\"run_us\":0,\"cpu_us\":0,\"peak_bytes\":0,\"args_bytes\":0,\"value_bytes\":0,\"code\":\"OK\",\"message\":\"\","
          "\"maybe_executed\":false,\"phase\":\"\",\"progress\":0,\"progress_of\":0,\"log\":\"\",\"output\":\"\",\"key\":null,"
          "\"tags\":[\"night\",\"run:7\"],\"after\":[]}]}\n",
          NULL, "list 4 -\n" },
        { "ls --json --tag day", 0, "{\"schema\":1,\"tasks\":[]}\n", NULL, NULL },
        /* mistakes */
        { "ls --columns id,colour", 2, "", "--columns: there is no \"colour\"; there are id, parent", "" },
        { "ls --columns id --json", 2, "", "--columns is for the table", "" },
        { "ls --state waiting,started", 2, "", "--state waiting,started: allowed are waiting, queued, running, done",
          "" },
        { "ls --state {}", 2, "", "allowed are waiting", "" },
        { "ls --tag {a b}", 2, "", "--tag a b: a tag is", "" },
        { "ls --tag a --tag b", 2, "", "--tag may be given once", "" },
        { "ls --where {state = 1}", 2, "", "--where: at character 7, =: it is written twice", "" },
        { "ls --where hold --where true", 2, "", "--where may be given once", "" },
        { "ls nightly", 2, "", "\"nightly\" names no task: a task is its number", "" },
    };

    CHECK_ALL(rows);
}
END_TEST

static bool prints(const char *line, const char *text)
{
    struct outcome o = run_verb(line, NULL);
    bool found = o.status == 0 && strstr(o.out, text) != NULL;

    if (!found)
        printf("# %s prints\n%s%s", line, o.out, o.err);
    outcome_free(&o);
    return found;
}

START_TEST(ls_as_it_stands)
{
    ck_assert(prints("ls", "ID STATE   PRIORITY ATTEMPT WORKER FUNCTION"));
    ck_assert(prints("ls", " AGE TAGS\n"));
    ck_assert(prints("ls 11", "night,run:7\n"));
}
END_TEST

START_TEST(info)
{
    static const struct row rows[] = {
        { "info", 2, "", "which tasks? An ID, --state, --tag or --where is missing", "" },
        { "info 77", 125, "", "there is no task 77", "" },
        { "info 77 --json", 125, "{\"schema\":1,\"tasks\":[]}\n", "\"code\":\"NO_TASK\"", "" },
        { "info --state lost", 0, "", NULL, "list 400 - args\n" },
    };

    CHECK_ALL(rows);
    ck_assert(prints("info 14", "id               14\nstate            failed\nfunction         text.count\n"));
    ck_assert(prints("info 14", "message          no\nmay have run     yes\n"));
    ck_assert(prints("info 14", "called with      [12]\n"));
    ck_assert(prints("info 13 14", "\n\nid               14\n"));
    ck_assert(prints("info key:k1", "key              k1\n"));
    ck_assert(prints("info --json 11", "\"after\":[],\"args\":[12]}]}\n"));
}
END_TEST

START_TEST(why)
{
    static const struct row rows[] = {
        { "why 15", 0, "it is on hold\n", NULL, "" },
        { "why key:k1", 0, "it is on hold\n", NULL, "" },
        { "why --json 11", 0, "{\"schema\":1,\"task\":11,\"why\":\"it waits for a worker: 2 are busy\"}\n", NULL, "" },
        { "why tag:night", 0, "it waits for a worker: 2 are busy\n", NULL, "list 0 night\n" },
        { "why 77", 125, "", "there is no task 77", "" },
        { "why", 2, "", "of which tasks? An ID, --state, --tag or --where is missing", "" },
        { "why 15,11", 0, "15: it is on hold\n11: it waits for a worker: 2 are busy\n", NULL, "" },
        { "why 15 77", 125, "15: it is on hold\n", "there is no task 77", "" },
    };

    CHECK_ALL(rows);
}
END_TEST

/* -- waiting ------------------------------------------------------------------------------------------------ */

START_TEST(result)
{
    static const struct row rows[] = {
        { "result 13", 0, "144\n", NULL, "" },
        { "result --no-wait 13", 0, "144\n", NULL, "" },
        { "result 14", 1, "", "ptools result: no\n", "" },
        { "result --json 14", 1, "", "\"code\":\"FAILED\"", "" },
        { "result 16", 1, "", "killed three workers", "" },
        { "result 77", 125, "", "there is no such task", "" },
        { "result --no-wait 12", 125, "", "the task 12 has not ended: it is running", "" },
        { "result --no-wait 77", 125, "", "there is no task 77", "" },
        { "result --timeout 10ms 12", 124, "",
          "the time limit (--timeout 10ms) passed: the task 12 goes on "
          "(`ptools result 12` waits for it, `ptools cancel 12` ends it)\n",
          "" },
        { "result --timeout 10ms --json 12", 124, "", "\"task\":12,", "" },
        { "result --timeout never 12", 2, "", "--timeout never: a duration is", "" },
        { "result --no-wait --timeout 2 12", 2, "", "--no-wait and --timeout exclude each other", "" },
        { "result", 2, "", "of which tasks? An ID, --state, --tag or --where is missing", "" },
        { "result 14,13", 1, "144\n", "ptools result: no\n", "" },
    };

    CHECK_ALL(rows);
}
END_TEST

START_TEST(wait_for_tasks)
{
    static const struct row rows[] = {
        { "wait 13", 0, "", NULL, "wait -1 13\n" },
        { "wait --all 13 14", 1, "", "ptools wait: 14 failed: no\n", "wait -1 13 14\n" },
        { "wait 13 14,16", 1, "", "16 dead: it has killed three workers", "wait -1 13 14 16\n" },
        { "wait --any 12 14 13", 1, "14\n", "14 failed", "wait any -1 12 14 13\n" },
        { "wait --any 12 13", 0, "13\n", NULL, "wait any -1 12 13\n" },
        { "wait --timeout 50 --any 11 12", 124, "", "(--timeout 50) passed, and none has ended",
          "wait any 50 11 12\n" },
        { "wait --timeout 1ms 12 13", 124, "", "(--timeout 1ms) passed, and not all have ended", NULL },
        { "wait --state done,failed", 1, "", "14 failed", "list 30 -\nwait -1 13 14\n" },
        { "wait --tag day", 0, "", NULL, "list 0 day\n" },
        { "wait --any --tag day", 0, "", NULL, "list 0 day\n" },
        { "wait 13 77", 125, "", "there is no task 77", "wait -1 13 77\n" },
        { "wait 13 70-77", 125, "", "there is no task from 70 to 77", "list 0 -\n" },
        { "wait", 2, "", "for which tasks?", "" },
        { "wait --any --all 13", 2, "", "--any and --all exclude each other", "" },
    };

    CHECK_ALL(rows);
    ck_assert(prints("wait --json 13", "{\"schema\":1,\"tasks\":[{\"id\":13,"));
}
END_TEST

/* -- changing ----------------------------------------------------------------------------------------------- */

START_TEST(changes)
{
    static const struct row rows[] = {
        { "dequeue 11", 0, "", NULL, "change 1 11\n" },
        { "cancel 12", 0, "", NULL, "change 2 12\n" },
        { "hold 11", 0, "", NULL, "change 3 11\n" },
        { "release 15", 0, "", NULL, "change 4 15\n" },
        { "kick last", 0, "", NULL, "list 0 - newest\nchange 5 16\n" },
        { "rerun 14", 0, "", NULL, "change 6 14\n" },
        { "forget 13,14", 0, "", NULL, "change 7 13\nchange 7 14\n" },
        { "cancel --json 11 12", 0, "{\"schema\":1,\"changed\":2,\"unchanged\":0}\n", NULL,
          "change 2 11\nchange 2 12\n" },
        { "dequeue 12", 125, "", "it runs, or has ended", "change 1 12\n" },
        { "dequeue 12 11 77", 125, "", "there is no task 77", "change 1 12\nchange 1 11\nchange 1 77\n" },
        { "dequeue --json 12 11", 125, "{\"schema\":1,\"changed\":1,\"unchanged\":1}\n", "\"code\":\"NOT_NOW\"", NULL },
        /* those of a range or a filter at once, and what cannot be done to some is no failure */
        { "cancel 11-16", 0, "3 of 6\n", NULL, "list 0 -\nchange 2 11 12 13 14 15 16\n" },
        { "cancel --where true", 0, "3 of 6\n", NULL, "list 0 -\nchange 2 11 12 13 14 15 16\n" },
        { "cancel --tag night", 0, "1 of 1\n", NULL, "list 0 night\nchange 2 11\n" },
        { "cancel tag:night 13-14", 0, "1 of 3\n", NULL, "list 0 night\nlist 0 -\nchange 2 11 13 14\n" },
        { "cancel --state done", 0, "0 of 1\n", NULL, "list 10 -\nchange 2 13\n" },
        { "cancel --tag day", 0, "0 of 0\n", NULL, "list 0 day\n" },
        { "rerun --state failed,dead --where {function ~ \"text.*\"}", 0, "1 of 1\n", NULL,
          "list 220 -\nchange 6 14\n" },
        { "cancel 11 12-13", 0, "2 of 3\n", NULL, "list 0 -\nchange 2 11\nchange 2 12 13\n" },
        { "forget --where {state == \"done\"} 13 14", 0, "", NULL, "change 7 13\n" },
        { "cancel 70-77", 125, "", "there is no task from 70 to 77", "list 0 -\n" },
        { "kill 12", 0, "", NULL, "change 2 12\n" },
        { "kill 11", 125, "", "task 11 is queued: only one that runs can be killed", "" },
        { "kill --where true", 0, "1 of 1\n", NULL, "list 0 -\nchange 2 12\n" },
        { "purge", 0, "3 of 3\n", NULL, NULL },
        { "rerun --failed", 0, "2 of 2\n", NULL, NULL },
        { "rerun --failed --state done", 2, "", "--failed and --state exclude each other", "" },
        { "cancel", 2, "", "which tasks? An ID, --state, --tag or --where is missing; --where true is all", "" },
        { "hold x", 2, "", "\"x\" names no task", "" },
    };

    CHECK_ALL(rows);
}
END_TEST

START_TEST(priority)
{
    static const struct row rows[] = {
        { "priority 11 5", 0, "changed 1, skipped 0\n", NULL, "set 11 5\n" },
        { "priority 11 15 -2.5", 0, "changed 2, skipped 1\n", NULL, "priorities 11=-2.5 15=-2.5\n" }, /* at once */
        { "priority key:k1 inf", 0, "changed 1, skipped 0\n", NULL, "set 15 inf\n" },
        { "priority --json 11 12 1", 125, "{\"schema\":1,\"changed\":1,\"skipped\":2}\n", "\"code\":\"NOT_NOW\"",
          "priorities 11=1\n" },
        { "priority 11 77 1", 125, "changed 1, skipped 2\n", "there is no task 77", "priorities 11=1\n" },
        { "priority key:other 11 1", 125, "changed 1, skipped 0\n", "there is no task", "set 11 1\n" },
        { "priority 77 1", 125, "changed 0, skipped 1\n", "there is no task 77", "set 77 1\n" },
        { "priority 11 {priority - 1}", 0, "changed 1, skipped 1\n", NULL, "priorities 11=2\n" },
        { "priority --where true {priority * 2}", 0, "changed 2, skipped 1\n", NULL, "priorities 11=6 15=inf\n" },
        { "priority --where {tag ~ \"n*\"} queued_ms", 0, "changed 1, skipped 1\n", NULL,
          "priorities 11=1.76419e+12\n" },
        { "priority --tag night 7", 0, "changed 1, skipped 1\n", NULL, "priorities 11=7\n" },
        { "priority --state waiting 7", 0, "changed 1, skipped 1\n", NULL, "priorities 15=7\n" },
        { "priority --state done 7", 0, "changed 0, skipped 1\n", NULL, "priorities\n" },
        { "priority 11-16 7", 0, "changed 2, skipped 1\n", NULL, "list 0 -\npriorities 11=7 15=7\n" },
        { "priority --where {priority < inf} 10-20 7", 0, "changed 1, skipped 1\n", NULL,
          "list 0 -\npriorities 11=7\n" },
        { "priority 11 {progress / progress_of}", 0, "changed 0, skipped 1\n", NULL,
          "priorities\n" }, /* 0/0: as it is */
        { "priority 12 {priority - 1}", 125, "changed 0, skipped 2\n",
          "task 12 is running: a priority is for one that no worker has begun", "priorities\n" },
        { "priority", 2, "", "the new priority is missing", "" },
        { "priority 11", 2, "", "which tasks, or what priority?", "" },
        { "priority 11 high", 2, "", "the new priority, at character 1, high: there is no such field", "" },
        { "priority 11 age", 2, "", "divide it by one, as in age / 1s", "" },
        { "priority 11 0/0", 2, "", "the new priority, 0/0, is no number", "" },
        { "priority 11 {state == \"queued\"}", 2, "", "a number is wanted; this is a condition", "" },
        { "priority --where {priority} 3", 2, "", "a condition is wanted", "" },
    };

    CHECK_ALL(rows);
}
END_TEST

/* -- events and export -------------------------------------------------------------------------------------- */

START_TEST(events)
{
    static const struct row rows[] = {
        { "events 12", 0, NULL, NULL, "watch - 12\n" },
        { "events 13", 0, "", NULL, "watch - 13\n" }, /* it has ended */
        { "events", 125, NULL, "the daemon is gone", "watch - 0\n" },
        { "events --tag night", 125, NULL, "the daemon is gone", "watch night 0\n" },
        { "events 77", 125, "", "there is no task 77", NULL },
        { "events 11 12", 125, NULL, "the daemon is gone", "watch - 0\n" },
        { "events 13,14", 0, NULL, NULL, "watch - 0\n" }, /* they have ended */
        { "events tag:night", 125, NULL, "the daemon is gone", "list 0 night\nwatch - 11\n" },
    };
    struct outcome o;

    setenv("TZ", "UTC", 1);
    CHECK_ALL(rows);
    o = run_verb("events 12", NULL);
    ck_assert_str_eq(o.out, "2025-11-26 21:30:15.000 12 queued\n"
                            "2025-11-26 21:30:15.001 12 started attempt 1 worker 2\n"
                            "2025-11-26 21:30:15.002 12 progress attempt 1 worker 2 1 of 2\n"
                            "2025-11-26 21:30:15.003 missed 7\n"
                            "2025-11-26 21:30:15.004 12 retry attempt 1 worker 2 WORKER_DIED\n"
                            "2025-11-26 21:30:15.005 12 failed attempt 2 worker 1 FAILED\n");
    outcome_free(&o);
    ck_assert(prints("events --json 12",
                     "{\"schema\":1,\"event\":{\"seq\":1,\"kind\":\"queued\",\"task\":12,\"state\":\"queued\","
                     "\"time_ms\":1764192615000,\"worker\":0,\"attempt\":0,\"code\":\"OK\",\"progress\":0,"
                     "\"progress_of\":0,\"missed\":0}}\n"));
}
END_TEST

START_TEST(export)
{
    struct outcome o = run_verb("export", NULL);
    size_t lines = 0;

    ck_assert_int_eq(o.status, 0);
    for (const char *s = o.out; *s; s = strchr(s, '\n') + 1) {
        ck_assert_int_eq(strncmp(s, "{\"schema\":1,\"task\":{\"id\":", 25), 0);
        lines++;
    }
    ck_assert_uint_eq(lines, 6);
    outcome_free(&o);
    ck_assert(prints("export 13", "\"after\":[],\"args\":[12],\"value\":144}}\n"));
    ck_assert(prints("export 12", "\"after\":[],\"args\":[12]}}\n"));
    ck_assert(prints("export --state dead", "{\"schema\":1,\"task\":{\"id\":16,"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("queue_verbs");
    TCase *tc = suite_case(suite, "queue_verbs");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, submit);
    tcase_add_test(tc, submit_mistakes);
    tcase_add_test(tc, submit_of_lines);
    tcase_add_test(tc, mistakes_in_lines);
    tcase_add_test(tc, failures_of_lines_as_json);
    tcase_add_test(tc, many_lines);
    tcase_add_test(tc, ls);
    tcase_add_test(tc, ls_as_it_stands);
    tcase_add_test(tc, info);
    tcase_add_test(tc, why);
    tcase_add_test(tc, result);
    tcase_add_test(tc, wait_for_tasks);
    tcase_add_test(tc, changes);
    tcase_add_test(tc, priority);
    tcase_add_test(tc, events);
    tcase_add_test(tc, export);
    return suite_run(suite);
}
