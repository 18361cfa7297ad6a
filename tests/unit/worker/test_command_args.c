/* SPDX-License-Identifier: MIT */
/* What command.run is told: each key with its type, which map goes before which, and the environment that comes of it. */
#include <string.h>
#include <unistd.h>

#include "daemon/worker/command_args.h"
#include "tests/support/suite.h"

static struct page page;
static struct ptools_task task;
static struct command_args args;
static ptools_pack *pack;

static void set_up(void)
{
    memset(&page, 0, sizeof page);
    ck_assert_int_eq(task_init(&task, &page, 5), 0);
    pack = ptools_pack_new();
}

static void tear_down(void)
{
    pack = ptools_pack_free(pack);
    task_deinit(&task);
}

static void begin(void)
{
    static const struct link_frame run = { .task = 900, .attempt = 2, .a = 1000 };
    const uint8_t *data;
    size_t n;

    ck_assert_int_eq(pack_finish_arguments(pack, &data, &n), PTOOLS_OK);
    ck_assert_int_eq(task_begin(&task, &run, "command.run", data, n), PTOOLS_OK);
}

static void good(void)
{
    begin();
    ck_assert_msg(command_args_read(&task, &args) == PTOOLS_OK, "%s", task_message(&task));
}

static void bad(const char *part)
{
    begin();
    ck_assert_int_eq(command_args_read(&task, &args), PTOOLS_ERR_BAD_ARGUMENT);
    ck_assert_msg(strstr(task_message(&task), part) != NULL, "\"%s\" is not in \"%s\"", part, task_message(&task));
    ptools_pack_reset(pack);
}

/* A map of so many keys, the first of which is argv. */
static void map(uint32_t keys, const char *program)
{
    ptools_pack_map(pack, keys);
    ptools_pack_str(pack, "argv");
    ptools_pack_list(pack, 1);
    ptools_pack_str(pack, program);
}

START_TEST(defaults)
{
    map(1, "true");
    good();
    ck_assert_uint_eq(args.argc, 1);
    ck_assert_str_eq(args.argv[0], "true");
    ck_assert_ptr_null(args.argv[1]);
    ck_assert_str_eq(args.cwd, "/");
    ck_assert_ptr_null(args.stdin_file);
    ck_assert_ptr_null(args.input);
    ck_assert_ptr_null(args.stage);
    ck_assert_int_eq(args.umask, -1);
    ck_assert_int_eq(args.nice, 0);
    ck_assert_uint_eq(args.cpus, 0);
    ck_assert_uint_eq(args.mem, 0);
    ck_assert_uint_eq(args.out_max, 0);
    ck_assert_uint_eq(args.inline_max, 65536);
    ck_assert(args.fail && !args.merge);
    for (int status = 0; status < 256; status++)
        ck_assert(command_status_ok(&args, status) == (status == 0));
}
END_TEST

/* The second map goes before the first; nil is as if nothing were there. */
START_TEST(own_before_common)
{
    map(4, "common");
    ptools_pack_str(pack, "nice");
    ptools_pack_i64(pack, 3);
    ptools_pack_str(pack, "umask");
    ptools_pack_i64(pack, 022);
    ptools_pack_str(pack, "cwd");
    ptools_pack_str(pack, "/common");
    map(3, "own");
    ptools_pack_str(pack, "nice");
    ptools_pack_i64(pack, 4);
    ptools_pack_str(pack, "cwd");
    ptools_pack_nil(pack);
    good();
    ck_assert_str_eq(args.argv[0], "own");
    ck_assert_int_eq(args.nice, 4);
    ck_assert_int_eq(args.umask, 022);
    ck_assert_str_eq(args.cwd, "/common");
}
END_TEST

/* Any bytes, with what belongs behind them. */
START_TEST(bytes)
{
    static const char odd[] = "\xff\xfe\n' ";

    ptools_pack_map(pack, 2);
    ptools_pack_str(pack, "argv");
    ptools_pack_list(pack, 3);
    ptools_pack_bytes(pack, odd, sizeof odd - 1);
    ptools_pack_str(pack, "");
    ptools_pack_bytes(pack, "x", 1);
    ptools_pack_str(pack, "stdin");
    ptools_pack_bytes(pack, "a\0b", 3);
    good();
    ck_assert_str_eq(args.argv[0], odd);
    ck_assert_str_eq(args.argv[1], "");
    ck_assert_str_eq(args.argv[2], "x");
    ck_assert_ptr_null(args.argv[3]);
    ck_assert_uint_eq(args.input_bytes, 3);
    ck_assert_mem_eq(args.input, "a\0b", 3);
}
END_TEST

START_TEST(success)
{
    map(2, "x");
    ptools_pack_str(pack, "ok");
    ptools_pack_list(pack, 2);
    ptools_pack_u64(pack, 255);
    ptools_pack_u64(pack, 7);
    good();
    ck_assert(command_status_ok(&args, 255) && command_status_ok(&args, 7) && !command_status_ok(&args, 0));
}
END_TEST

