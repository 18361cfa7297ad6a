/* SPDX-License-Identifier: MIT */
/*
 * words -- texts that people write and read: durations, numbers, near misses, sizes. See words.c.
 */
#ifndef CLI_WORDS_H
#define CLI_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* 2, 0.5, 500ms, 2s, 3m, 1h: from a millisecond to a year, rounded to milliseconds. */
#define WORDS_DURATIONS "a duration is 1 ms to a year: 2, 0.5, 500ms, 2s, 3m, 1h"
bool words_duration(const char *text, int64_t *ret_ms);
/* Decimal digits alone, 1 to 2^31 - 1: what ids and counts may be. */
bool words_number(const char *text, uint32_t *ret);
/* Decimal digits alone, 0 to max. */
bool words_count(const char *text, uint64_t max, uint64_t *ret);
/* Bytes: decimal digits, and perhaps K, M, G or T behind them, which multiply by 1024 each; up to 2^63 - 1. */
#define WORDS_SIZES "a size is a number of bytes, or one with K, M, G or T behind it: 4096, 64K, 2G"
bool words_bytes(const char *text, uint64_t *ret);
/* 1 to 64 of A-Z a-z 0-9 _ . - , not beginning with a digit: what an array and server tasks are called. A prefix may
 * begin with one, and be empty. */
#define WORDS_NAMES "1 to 64 of A-Z a-z 0-9 _ . - , and not a digit first"
bool words_name(const char *text);
bool words_prefix(const char *text);
/* What a queued task may be tagged with. */
enum { WORDS_TAG_BYTES = 64 };
#define WORDS_TAGS "1 to 64 of A-Z a-z 0-9 _ - . : / = @ +"
bool words_tag(const char *text);
/* -1, 0.5, 1e3, inf, -inf: what a priority may be. */
#define WORDS_PRIORITIES "a priority is a number or inf, and lower ones run first: 0, -1, 0.5, 1e3"
bool words_priority(const char *text, double *ret);
/* MODULE.FUNCTION: each 1 to 64 of A-Z a-z 0-9 _ - */
bool words_function(const char *text);

/* What somebody may have meant who wrote `word`. Offer all that is allowed; best is NULL if none is near. */
struct nearest {
    const char *word;
    const char *best;
    unsigned distance;
};
void nearest_init(struct nearest *near, const char *word);
void nearest_offer(struct nearest *near, const char *allowed);

/* Whether the bytes are UTF-8 as Unicode defines it: no overlong forms, no surrogates. */
bool words_utf8(const void *data, size_t bytes);

enum { WORDS_BYTES = 32 };
const char *words_size(uint64_t bytes, char text[WORDS_BYTES]); /* "12.5M", "960K", "17B" */
const char *words_time(uint64_t us, char text[WORDS_BYTES]);    /* "17 us", "2.3 ms", "4.1 s", "3m 20s" */

/* For people: control characters, which could command a terminal, and what is no UTF-8 are written as \xNN. */
void words_print(FILE *out, const char *text, size_t bytes);

#endif
