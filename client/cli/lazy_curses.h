/* SPDX-License-Identifier: MIT */
/*
 * lazy_curses -- ncurses, loaded when it is wanted: one verb of many draws, and the others need not wait while the
 * dynamic linker finds two libraries more. See lazy_curses.c.
 */
#ifndef CLI_LAZY_CURSES_H
#define CLI_LAZY_CURSES_H

#include <stdbool.h>

#define NCURSES_NOMACROS 1 /* they would reach for variables of the library, which is not linked */
#include <curses.h>

/* Functions alone. Each is a member of that name. */
#define CURSES_FUNCTIONS(X)                                                                                            \
    X(newterm)                                                                                                         \
    X(delscreen)                                                                                                       \
    X(endwin)                                                                                                          \
    X(noecho)                                                                                                          \
    X(cbreak)                                                                                                          \
    X(keypad)                                                                                                          \
    X(nodelay)                                                                                                         \
    X(curs_set)                                                                                                        \
    X(getmaxx)                                                                                                         \
    X(getmaxy)                                                                                                         \
    X(werase)                                                                                                          \
    X(wmove)                                                                                                           \
    X(waddnstr)                                                                                                        \
    X(wattrset)                                                                                                        \
    X(wgetch)                                                                                                          \
    X(wrefresh)                                                                                                        \
    X(clearok)                                                                                                         \
    X(resizeterm)                                                                                                      \
    X(newwin)                                                                                                          \
    X(start_color)                                                                                                     \
    X(use_default_colors)                                                                                              \
    X(init_pair)                                                                                                       \
    X(has_colors)                                                                                                      \
    X(COLOR_PAIR)

struct lazy_curses {
#define CURSES_MEMBER(name) __typeof__(&name) name;
    CURSES_FUNCTIONS(CURSES_MEMBER)
#undef CURSES_MEMBER
};

/* NULL: it is not installed, as why (static) tells. */
const struct lazy_curses *lazy_curses_load(const char **why);

#endif
