/* SPDX-License-Identifier: MIT */
/*
 * where_words -- the words of an expression, one after the other, and what is said about the wrong ones.
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/where.h"
#include "client/cli/where_tree.h"

#define DIGITS  "0123456789"
#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"

int where_wrong(struct parser *p, size_t at, size_t n, const char *format, ...)
{
    char what[WHERE_WHY_BYTES - 100];
    va_list args;

    if (p->wrong)
        return WHERE_NONE;
    p->wrong = true;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    if (n > 0)
        snprintf(p->why, WHERE_WHY_BYTES, "at character %zu, %.*s: %s", at + 1, (int)(n < 40 ? n : 40), p->text + at,
                 what);
    else
        snprintf(p->why, WHERE_WHY_BYTES, "at its end: %s", what);
    return WHERE_NONE;
}

static const struct {
    const char *text;
    enum operator_kind op;
} operators[] = {
    { "||", OP_OR },      { "&&", OP_AND },      { "==", OP_EQUAL }, { "!=", OP_UNEQUAL },
    { "<=", OP_AT_MOST }, { ">=", OP_AT_LEAST }, { "<", OP_LESS },   { ">", OP_MORE },
    { "~", OP_LIKE },     { "!", OP_NOT },       { "+", OP_PLUS },   { "-", OP_MINUS },
    { "*", OP_TIMES },    { "/", OP_BY },        { "(", OP_OPEN },   { ")", OP_CLOSE },
};

static void read_number(struct parser *p, struct token *t)
{
    static const struct {
        const char *name;
        enum field_unit unit;
        double factor;
    } units[] = {
        { "", UNIT_NONE, 1 },       { "ms", UNIT_TIME, 1e3 },   { "s", UNIT_TIME, 1e6 },
        { "m", UNIT_TIME, 60e6 },   { "h", UNIT_TIME, 3600e6 }, { "K", UNIT_NONE, 0x1p10 },
        { "M", UNIT_NONE, 0x1p20 }, { "G", UNIT_NONE, 0x1p30 }, { "T", UNIT_NONE, 0x1p40 },
    };
    const char *s = p->text + t->at;
    size_t n = strspn(s, DIGITS), unit, exponent;

    t->kind = TOKEN_NUMBER;
    if (s[n] == '.' && s[n + 1] && strchr(DIGITS, s[n + 1]))
        n += 1 + strspn(s + n + 1, DIGITS);
    if (s[n] == 'e' || s[n] == 'E') {
        exponent = 1 + (s[n + 1] == '-' || s[n + 1] == '+');
        if (s[n + exponent] && strchr(DIGITS, s[n + exponent]))
            n += exponent + strspn(s + n + exponent, DIGITS);
    }
    t->number = strtod(s, NULL); /* not hexadecimal: what follows the digits is looked at here */
    unit = strspn(s + n, LETTERS DIGITS ".");
    t->n = n + unit;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strlen(units[i].name) != unit || memcmp(units[i].name, s + n, unit) != 0)
            continue;
        t->number *= units[i].factor;
        t->unit = units[i].unit;
        if (!isfinite(t->number))
            where_wrong(p, t->at, t->n, "the number is too large");
        return;
    }
    where_wrong(p, t->at, t->n,
                "a number is 10, 0.5 or 1e3; behind it stands a unit of time (ms, s, m, h) or of bytes "
                "(K, M, G, T), or none");
}

static void read_string(struct parser *p, struct token *t)
{
    const char *s = p->text + t->at, quote = *s++;
    struct where *w = p->where;

    t->kind = TOKEN_STRING;
    t->string = w->strings_used;
    for (; *s != quote; s++) {
        if (*s == '\\' && (s[1] == '"' || s[1] == '\'' || s[1] == '\\'))
            s++;
        if (!*s) {
            t->n = strlen(p->text + t->at);
            where_wrong(p, t->at, t->n, "the string is not closed: %c is missing", quote);
            return;
        }
        w->strings[w->strings_used++] = *s;
    }
    t->n = (size_t)(s + 1 - (p->text + t->at));
    t->bytes = w->strings_used - t->string;
}

static void read_operator(struct parser *p, struct token *t)
{
    const char *s = p->text + t->at;

    t->kind = TOKEN_OPERATOR;
    for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++) {
        t->n = strlen(operators[i].text);
        t->op = operators[i].op;
        if (strncmp(s, operators[i].text, t->n) == 0)
            return;
    }
    t->n = 1;
    if (strchr("=&|", *s))
        where_wrong(p, t->at, 1, "it is written twice: ==, &&, ||");
    else
        where_wrong(p, t->at, 1,
                    "this has no meaning here; allowed are fields, numbers, strings in quotes, and the "
                    "operators || && ! == != < <= > >= ~ + - * / ( )");
}

void where_next(struct parser *p)
{
    struct token *t = &p->token;
    size_t at = t->at + t->n;
    const char *s;

    at += strspn(p->text + at, " \t\r\n");
    *t = (struct token){ .at = at };
    s = p->text + at;
    if (!*s) {
        t->kind = TOKEN_END;
    } else if (strchr(DIGITS, *s)) {
        read_number(p, t);
    } else if (*s == '"' || *s == '\'') {
        read_string(p, t);
    } else if (strchr(LETTERS, *s)) {
        t->kind = TOKEN_NAME;
        t->n = strspn(s, LETTERS DIGITS);
    } else {
        read_operator(p, t);
    }
}
