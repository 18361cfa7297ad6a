/* SPDX-License-Identifier: MIT */
/*
 * pfork_rig -- what the tests of pfork share: small functions for children, and checks of what came of them.
 */
#ifndef TESTS_PFORK_RIG_H
#define TESTS_PFORK_RIG_H

#include <ptools/ptools.h>

#include "tests/support/suite.h"

/* The function of a child: its own number as the value. */
ptools_err give_index(int i, void *arg, ptools_child *child);

/* Runs it; the code must be `expected`. Returns what came of it. */
ptools_children *pfork_as(ptools_err expected, int n, ptools_pfork_fn f, void *arg,
                          const ptools_pfork_options *options);
/* Outcome i. */
const ptools_child_outcome *outcome_of(const ptools_children *c, int i);
/* Its code is that. */
void ck_code(const ptools_children *c, int i, ptools_err code);
/* Its value is that integer. */
void ck_value(const ptools_children *c, int i, int64_t expected);
int64_t value_of(const ptools_children *c, int i);
/* Its message has this in it. */
void ck_says(const ptools_children *c, int i, const char *part);

/* n numbers that this process and its children share. */
int *shared_ints(size_t n);
void shared_free(int *at, size_t n);
/* Until *at is no longer `old`: without a sleep (futex). */
void await_change(const int *at, int old);
void set_and_wake(int *at, int value);

/* This process has no child, also none that waits to be reaped. */
void ck_no_children(void);

#endif
