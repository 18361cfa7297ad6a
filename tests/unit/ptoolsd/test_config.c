/* SPDX-License-Identifier: MIT */
/*
 * Tests of daemon/ptoolsd/config.c, config_file.c and options.c: every row of the table from text to value
 * and back, what is refused and in which words, and that the shipped file and the manual page agree with the table.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/util.h"
#include "tests/support/suite.h"
#include "tests/unit/ptoolsd/config_rig.h"

static char why[CONFIG_WHY_BYTES];

/* A file's text. */
static int feed_bytes(const char *text, size_t n)
{
    FILE *file = fmemopen((void *)(uintptr_t)text, n, "r"), *err;
    size_t complained_n;
    int r;

    ck_assert_ptr_nonnull(file);
    free(complained);
    err = open_memstream(&complained, &complained_n);
    r = config_read_stream(&config, file, "F", err);
    fclose(err);
    fclose(file);
    return r;
}

static int feed(const char *text)
{
    return feed_bytes(text, strlen(text));
}

START_TEST(defaults_are_what_the_table_says)
{
    ck_assert_str_eq(config.dir, "");
    ck_assert_int_eq(config.log_level, LOG_LEVEL_INFO);
    ck_assert_str_eq(config.worker_program, PTOOLS_WORKER_PROGRAM);
    ck_assert_str_eq(config.preload, "");
    ck_assert_uint_eq(config.message_max, 128u << 20);
    ck_assert_uint_eq(config.clients_max, 512);
    ck_assert_uint_eq(config.recycle_descriptors, 64);
    ck_assert_uint_eq(config.ahead, 32);
    ck_assert_uint_eq(config.user_arrays_max, 4096);
    ck_assert_uint_eq(config.user_stasks_max, 256);
    ck_assert_uint_eq(config.large, 1u << 20);
    ck_assert_uint_lt(config.user_shm_max, config.shm_max); /* 50 and 75 percent of the machine's memory */
    ck_assert_uint_eq(config.memory_max,
                      (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) / 100 * 80);
    ck_assert_int_eq(config.ready_fd, -1);
    ck_assert(!config.private_mode);
    ck_assert_uint_eq(config.journal, SWITCH_AUTO);
    ck_assert_str_eq(config.state_dir, "");
}
END_TEST

START_TEST(each_number_takes_its_bounds_and_nothing_beyond)
{
    const struct setting *s;
    char value[32];
    uint64_t *field;

    for (s = config_settings; s->key; s++) {
        if (s->type > SETTING_MEMORY)
            continue;
        field = (uint64_t *)((uintptr_t)&config + s->offset);
        snprintf(value, sizeof value, "%llu", (unsigned long long)s->min);
        ck_assert_int_eq(config_set(&config, s->section, s->key, value, false, why), 0);
        ck_assert_uint_eq(*field, s->min);
        snprintf(value, sizeof value, "%llu", (unsigned long long)s->max);
        ck_assert_int_eq(config_set(&config, s->section, s->key, value, false, why), 0);
        ck_assert_uint_eq(*field, s->max);
        snprintf(value, sizeof value, "%llu", (unsigned long long)s->max + 1);
        ck_assert_int_eq(config_set(&config, s->section, s->key, value, false, why), CONFIG_REFUSED);
        ck_assert_ptr_nonnull(strstr(why, s->key));
        ck_assert_ptr_nonnull(strstr(why, value));
        if (s->min > 1) {
            snprintf(value, sizeof value, "%llu", (unsigned long long)s->min - 1);
            ck_assert_int_eq(config_set(&config, s->section, s->key, value, false, why), CONFIG_REFUSED);
        }
        ck_assert_int_eq(config_set(&config, s->section, s->key, "0", false, why),
                         s->zero || s->min == 0 ? 0 : CONFIG_REFUSED);
        *field = s->max;
        ck_assert_int_eq(config_set(&config, s->section, s->key, "", false, why), CONFIG_REFUSED);
        ck_assert_int_eq(config_set(&config, s->section, s->key, "-1", false, why), CONFIG_REFUSED);
        ck_assert_int_eq(config_set(&config, s->section, s->key, "1x", false, why), CONFIG_REFUSED);
        ck_assert_int_eq(config_set(&config, s->section, s->key, " 1", false, why), CONFIG_REFUSED);
        ck_assert_int_eq(config_set(&config, s->section, s->key, "18446744073709551616", false, why), CONFIG_REFUSED);
        ck_assert_int_eq(config_set(&config, s->section, s->key, "18446744073709551615T", false, why), CONFIG_REFUSED);
        ck_assert_uint_eq(*field, s->max); /* what is refused changes nothing */
    }
}
END_TEST

