/* SPDX-License-Identifier: MIT */
/*
 * modules -- the modules that are loaded in this process, and their functions by name.
 *
 * The template has one of these; a forked worker inherits it, with all that was loaded before the fork,
 * and adds what it loads itself. Nothing is ever unloaded. What a module says about itself is checked
 * once, when it is loaded; a module that failed leaves no trace and may be tried again.
 */
#ifndef WORKER_MODULES_H
#define WORKER_MODULES_H

#include <stdbool.h>

#include <ptools/module.h>
#define HASH_FUNCTION HASH_OAT /* uthash's default falls through its cases, which clang warns of */
#include <uthash.h>

#include "daemon/worker/modpath.h"
#include "proto/bytes.h"
#include "proto/limits.h"

struct module;

struct function {
    char name[FUNCTION_BYTES_MAX + 1]; /* "text.count" */
    const ptools_function *row;
    struct module *module;
    uint64_t last_us;                  /* how long it ran the last time here; UINT64_MAX: it did not */
    UT_hash_handle hh;
};

struct module {
    char name[NAME_BYTES_MAX + 1];
    char path[PATH_MAX];
    const ptools_module_info *info;
    size_t n;
    struct function *functions;
    bool started;                      /* its start() came back well, or it has none */
    UT_hash_handle hh;
};

struct modules {
    const char *search;                /* the module path; borrowed */
    struct module *by_name;
    struct function *by_function;
    int next_number;                   /* see modules.c: never used for a descriptor before */
};

void modules_init(struct modules *m, const char *search);
void modules_deinit(struct modules *m); /* forgets; the objects stay mapped */

struct module *modules_find(struct modules *m, const char *name);
struct function *modules_function(struct modules *m, const char *name, size_t n);

/* Makes a module known that is part of the program: nothing is loaded for it, and no file can take its place. */
ptools_err modules_add_own(struct modules *m, const char *name, const ptools_module_info *info);

/* Loads NAME, unless it is loaded already. PTOOLS_OK; PTOOLS_ERR_NO_MODULE, PTOOLS_ERR_MODULE_BROKEN:
 * why is the sentence, and ret_path, if a file was found, its path, else "". */
ptools_err modules_load(struct modules *m, const char *name, struct module **ret, char ret_path[PATH_MAX],
                        char why[WHY_BYTES]);

/* What the daemon wants to know: the module, or (NULL) what came of trying to load it. The error sticks in out. */
void modules_report(const struct module *module, uint32_t flags, struct bytes *out);
void modules_report_problem(const char *name, const char *path, ptools_err code, const char *why, struct bytes *out);

#endif
