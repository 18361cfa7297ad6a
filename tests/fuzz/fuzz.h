/* SPDX-License-Identifier: MIT */
/*
 * fuzz -- what each target has: the function that libFuzzer and replay_main.c call, and the end of the one whose check
 * does not hold.
 */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static inline void check(bool holds)
{
    if (!holds)
        abort();
}

/* The input as a string of the exact size: a sanitizer sees a read behind its end. To be freed. */
static inline char *fuzz_text(const uint8_t *data, size_t n)
{
    char *text = malloc(n + 1);

    check(text);
    if (n > 0)
        memcpy(text, data, n);
    text[n] = '\0';
    return text;
}

#endif