START_TEST(sizes_have_suffixes_and_memory_has_percent)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } rows[] = {
        { "1048576", 1 << 20 }, { "1024K", 1 << 20 }, { "1M", 1 << 20 }, { "2G", UINT64_C(2) << 30 },
        { "1T", UINT64_C(1) << 40 }, { "0", 0 },
    };
    static const char *const bad[] = { "1k", "1MB", "1.5M", "M", "1 M", "10%", "0x10000000", "1e9" };
    uint64_t machine = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);

    for (size_t i = 0; i < ELEMENTS(rows); i++) {
        ck_assert_int_eq(config_set(&config, "workers", "recycle_memory", rows[i].text, false, why), 0);
        ck_assert_uint_eq(config.recycle_memory, rows[i].bytes);
    }
    for (size_t i = 0; i < ELEMENTS(bad); i++)
        ck_assert_int_eq(config_set(&config, "workers", "recycle_memory", bad[i], false, why), CONFIG_REFUSED);
    ck_assert_int_eq(config_set(&config, "workers", "memory_max", "100%", false, why), 0);
    ck_assert_uint_eq(config.memory_max, machine / 100 * 100);
    ck_assert_int_eq(config_set(&config, "workers", "memory_max", "0%", false, why), CONFIG_REFUSED);
    ck_assert_int_eq(config_set(&config, "workers", "memory_max", "101%", false, why), CONFIG_REFUSED);
    ck_assert_str_eq(why, "[workers] memory_max: \"101%\" is not allowed; allowed is a size, in bytes or with K, M, G "
                          "or T after it: 0 (no limit), or 16M to 1024T, or 1% to 100%");
}
END_TEST

START_TEST(strings_are_checked)
{
    static const struct {
        const char *section, *key, *value;
        int r;
    } rows[] = {
        { "daemon", "dir", "/run/x", 0 },
        { "daemon", "dir", "run/x", CONFIG_REFUSED },
        { "daemon", "journal", "no", 0 },
        { "daemon", "journal", "auto", 0 },
        { "daemon", "journal", "yes", 0 },
        { "daemon", "journal", "true", CONFIG_REFUSED },
        { "daemon", "journal", "", CONFIG_REFUSED },
        { "daemon", "state_dir", "/var/lib/x", 0 },
        { "daemon", "state_dir", "x", CONFIG_REFUSED },
        { "daemon", "log_level", "debug", 0 },
        { "daemon", "log_level", "DEBUG", CONFIG_REFUSED },
        { "daemon", "log_level", "", CONFIG_REFUSED },
        { "modules", "path", "/a", 0 },
        { "modules", "path", "/a:/b", 0 },
        { "modules", "path", "/a:b", CONFIG_REFUSED },
        { "modules", "path", "/a:", CONFIG_REFUSED },
        { "modules", "path", ":/a", CONFIG_REFUSED },
        { "modules", "path", "/a::/b", CONFIG_REFUSED },
        { "modules", "path", "/a b;c:/d", 0 },
        { "modules", "path", "/a :/b", CONFIG_REFUSED },
        { "daemon", "dir", "/a ;b", CONFIG_REFUSED },
        { "daemon", "dir", "/a\t", CONFIG_REFUSED },
        { "modules", "preload", "text math", 0 },
        { "modules", "preload", "text.so", CONFIG_REFUSED },
        { "modules", "preload", "../text", CONFIG_REFUSED },
        { "modules", "preload", "text,math", CONFIG_REFUSED },
        { "modules", "preload", "te\x1bxt", CONFIG_REFUSED },
        { "daemon", "dir", "/run/\n", CONFIG_REFUSED },
    };
    char longest[PATH_MAX] = "/";

    for (size_t i = 0; i < ELEMENTS(rows); i++)
        ck_assert_msg(config_set(&config, rows[i].section, rows[i].key, rows[i].value, false, why) == rows[i].r,
                      "%s=\"%s\"", rows[i].key, rows[i].value);
    memset(longest + 1, 'x', 93); /* 94 bytes: with /ptoolsd.sock and its NUL, 108 */
    ck_assert_int_eq(config_set(&config, "daemon", "dir", longest, false, why), 0);
    longest[94] = 'x';
    ck_assert_int_eq(config_set(&config, "daemon", "dir", longest, false, why), CONFIG_REFUSED);
    ck_assert_ptr_nonnull(strstr(why, "95 bytes long; allowed are 94"));
    longest[94] = '\0';
    ck_assert_str_eq(config.dir, longest);
}
END_TEST

