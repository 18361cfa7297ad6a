/* SPDX-License-Identifier: MIT */
/*
 * arguments -- what a function is called with, from words, files and standard input. See arguments.c.
 */
#ifndef CLI_ARGUMENTS_H
#define CLI_ARGUMENTS_H

#include <ptools/value.h>

enum { ARGUMENTS_WHY_BYTES = 320 };

/* A word: the JSON value that it is, or itself. PTOOLS_OK; _INVALID: why tells; _NO_MEMORY. */
ptools_err arguments_add_word(ptools_pack *pack, const char *word, char why[ARGUMENTS_WHY_BYTES]);
/* All that is in the file (path NULL: in standard input): a string if it is UTF-8 without NUL, else bytes.
 * PTOOLS_OK; _SYSTEM: cannot read it, why tells; _TOO_LARGE; _NO_MEMORY. */
ptools_err arguments_add_file(ptools_pack *pack, const char *path, char why[ARGUMENTS_WHY_BYTES]);

#endif
