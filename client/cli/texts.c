/* SPDX-License-Identifier: MIT */
/*
 * texts -- see texts.h. Nothing is a string of C here but by the way: a NUL may be in each.
 */
#include "client/cli/texts.h"

#include <stdlib.h>
#include <string.h>

#include "client/cli/words.h"

void texts_deinit(struct texts *s)
{
    free(s->bytes);
    free(s->ends);
    *s = (struct texts){ 0 };
}

void texts_reset(struct texts *s)
{
    s->n_bytes = s->n = 0;
    s->no_memory = false;
}

/* For n bytes and a NUL. */
static bool make_room(struct texts *s, size_t n)
{
    size_t room = s->room_bytes ? s->room_bytes : 64;
    char *larger;

    if (s->no_memory)
        return false;
    if (s->room_bytes - s->n_bytes > n)
        return true;
    while (room - s->n_bytes <= n)
        room *= 2;
    larger = realloc(s->bytes, room);
    s->no_memory = !larger;
    if (!larger)
        return false;
    s->bytes = larger;
    s->room_bytes = room;
    return true;
}

void texts_put(struct texts *s, const void *data, size_t n)
{
    if (n == 0 || !make_room(s, n))
        return;
    memcpy(s->bytes + s->n_bytes, data, n);
    s->n_bytes += n;
}

void texts_end(struct texts *s)
{
    if (s->n == s->room) {
        const size_t room = s->room ? 2 * s->room : 8;
        size_t *larger = realloc(s->ends, room * sizeof *larger);

        s->no_memory |= !larger;
        if (!larger)
            return;
        s->ends = larger;
        s->room = room;
    }
    if (!make_room(s, 0))
        return;
    s->ends[s->n++] = s->n_bytes;
    s->bytes[s->n_bytes++] = '\0';
}

void texts_add(struct texts *s, const void *data, size_t n)
{
    texts_put(s, data, n);
    texts_end(s);
}

const char *texts_get(const struct texts *s, size_t i, size_t *ret_n)
{
    const size_t at = i > 0 ? s->ends[i - 1] + 1 : 0;

    *ret_n = s->ends[i] - at;
    return s->bytes + at;
}

uint64_t texts_mark(const void *data, size_t n)
{
    const unsigned char *s = data;
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < n; i++)
        h = (h ^ s[i]) * UINT64_C(0x100000001b3);
    return h;
}

/* -- for a shell ------------------------------------------------------------------------------------------- */

static bool is_plain(const char *s, size_t n)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./:,+@%=^";

    for (size_t i = 0; i < n; i++)
        if (!s[i] || !strchr(plain, s[i]))
            return false;
    return n > 0 && s[0] != '=' && s[0] != '^'; /* of which zsh and old shells think something */
}

static bool is_printable(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
            return false;
    return words_utf8(s, n);
}

static void escape(FILE *out, unsigned char c)
{
    switch (c) {
    case '\n':
        fputs("\\n", out);
        break;
    case '\t':
        fputs("\\t", out);
        break;
    case '\'':
    case '\\':
        fprintf(out, "\\%c", c);
        break;
    default:
        fprintf(out, c < 0x20 || c >= 0x7f ? "\\%03o" : "%c", c);
    }
}

void texts_quote(FILE *out, const void *data, size_t n)
{
    const char *s = data;

    if (is_plain(s, n)) {
        fwrite(s, 1, n, out);
    } else if (is_printable(s, n)) {
        putc('\'', out);
        for (size_t i = 0; i < n; i++)
            if (s[i] == '\'')
                fputs("'\\''", out);
            else
                putc(s[i], out);
        putc('\'', out);
    } else {
        fputs("$'", out);
        for (size_t i = 0; i < n; i++)
            escape(out, (unsigned char)s[i]);
        putc('\'', out);
    }
}

void texts_quote_all(FILE *out, const struct texts *s)
{
    for (size_t i = 0; i < s->n; i++) {
        size_t n;
        const char *word = texts_get(s, i, &n);

        if (i > 0)
            putc(' ', out);
        texts_quote(out, word, n);
    }
}
