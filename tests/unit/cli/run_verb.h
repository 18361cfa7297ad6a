/* SPDX-License-Identifier: MIT */
/*
 * run_verb -- a command line as the shell gives it, run inside the test.
 */
#ifndef TESTS_CLI_RUN_VERB_H
#define TESTS_CLI_RUN_VERB_H

struct outcome {
    int status;
    char *out, *err; /* free by outcome_free() */
};
/* text: the words behind "ptools", with blanks between; a word may stand in { }, to have blanks in it. input: what is
 * on standard input; NULL: nothing. */
struct outcome run_verb(const char *text, const char *input);
void outcome_free(struct outcome *o);

#endif
