/* SPDX-License-Identifier: MIT */
/*
 * text -- makes what a stranger wrote fit to be shown and to travel as a msgpack string.
 *
 * A cleaned text is UTF-8 without control characters, of the length it had: each byte that does
 * not belong becomes '?'. Static inline functions only.
 */
#ifndef PROTO_TEXT_H
#define PROTO_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The length of the UTF-8 character at the front of s[0..n), n > 0; 0: there is none. */
static inline size_t text_utf8(const char *s, size_t n)
{
    const uint8_t *u = (const uint8_t *)s;
    uint8_t low = 0x80, high = 0xbf; /* of the second byte: no overlong forms, surrogates, or > U+10FFFF */
    size_t length;

    if (u[0] < 0x80)
        return 1;
    if (u[0] < 0xc2 || u[0] > 0xf4)
        return 0;
    length = u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : 4;
    if (n < length)
        return 0;
    if (u[0] == 0xe0)
        low = 0xa0;
    else if (u[0] == 0xed)
        high = 0x9f;
    else if (u[0] == 0xf0)
        low = 0x90;
    else if (u[0] == 0xf4)
        high = 0x8f;
    if (u[1] < low || u[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((u[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

/* The length of the printable character at the front; 0: it would be cleaned away. lines: '\n' may stay. */
static inline size_t text_printable(const char *s, size_t n, bool lines)
{
    uint8_t c = (uint8_t)s[0];

    if ((c < 0x20 && !(lines && c == '\n')) || c == 0x7f)
        return 0;
    return text_utf8(s, n);
}

static inline bool text_is_clean(const char *s, size_t n, bool lines)
{
    size_t i = 0, step;

    while (i < n) {
        step = text_printable(s + i, n - i, lines);
        if (step == 0)
            return false;
        i += step;
    }
    return true;
}

static inline void text_clean(char *s, size_t n, bool lines)
{
    size_t i = 0, step;

    while (i < n) {
        step = text_printable(s + i, n - i, lines);
        if (step == 0) {
            s[i] = '?';
            step = 1;
        }
        i += step;
    }
}

#endif
