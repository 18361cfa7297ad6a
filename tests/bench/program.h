/* SPDX-License-Identifier: MIT */
/* program -- what the benchmarks have in common: settings, and a Check test to run as. */
#ifndef TESTS_BENCH_PROGRAM_H
#define TESTS_BENCH_PROGRAM_H

#include <check.h>

#include <ptools/ptools.h>

/* A number of the environment, from 1 to most. */
unsigned program_setting(const char *name, unsigned usual, unsigned most);
/* Runs one test, so that a failure anywhere in it, also in a child, is told as one: the program's exit status. */
int program_run(const char *program, const TTest *test);
/* PTOOLS_OK, or the test fails with the story. Not ck_assert_ptools(): see phase_assert(). */
void must(ptools *pt, ptools_err err);

#endif
