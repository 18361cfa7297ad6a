/* SPDX-License-Identifier: MIT */
/*
 * config_rig -- see config_rig.h.
 */
#include "tests/unit/ptoolsd/config_rig.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/suite.h"

struct config config;
char *printed, *complained;
char home[] = "/tmp/ptools-config-XXXXXX";

void config_begin(void)
{
    ck_assert_ptr_nonnull(mkdtemp(home));
    ck_assert_int_eq(chdir(home), 0);
    unsetenv("PTOOLS_DIR");
    unsetenv("PTOOLS_MODULE_PATH");
    unsetenv("XDG_CONFIG_HOME");
    unsetenv("XDG_STATE_HOME");
    setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
    setenv("HOME", home, 1);
    ck_assert_int_eq(config_init(&config), 0);
}

void config_end(void)
{
    char command[100];

    config_deinit(&config);
    free(printed);
    free(complained);
    printed = complained = NULL;
    snprintf(command, sizeof command, "rm -r %s", home);
    ck_assert_int_eq(system(command), 0);
}

void config_again(void)
{
    config_deinit(&config);
    ck_assert_int_eq(config_init(&config), 0);
}

void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");

    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

int run_args(const char **args)
{
    char *argv[16], *copies[16]; /* getopt_long() permutes its own */
    size_t printed_n, complained_n;
    FILE *out, *err;
    int argc, n, status;

    free(printed);
    free(complained);
    out = open_memstream(&printed, &printed_n);
    err = open_memstream(&complained, &complained_n);
    for (argc = 0; args[argc]; argc++)
        argv[argc] = copies[argc] = strdup(args[argc]);
    argv[argc] = NULL;
    config_again();
    status = config_from_command_line(&config, argc, argv, out, err);
    for (n = 0; n < argc; n++)
        free(copies[n]);
    fclose(out);
    fclose(err);
    return status;
}