static void bad_number(const char *key, int64_t value)
{
    map(2, "x");
    ptools_pack_str(pack, key);
    ptools_pack_i64(pack, value);
    bad(key);
}

START_TEST(refusals)
{
    bad("takes a map, or two"); /* no argument */
    ptools_pack_str(pack, "true");
    bad("takes a map, or two");
    for (int i = 0; i < 3; i++)
        map(1, "x");
    bad("takes a map, or two");
    ptools_pack_map(pack, 0);
    bad("needs argv");
    map(1, "");
    bad("argv");
    ptools_pack_map(pack, 1);
    ptools_pack_str(pack, "argv");
    ptools_pack_list(pack, 0);
    bad("argv");
    ptools_pack_map(pack, 1);
    ptools_pack_str(pack, "argv");
    ptools_pack_list(pack, 1);
    ptools_pack_bytes(pack, "a\0b", 3);
    bad("without zero bytes");
    ptools_pack_map(pack, 1);
    ptools_pack_u64(pack, 1);
    ptools_pack_u64(pack, 1);
    bad("is no string");
    bad_number("unknown", 1);
    bad_number("umask", -1);
    bad_number("umask", 01000);
    bad_number("nice", 41);
    bad_number("cpus", 4097);
    bad_number("mem", -1);
    bad_number("out_max", -1);
    bad_number("inline_max", INT64_C(1) << 31);
    bad_number("cwd", 1);
    bad_number("stage", 1);
    bad_number("stdin", 1);
    bad_number("merge", 1);
    bad_number("fail", 1);
    bad_number("ok", 1);
}
END_TEST

/* -- the environment ----------------------------------------------------------------------------------------------- */

static void list(const char *key, const char *const *entries, uint32_t n)
{
    ptools_pack_str(pack, key);
    ptools_pack_list(pack, n);
    for (uint32_t i = 0; i < n; i++)
        ptools_pack_str(pack, entries[i]);
}

START_TEST(environment)
{
    struct command_environment e;

    map(3, "x");
    list("env", (const char *const[]){ "A=1", "B=2", "A=3" }, 3);
    list("set_env", (const char *const[]){ "B=", "C==" }, 2);
    good();
    ck_assert_int_eq(command_environment_make(&task, &args, 3, &e), PTOOLS_OK);
    ck_assert_uint_eq(e.n, 3);
    ck_assert_str_eq(e.entries[0], "A=3");
    ck_assert_str_eq(e.entries[1], "B=");
    ck_assert_str_eq(e.entries[2], "C==");
    ck_assert_ptr_null(e.entries[3]);
    ck_assert_int_eq(command_environment_put(&e, true, "A=%d", 4), PTOOLS_OK);
    ck_assert_int_eq(command_environment_put(&e, false, "B=%d", 5), PTOOLS_OK);
    ck_assert_int_eq(command_environment_put(&e, true, "D=%d", 6), PTOOLS_OK);
    ck_assert_str_eq(command_environment_get(&e, "A"), "3");
    ck_assert_str_eq(command_environment_get(&e, "B"), "5");
    ck_assert_str_eq(command_environment_get(&e, "D"), "6");
    ck_assert_ptr_null(command_environment_get(&e, "E"));
    ck_assert_ptr_null(command_environment_get(&e, ""));
    ck_assert_uint_eq(e.n, 4);
    ck_assert_ptr_null(e.entries[4]);
}
END_TEST

START_TEST(environment_of_the_worker)
{
    struct command_environment e;
    uint32_t n = 0;

    map(1, "x");
    good();
    ck_assert_int_eq(command_environment_make(&task, &args, 0, &e), PTOOLS_OK);
    while (environ[n])
        n++;
    ck_assert_uint_eq(e.n, n);
    ck_assert_str_eq(command_environment_get(&e, "PATH"), getenv("PATH"));
}
END_TEST

START_TEST(bad_environments)
{
    static const char *const entries[] = { "A", "=", "=x", "" };
    struct command_environment e;

    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++) {
        map(2, "x");
        list(i % 2 ? "env" : "set_env", &entries[i], 1);
        good();
        ck_assert_int_eq(command_environment_make(&task, &args, 0, &e), PTOOLS_ERR_BAD_ARGUMENT);
        ck_assert_msg(strstr(task_message(&task), "NAME=value") != NULL, "%s", task_message(&task));
        ptools_pack_reset(pack);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("command_args");
    TCase *t = suite_case(s, "command_args");

    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, defaults);
    tcase_add_test(t, own_before_common);
    tcase_add_test(t, bytes);
    tcase_add_test(t, success);
    tcase_add_test(t, refusals);
    tcase_add_test(t, environment);
    tcase_add_test(t, environment_of_the_worker);
    tcase_add_test(t, bad_environments);
    suite_add_tcase(s, t);
    return suite_run(s);
}