START_TEST(lists_grow_and_begin_anew)
{
    ck_assert_int_eq(feed("[modules]\npath=/a:/b\npath = /c\npreload=x  y\npreload=z\n"), 0);
    ck_assert_str_eq(config.module_path, "/a:/b:/c");
    ck_assert_str_eq(config.preload, "x  y z");
    ck_assert_int_eq(feed("[modules]\npath=\npath=/d\n"), 0);
    ck_assert_str_eq(config.module_path, "/d");
    ck_assert_int_eq(config_set(&config, "modules", "path", "/e", false, why), 0);
    ck_assert_str_eq(config.module_path, "/e");
    for (int i = 0; i < 200; i++) { /* bounded like everything */
        static char directory[101] = "/";

        memset(directory + 1, 'x', 99);
        if (config_set(&config, "modules", "path", directory, true, why))
            break;
    }
    ck_assert_uint_le(strlen(config.module_path), 16384);
    ck_assert_ptr_nonnull(strstr(why, "allowed are 16384"));
}
END_TEST

START_TEST(file_has_sections_comments_and_space)
{
    ck_assert_int_eq(feed("# a comment\n; another\n\n[workers]\n  count =  7 ; behind a value\r\n\tahead=1\n"
                          "   # indented\n[limits]\nstall_ms: 400\n[workers]\ncount = 8"), 0);
    ck_assert_str_eq(complained, "");
    ck_assert_uint_eq(config.workers, 8);
    ck_assert_uint_eq(config.ahead, 1);
    ck_assert_uint_eq(config.stall_ms, 400);
    ck_assert_int_eq(feed("\xef\xbb\xbf[workers]\ncount=9\n"), 0);
    ck_assert_uint_eq(config.workers, 9);
}
END_TEST

START_TEST(all_that_is_wrong_is_said_with_its_line)
{
    ck_assert_int_eq(feed("count = 1\n"
                          "[workers]\n"
                          "count = many\n"
                          "color = red\n"
                          "\n"
                          "[wrokers]\n"
                          "count = 1\n"
                          "[limits]\n"
                          "neither this nor that\n"
                          "ahead = 1\n"
                          "stall_ms = 400\n"),
                     CONFIG_REFUSED);
    ck_assert_str_eq(complained,
                     "F:1: a setting stands before the first [section]\n"
                     "F:3: [workers] count: \"many\" is not allowed; allowed is a number: 0 (one a processor), or 1 to "
                     "1024\n"
                     "F:4: [workers] has no setting \"color\"; allowed are count memory_max cgroup pids_max cpu_max "
                     "recycle_tasks recycle_memory recycle_descriptors kill_grace_ms ahead nice\n"
                     "F:7: there is no section [wrokers]; allowed are [daemon], [modules], [workers], "
                     "[limits], [queue] and [users]\n"
                     "F:10: [limits] has no setting \"ahead\"; allowed are message_max clients_max user_clients_max "
                     "handshake_ms stall_ms user_tasks_max user_bytes_max user_sets_max modules_max client_output_max "
                     "drain_ms workers_max stand_ins_max user_arrays_max user_shm_max shm_max user_stasks_max large\n"
                     "F:9: the line is no [section], no key = value and no comment\n");
    ck_assert_uint_eq(config.stall_ms, 400);
}
END_TEST

START_TEST(lines_and_files_are_bounded)
{
    static char text[3 << 20];
    int n;

    n = snprintf(text, sizeof text, "[workers]\n# %0300d\ncount = 3\n", 0);
    ck_assert_int_eq(feed_bytes(text, (size_t)n), CONFIG_REFUSED);
    ck_assert_ptr_nonnull(strstr(complained, "F:2: the line is longer than "));
    ck_assert_uint_eq(config.workers, 3);
    ck_assert_int_eq(feed_bytes("[workers]\ncount = 4\0\n", 21), CONFIG_REFUSED);
    ck_assert_str_eq(complained, "F:2: there is a control character in the line\n");
    memset(text, '\n', sizeof text);
    ck_assert_int_eq(feed_bytes(text, sizeof text), CONFIG_REFUSED);
    ck_assert_str_eq(complained, "F: the file is larger than 1 MiB\n");
}
END_TEST

