/* SPDX-License-Identifier: MIT */
/*
 * where -- expressions over the fields of a queued task: which ones (--where), and what priority (`ptools priority`).
 *
 *     state == "queued" && priority > 3 && tag ~ "night*" && age > 10m
 *
 * Values    Numbers (10, 0.5, 1e3, inf; 64K, 2G are bytes), durations (500ms, 2s, 3m, 1h), strings in " or ' (with \
 *           before one of these), true, false, and the fields, by their names in JSON. Besides these: age (a duration),
 *           now (milliseconds since 1970, as queued_ms); tag and after stand for each item of their lists in turn: a
 *           comparison holds if it holds for one of them, and != if == does not hold.
 * Operators By how tightly they bind: - (of one), * /, + -, == != < <= > >= ~ (the string is like the pattern, with *
 *           for any characters and ? for one), !, &&, ||. Parentheses.
 * Units     run_us is a number of microseconds, queued_ms one of milliseconds: beside a duration each is one, too. age
 *           has no unit of its own: it goes with durations alone, and age / 1s is its number of seconds.
 *
 * All types are checked when the text is read, so that an expression that is taken never fails. See where.c.
 */
#ifndef CLI_WHERE_H
#define CLI_WHERE_H

#include <stdbool.h>
#include <stdint.h>

#include <ptools/ptools.h>
#include <ptools/queue.h>

enum { WHERE_WHY_BYTES = 800, WHERE_TEXT_BYTES = 4000 };
enum where_kind { WHERE_CONDITION, WHERE_NUMBER };

struct where;
/* 0; 1: it is wrong, why tells where and what is allowed; -ENOMEM. */
int where_new(const char *text, enum where_kind kind, struct where **ret, char why[WHERE_WHY_BYTES]);
struct where *where_free(struct where *where);

bool where_holds(const struct where *where, const ptools_queued_info *task, int64_t now_ms);
double where_number(const struct where *where, const ptools_queued_info *task, int64_t now_ms);
/* Whether it is the same for all tasks at all times. */
bool where_is_constant(const struct where *where);

#endif
