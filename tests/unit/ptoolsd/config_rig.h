/* SPDX-License-Identifier: MIT */
/*
 * config_rig -- what the tests of the settings share: a home of their own with nothing said in the environment, and the
 * daemon's command line without the daemon.
 */
#ifndef TESTS_CONFIG_RIG_H
#define TESTS_CONFIG_RIG_H

#include "daemon/ptoolsd/config.h"

extern struct config config;
extern char *printed, *complained; /* by the last run(); freed at the end */
extern char home[];                /* also the working directory */

/* For tcase_add_checked_fixture(). */
void config_begin(void);
void config_end(void);
void config_again(void); /* config is as it was at the beginning */
void write_file(const char *path, const char *text);

/* The command line, but for the program's own name; the value is that of config_from_command_line(). */
#define run(...) run_args((const char *[]){ "ptoolsd", __VA_ARGS__, NULL })
int run_args(const char **args);

#endif
