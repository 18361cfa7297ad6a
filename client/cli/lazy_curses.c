/* SPDX-License-Identifier: MIT */
/*
 * lazy_curses -- see lazy_curses.h. By dlopen(), under the name that the library has had since ncurses 6.0.
 */
#include "client/cli/lazy_curses.h"

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

static bool find(void *library, const char *name, void *function, size_t bytes)
{
    void *symbol = dlsym(library, name);

    memcpy(function, &symbol, bytes);
    return symbol != NULL;
}

const struct lazy_curses *lazy_curses_load(const char **why)
{
    static struct lazy_curses curses;
    void *library = dlopen("libncursesw.so.6", RTLD_NOW | RTLD_LOCAL);
    bool all = library != NULL;

#define CURSES_FIND(name) all = all && find(library, #name, &curses.name, sizeof curses.name);
    CURSES_FUNCTIONS(CURSES_FIND)
#undef CURSES_FIND
    if (all)
        return &curses;
    *why = dlerror();
    return NULL;
}
