/* SPDX-License-Identifier: MIT */
/*
 * commands_rig -- what the tests of commands share: putting the map of command.run together, key by key, and looking at
 * the map that it returns.
 */
#ifndef TESTS_COMMANDS_RIG_H
#define TESTS_COMMANDS_RIG_H

#include <stdarg.h>

#include <ptools/ptools.h>

#include "tests/integration/server.h"

/* A daemon, a client, and a directory for what commands leave. */
struct commands_rig {
    struct server server;
    ptools *pt;
    char dir[64];
};
void commands_up(struct commands_rig *rig, unsigned workers);
/* All workers are whole, and nothing is left. */
void commands_down(struct commands_rig *rig, unsigned workers);
/* The path of a file there, until the next call. */
const char *commands_in_dir(const struct commands_rig *rig, const char *name);

enum { COMMAND_KEYS = 16 };

/* The arguments that are being put together: a map of so many keys; those that are not needed are nil at the end. */
struct command {
    ptools_pack *pack;
    uint32_t n;
};

/* argv ... ended by NULL. */
void command_begin(struct command *c, const char *program, ...);
/* sh -c script. */
void command_sh(struct command *c, const char *script);
void command_free(struct command *c);

/* A key whose value is appended next to the pack that it returns. */
ptools_pack *command_key(struct command *c, const char *key);
void command_str(struct command *c, const char *key, const char *value);
void command_int(struct command *c, const char *key, int64_t value);
void command_bool(struct command *c, const char *key, bool value);
void command_bytes(struct command *c, const char *key, const void *data, size_t n);
/* A list of strings, ended by NULL. */
void command_list(struct command *c, const char *key, const char *const *values);

/* All of it as the one argument, borrowed; nothing can be added any more. */
const ptools_pack *command_args(struct command *c);

/* Runs it as a plain call, waiting for the value, which is a map; the future is the caller's. Asserts that it comes. */
ptools_value command_value(ptools *pt, struct command *c, ptools_future **ret);
/* The same, and it fails: the facts, until the next failure. */
const ptools_failure *command_fails(ptools *pt, struct command *c, ptools_err code);

uint64_t value_u64(ptools_value map, const char *key);
bool value_has(ptools_value map, const char *key);
/* A copy of bytes or a string, with a NUL behind it; free() it. */
char *value_bytes(ptools_value map, const char *key, size_t *ret_n);
void value_is(ptools_value map, const char *key, const char *text);

/* Runs it, asserts exit status 0, this output and no error output, and frees it. */
void command_prints(ptools *pt, struct command *c, const char *out);

/* Waits until a process has written its number into that file (as `echo $$ > FILE.new; mv FILE.new FILE` does). */
pid_t command_pid_in(const char *path);
/* Waits until no process has that number. */
void command_pid_gone(pid_t pid);

#endif
