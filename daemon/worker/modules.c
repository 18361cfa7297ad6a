/* SPDX-License-Identifier: MIT */
/*
 * modules -- see modules.h. modpath.c finds the file, here it is loaded and questioned.
 *
 * The file is loaded through the descriptor that was checked, as /proc/self/fd/N. The dynamic linker
 * knows objects by that name: a second module under the same N would be taken for the first. So each
 * number is used once, in this process and in all that are forked from it; the descriptor itself is
 * closed when the object is mapped.
 */
#include "daemon/worker/modules.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/worker/words.h"
#include "proto/message.h"
#include "proto/report.h"
#include "proto/text.h"
#include "proto/util.h"

enum { NUMBER_FIRST = 64, FLAGS_KNOWN = PTOOLS_FN_IDEMPOTENT | PTOOLS_FN_TIDY };

void modules_init(struct modules *m, const char *search)
{
    *m = (struct modules){ .search = search, .next_number = NUMBER_FIRST };
}

static struct module *module_free(struct module *module)
{
    if (module)
        free(module->functions);
    free(module);
    return NULL;
}
DEFINE_AUTO(module)

void modules_deinit(struct modules *m)
{
    struct module *module, *next;

    HASH_CLEAR(hh, m->by_function);
    HASH_ITER(hh, m->by_name, module, next) {
        HASH_DEL(m->by_name, module);
        module_free(module);
    }
}

struct module *modules_find(struct modules *m, const char *name)
{
    struct module *module;

    HASH_FIND_STR(m->by_name, name, module);
    return module;
}

struct function *modules_function(struct modules *m, const char *name, size_t n)
{
    struct function *function;

    HASH_FIND(hh, m->by_function, name, n, function);
    return function;
}

/* -- questions to a module ------------------------------------------------------------------- */

static bool help_ok(const char *help)
{
    size_t n = help ? strnlen(help, REPORT_TEXT_MAX + 1) : 0;

    return n <= REPORT_TEXT_MAX && (n == 0 || text_is_clean(help, n, false));
}

static bool check_function(const ptools_function *all, size_t i, char why[WHY_BYTES])
{
    const ptools_function *f = &all[i];
    size_t n = strnlen(f->name, NAME_BYTES_MAX + 1);

    if (!name_ok_module(f->name, n)) {
        char shown[NAME_BYTES_MAX + 2];

        snprintf(shown, sizeof shown, "%s", f->name);
        text_clean(shown, strlen(shown), false);
        snprintf(why, WHY_BYTES, "its function %zu is called '%s': a name is 1 to %u of A-Z a-z 0-9 _ -", i + 1, shown,
                 NAME_BYTES_MAX);
        return false;
    }
    for (size_t k = 0; k < i; k++) {
        if (strcmp(all[k].name, f->name) == 0) {
            snprintf(why, WHY_BYTES, "it has two functions that are called '%s'", f->name);
            return false;
        }
    }
    if (!f->fn) {
        snprintf(why, WHY_BYTES, "its function '%s' has no code: fn is NULL", f->name);
        return false;
    }
    if (!help_ok(f->help)) {
        snprintf(why, WHY_BYTES, "the help of its function '%s' is not one line of at most %d bytes of UTF-8", f->name,
                 REPORT_TEXT_MAX);
        return false;
    }
    if (f->flags & ~(uint32_t)FLAGS_KNOWN) {
        snprintf(why, WHY_BYTES, "its function '%s' has unknown flags: 0x%x; this ptools knows 0x%x", f->name,
                 f->flags & ~(uint32_t)FLAGS_KNOWN, FLAGS_KNOWN);
        return false;
    }
    return true;
}

/* True, and the number of functions; else why. */
static bool check_info(const ptools_module_info *info, size_t *ret_n, char why[WHY_BYTES])
{
    size_t n = 0;

    if (info->abi != PTOOLS_MODULE_ABI) {
        snprintf(why, WHY_BYTES, "it was built for module ABI %u, this ptools has %u", info->abi, PTOOLS_MODULE_ABI);
        return false;
    }
    if (info->struct_size != sizeof *info) {
        snprintf(why, WHY_BYTES, "its ptools_module says that it has %u bytes, this ptools expects %zu",
                 info->struct_size, sizeof *info);
        return false;
    }
    if (!help_ok(info->help)) {
        snprintf(why, WHY_BYTES, "its help is not one line of at most %d bytes of UTF-8", REPORT_TEXT_MAX);
        return false;
    }
    if (!info->functions || !info->functions[0].name) {
        snprintf(why, WHY_BYTES, "it has no functions");
        return false;
    }
    for (n = 0; info->functions[n].name; n++) {
        if (n == REPORT_FUNCTIONS_MAX) {
            snprintf(why, WHY_BYTES, "it has more than %d functions, or its table does not end with a NULL name",
                     REPORT_FUNCTIONS_MAX);
            return false;
        }
        if (!check_function(info->functions, n, why))
            return false;
    }
    *ret_n = n;
    return true;
}

/* -- loading --------------------------------------------------------------------------------- */

