/* SPDX-License-Identifier: MIT */
/*
 * test_help -- every verb and option stands in --help and in the man page, and the exit statuses in the man page are
 * those of the program. (The completions ask the program.) The files are in CLI_PACKAGING.
 */
#include <stdlib.h>
#include <string.h>

#include "client/cli/failure.h"
#include "client/cli/verbs.h"
#include "tests/support/suite.h"

static char *help_of(const struct verb *verb)
{
    char *text;
    size_t n;
    FILE *out = open_memstream(&text, &n);

    help_print(verb, out);
    fclose(out);
    return text;
}

static char *file_text(const char *name)
{
    char path[1000], *text = NULL;
    size_t n = 0;
    FILE *f;

    snprintf(path, sizeof path, CLI_PACKAGING "/%s", name);
    f = fopen(path, "re");
    ck_assert_msg(f != NULL, "%s", path);
    ck_assert_int_gt(getdelim(&text, &n, '\0', f), 0);
    fclose(f);
    return text;
}

static void expect_option(const char *text, const char *where, const struct option_row *row)
{
    char name[40];

    snprintf(name, sizeof name, "--%s", row->name);
    ck_assert_msg(strstr(text, name) != NULL, "%s does not mention %s", where, name);
}

/* As mdoc writes an option: "Fl -name", and "Fl x". */
static void expect_in_man(const char *text, const struct option_row *row)
{
    char name[40];

    snprintf(name, sizeof name, "Fl -%s", row->name);
    ck_assert_msg(strstr(text, name) != NULL, "the man page has no %s", name);
    if (row->letter) {
        snprintf(name, sizeof name, "Fl %c", row->letter);
        ck_assert_msg(strstr(text, name) != NULL, "the man page has no %s", name);
    }
}

START_TEST(rows_are_sound)
{
    for (size_t i = 0; verbs[i]; i++) {
        ck_assert(verbs[i]->run != NULL);
        ck_assert_ptr_nonnull(verbs[i]->usage[0]);
        ck_assert_ptr_eq(verb_find(verbs[i]->name), verbs[i]);
        if (verbs[i]->alias)
            ck_assert_ptr_eq(verb_find(verbs[i]->alias), verbs[i]);
        ck_assert_int_eq(verbs[i]->about[strlen(verbs[i]->about) - 1], '\n');
        for (const struct option_row *row = verbs[i]->options; row && row->name; row++) {
            ck_assert_int_ge(row->id, OPTION_OF_VERB);
            ck_assert_ptr_nonnull(row->help);
            for (const struct option_row *other = global_options; other->name; other++) {
                ck_assert_str_ne(row->name, other->name);
                ck_assert(!row->letter || row->letter != other->letter);
            }
        }
    }
    ck_assert_ptr_null(verb_find("frobnicate"));
    ck_assert_ptr_null(verb_find(""));
    ck_assert_str_eq(verb_nearest("modul"), "modules");
}
END_TEST

START_TEST(help_of_each_verb)
{
    for (size_t i = 0; verbs[i]; i++) {
        char *text = help_of(verbs[i]), begin[60];

        snprintf(begin, sizeof begin, "Usage: ptools %s", verbs[i]->name);
        ck_assert_int_eq(strncmp(text, begin, strlen(begin)), 0);
        for (const struct option_row *row = verbs[i]->options; row && row->name; row++)
            expect_option(text, verbs[i]->name, row);
        for (const struct option_row *row = global_options; row->name; row++)
            expect_option(text, verbs[i]->name, row);
        for (const char *line = text; *line; line = strchr(line, '\n') + 1)
            ck_assert_msg(strcspn(line, "\n") <= 110, "a line of %s is too long: %.120s", verbs[i]->name, line);
        free(text);
    }
}
END_TEST

START_TEST(help_of_all)
{
    char *text = help_of(NULL), line[200];

    for (size_t i = 0; verbs[i]; i++) {
        snprintf(line, sizeof line, "\n  %-10s%s\n", verbs[i]->name, verbs[i]->summary);
        ck_assert_msg(strstr(text, line) != NULL, "%s", verbs[i]->name);
    }
    for (const struct option_row *row = global_options; row->name; row++)
        expect_option(text, "--help", row);
    for (size_t i = 0; exit_statuses[i].meaning; i++)
        ck_assert_ptr_nonnull(strstr(text, exit_statuses[i].meaning));
    free(text);
}
END_TEST

START_TEST(a_snapshot)
{
    char *text = help_of(&verb_sets);

    ck_assert_str_eq(
        text, "Usage: ptools sets\n"
              "       ptools sets create NAME [--mode rr|ff] ID...\n"
              "       ptools sets change NAME --mode rr|ff ID...\n"
              "       ptools sets rm NAME\n"
              "\n"
              "Lists the worker sets; creates one of the workers ID...; gives one other workers and another mode;\n"
              "removes one. A set stays until it is removed or the daemon ends. Round robin deals the calls out in\n"
              "the order of the ids, busy or not; first free gives a call to a worker that is free, or is the next\n"
              "to become so.\n"
              "\n"
              "Options:\n"
              "      --mode rr|ff        round robin (the default of create), or first free\n"
              "\n"
              "Options of all verbs:\n"
              "      --dir DIR           the daemon that serves DIR (the same as PTOOLS_DIR)\n"
              "      --address ADDR      the daemon at ADDR: a directory, ipc://PATH or tcp://HOST:PORT\n"
              "      --user USER         the daemon of this user of the service, for its admins\n"
              "      --json              documents on standard output, and failures on standard error, as JSON\n"
              "  -h, --help              this text\n"
              "  -V, --version           the version of ptools\n");
    free(text);
}
END_TEST

START_TEST(man_page)
{
    char *text = file_text("man/ptools.1"), line[60];

    for (size_t i = 0; verbs[i]; i++) {
        snprintf(line, sizeof line, "Ic %s", verbs[i]->name);
        ck_assert_msg(strstr(text, line) != NULL, "the man page has no verb %s", verbs[i]->name);
        if (verbs[i]->alias) {
            snprintf(line, sizeof line, "Ic %s", verbs[i]->alias);
            ck_assert_msg(strstr(text, line) != NULL, "the man page has no verb %s", verbs[i]->alias);
        }
        for (const struct option_row *row = verbs[i]->options; row && row->name; row++)
            expect_in_man(text, row);
    }
    for (const struct option_row *row = global_options; row->name; row++)
        expect_in_man(text, row);
    for (size_t i = 0; exit_statuses[i].meaning; i++) {
        snprintf(line, sizeof line, "\n.It %d\n", exit_statuses[i].status);
        ck_assert_msg(strstr(text, line) != NULL, "the man page has no exit status %d", exit_statuses[i].status);
    }
    for (int code = 0; code < 100; code++) {
        const char *name = ptools_errname((ptools_err)code);

        ck_assert_msg(failure_exit_status((ptools_err)code) == EXIT_PTOOLS || code == PTOOLS_OK ||
                          strstr(text, name) != NULL,
                      "the man page does not say what %s exits with", name);
    }
    free(text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("help");
    TCase *tc = suite_case(suite, "help");

    tcase_add_test(tc, rows_are_sound);
    tcase_add_test(tc, help_of_each_verb);
    tcase_add_test(tc, help_of_all);
    tcase_add_test(tc, a_snapshot);
    tcase_add_test(tc, man_page);
    return suite_run(suite);
}