START_TEST(settings_that_hang_together)
{
    ck_assert_int_eq(run("--config", "/dev/null", "-o", "limits.workers_max=3", "--workers", "4"), CONFIG_EXIT_BAD);
    ck_assert_str_eq(complained, "ptoolsd: [workers] count is 4, but [limits] workers_max is 3: it must not be less\n");
    ck_assert_int_eq(run("--config", "/dev/null", "-o", "limits.workers_max=1"), CONFIG_RUN);
    ck_assert_uint_eq(config.workers, 1);
    ck_assert_int_eq(run("--config", "/dev/null", "-o", "limits.message_max=1G"), CONFIG_EXIT_BAD);
    ck_assert_ptr_nonnull(strstr(complained, "client_output_max"));
    ck_assert_int_eq(run("--config", "/dev/null", "-o", "limits.user_bytes_max=255M"), CONFIG_EXIT_BAD);
    ck_assert_str_eq(complained, "ptoolsd: [limits] user_bytes_max is 267386880, but message_max is 134217728: it must "
                                 "be at least twice as much\n");
    ck_assert_int_eq(run("--config", "/dev/null", "-o", "limits.user_bytes_max=256M"), CONFIG_RUN);
}
END_TEST

START_TEST(wrong_flags_are_misuse)
{
    ck_assert_int_eq(run("--what"), CONFIG_EXIT_USAGE);
    ck_assert_int_eq(strncmp(complained, "ptoolsd: --what: ", 17), 0);
    ck_assert_ptr_nonnull(strstr(complained, "usage: ptoolsd"));
    ck_assert_int_eq(run("-x"), CONFIG_EXIT_USAGE);
    ck_assert_int_eq(strncmp(complained, "ptoolsd: -x: ", 13), 0);
    ck_assert_int_eq(run("argument"), CONFIG_EXIT_USAGE);
    ck_assert_int_eq(run("--workers"), CONFIG_EXIT_USAGE);
    ck_assert_int_eq(run("--private=yes"), CONFIG_EXIT_USAGE);
    ck_assert_int_eq(run("-o", "nonsense"), CONFIG_EXIT_USAGE);
    ck_assert_int_eq(run("-o", "a=b.c"), CONFIG_EXIT_USAGE);
    ck_assert_int_eq(run("-o"), CONFIG_EXIT_USAGE);
    ck_assert_int_eq(run("--ready-fd", "999"), CONFIG_EXIT_USAGE);
    ck_assert_int_eq(run("--ready-fd", "-1"), CONFIG_EXIT_USAGE);
    ck_assert_int_eq(run("--ready-fd", "1x"), CONFIG_EXIT_USAGE);
    ck_assert_int_eq(run("--ready-fd", "4294967296"), CONFIG_EXIT_USAGE);
    ck_assert_int_eq(run("--workers", "none", "--config", "/dev/null"), CONFIG_EXIT_BAD);
    ck_assert_int_eq(strncmp(complained, "--workers: [workers] count: \"none\" ", 35), 0);
    ck_assert_int_eq(run("-o", "workers.colour=3", "-o", "x.y=z", "--config", "/dev/null"), CONFIG_EXIT_BAD);
    ck_assert_ptr_nonnull(strstr(complained, "\"colour\""));
    ck_assert_ptr_nonnull(strstr(complained, "[x]"));
}
END_TEST

START_TEST(flags_that_only_tell)
{
    const struct setting *s;

    ck_assert_int_eq(run("--version", "--config", "/missing"), 0);
    ck_assert_str_eq(printed, "ptoolsd " PTOOLS_VERSION "\n");
    ck_assert_int_eq(run("--help"), 0);
    for (s = config_settings; s->key; s++) {
        ck_assert_ptr_nonnull(strstr(printed, s->key));
        ck_assert_ptr_nonnull(strstr(printed, s->help));
    }
    ck_assert_int_eq(run("--check-config", "--config", "/dev/null"), 0);
    ck_assert_str_eq(printed, "configuration is valid\n");
    ck_assert_str_eq(complained, "");
    ck_assert_int_eq(run("--private", "--ready-fd", "1", "--config", "/dev/null"), CONFIG_RUN);
    ck_assert(config.private_mode);
    ck_assert_int_eq(config.ready_fd, 1);
}
END_TEST