/* What dlerror() says, with the real path in the place of /proc/self/fd/N. */
static void explain_dlerror(const char *link, char why[WHY_BYTES])
{
    const char *text = dlerror();

    if (!text)
        text = "unknown error of the dynamic linker";
    if (strncmp(text, link, strlen(link)) == 0 && strncmp(text + strlen(link), ": ", 2) == 0)
        text += strlen(link) + 2;
    snprintf(why, WHY_BYTES, "the dynamic linker says: %s", text);
}

/* The module's descriptor table, or NULL and why. Takes fd. */
static const ptools_module_info *load_object(struct modules *m, int take_fd, char why[WHY_BYTES])
{
    int fd = fcntl(take_fd, F_DUPFD_CLOEXEC, m->next_number);
    const ptools_module_info *info = NULL;
    char link[32];
    void *handle;

    if (fd < 0)
        snprintf(why, WHY_BYTES, "no descriptor number from %d on is free: %s", m->next_number, strerror(errno));
    close(take_fd);
    if (fd < 0)
        return NULL;
    m->next_number = fd + 1;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    handle = dlopen(link, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        explain_dlerror(link, why);
    } else {
        info = dlsym(handle, "ptools_module");
        if (!info)
            snprintf(why, WHY_BYTES, "it does not define ptools_module");
    }
    close(fd);
    return info;
}

static ptools_err add(struct modules *m, const char *name, const char *path, const ptools_module_info *info, size_t n,
                      struct module **ret)
{
    AUTO(module) module = calloc(1, sizeof *module);

    if (!module)
        return PTOOLS_ERR_NO_MEMORY;
    module->functions = calloc(n, sizeof *module->functions);
    if (!module->functions)
        return PTOOLS_ERR_NO_MEMORY;
    strcpy(module->name, name);
    strcpy(module->path, path);
    module->info = info;
    module->n = n;
    module->started = !info->start;
    for (size_t i = 0; i < n; i++) {
        struct function *f = &module->functions[i];

        f->row = &info->functions[i];
        f->module = module;
        f->last_us = UINT64_MAX;
        snprintf(f->name, sizeof f->name, "%s.%s", name, f->row->name);
        HASH_ADD_STR(m->by_function, name, f);
    }
    HASH_ADD_STR(m->by_name, name, module);
    *ret = TAKE(module);
    return PTOOLS_OK;
}

ptools_err modules_add_own(struct modules *m, const char *name, const ptools_module_info *info)
{
    char why[WHY_BYTES];
    struct module *module;
    size_t n;

    return check_info(info, &n, why) ? add(m, name, "(part of ptools-worker)", info, n, &module) : PTOOLS_ERR_INTERNAL;
}

ptools_err modules_load(struct modules *m, const char *name, struct module **ret, char ret_path[PATH_MAX],
                        char why[WHY_BYTES])
{
    struct module *loaded = modules_find(m, name);
    const ptools_module_info *info;
    enum modpath_result found;
    int fd = -1;
    size_t n;

    if (loaded) {
        *ret = loaded;
        return PTOOLS_OK;
    }
    ret_path[0] = '\0';
    found = modpath_open(m->search, name, &fd, ret_path, why);
    if (found != MODPATH_FOUND)
        return found == MODPATH_MISSING ? PTOOLS_ERR_NO_MODULE : PTOOLS_ERR_MODULE_BROKEN;
    info = load_object(m, fd, why);
    words_learn(name, ret_path);
    if (!info || !check_info(info, &n, why))
        return PTOOLS_ERR_MODULE_BROKEN;
    if (add(m, name, ret_path, info, n, ret) != PTOOLS_OK) {
        snprintf(why, WHY_BYTES, "no memory for its table of functions");
        return PTOOLS_ERR_MODULE_BROKEN;
    }
    return PTOOLS_OK;
}

/* -- reports --------------------------------------------------------------------------------- */

/* report_encode() reads, cuts and cleans: a report that is only encoded may borrow. */
static char *borrowed(const char *text)
{
    return (char *)(uintptr_t)(text ? text : "");
}

void modules_report(const struct module *module, uint32_t flags, struct bytes *out)
{
    AUTO_MEM struct report_function *functions = calloc(module->n, sizeof *functions);
    struct report report = {
        .module = borrowed(module->name),
        .help = borrowed(module->info->help),
        .path = borrowed(module->path),
        .problem = borrowed(""),
        .flags = flags,
        .n = module->n,
        .functions = functions,
    };

    if (!functions) {
        out->err = -ENOMEM;
        return;
    }
    for (size_t i = 0; i < module->n; i++) {
        const ptools_function *row = module->functions[i].row;

        functions[i] = (struct report_function){ borrowed(row->name), borrowed(row->help), row->flags };
    }
    report_encode(&report, out);
}

void modules_report_problem(const char *name, const char *path, ptools_err code, const char *why, struct bytes *out)
{
    struct report report = {
        .module = borrowed(name), .help = borrowed(""), .path = borrowed(path), .problem = borrowed(why), .code = code
    };

    report_encode(&report, out);
}