START_TEST(dump_reads_back_the_same)
{
    char *first;

    ck_assert_int_eq(run("--dump-config", "--config", "/dev/null", "--preload", "a b", "--module-path", "/m:/n", "-o",
                         "limits.message_max=131073"),
                     0);
    first = strdup(printed);
    write_file("dump.conf", first);
    ck_assert_int_eq(run("--dump-config", "--config", "dump.conf"), 0);
    ck_assert_str_eq(complained, "");
    ck_assert_str_eq(printed, first);
    free(first);
}
END_TEST

/* Every setting is in the shipped file, commented out, with its default, below its section and a comment. */
START_TEST(shipped_file_says_what_the_table_says)
{
    FILE *file = fopen(PACKAGING "/ptoolsd.conf", "re");
    const struct setting *s = config_settings;
    char line[300], expected[300], section[40] = "";
    bool comment = false;

    ck_assert_msg(file, "%s/ptoolsd.conf: %s", PACKAGING, strerror(errno));
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] == '[') {
            snprintf(section, sizeof section, "%.*s", (int)strcspn(line + 1, "]"), line + 1);
        } else if (line[0] == '#' && line[1] != ' ' && line[1]) {
            ck_assert_msg(s->key, "%s: more than the table has", line);
            snprintf(expected, sizeof expected, "#%s=%s", s->key,
                     strcmp(s->key, "worker_program") ? s->initial : "/usr/libexec/ptools/ptools-worker");
            ck_assert_str_eq(line, expected);
            ck_assert_str_eq(section, s->section);
            ck_assert_msg(comment, "%s: no comment above", line);
            s++;
        }
        comment = line[0] == '#' && line[1] == ' ';
    }
    fclose(file);
    ck_assert_msg(!s->key, "%s is missing", s->key);
    ck_assert_int_eq(run("--check-config", "--config", PACKAGING "/ptoolsd.conf"), 0);
}
END_TEST

/* The manual page has an item for each setting, in the same order, with its default. */
START_TEST(manual_page_says_what_the_table_says)
{
    FILE *file = fopen(PACKAGING "/man/ptoolsd.8", "re");
    const struct setting *s = config_settings;
    char line[300], expected[300];
    bool settings = false;

    ck_assert_msg(file, "%s/man/ptoolsd.8: %s", PACKAGING, strerror(errno));
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, ".Sh ", 4) == 0)
            settings = strcmp(line, ".Sh CONFIGURATION") == 0;
        if (!settings || strncmp(line, ".It Va ", 7) != 0)
            continue;
        ck_assert_msg(s->key, "%s: more than the table has", line);
        if (*s->initial && strcmp(s->key, "worker_program") != 0)
            snprintf(expected, sizeof expected, ".It Va %s Ns = Ns Li %s", s->key, s->initial);
        else
            snprintf(expected, sizeof expected, ".It Va %s", s->key);
        ck_assert_str_eq(line, expected);
        s++;
    }
    fclose(file);
    ck_assert_msg(!s->key, "%s is missing", s->key);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config");
    TCase *tc = suite_case(suite, "config");

    tcase_add_checked_fixture(tc, config_begin, config_end);
    tcase_add_test(tc, defaults_are_what_the_table_says);
    tcase_add_test(tc, each_number_takes_its_bounds_and_nothing_beyond);
    tcase_add_test(tc, sizes_have_suffixes_and_memory_has_percent);
    tcase_add_test(tc, strings_are_checked);
    tcase_add_test(tc, lists_grow_and_begin_anew);
    tcase_add_test(tc, file_has_sections_comments_and_space);
    tcase_add_test(tc, all_that_is_wrong_is_said_with_its_line);
    tcase_add_test(tc, lines_and_files_are_bounded);
    tcase_add_test(tc, settings_that_hang_together);
    tcase_add_test(tc, wrong_flags_are_misuse);
    tcase_add_test(tc, flags_that_only_tell);
    tcase_add_test(tc, dump_reads_back_the_same);
    tcase_add_test(tc, shipped_file_says_what_the_table_says);
    tcase_add_test(tc, manual_page_says_what_the_table_says);
    return suite_run(suite);
}
