/* SPDX-License-Identifier: MIT */
/*
 * message_notation -- what the tests of messages share: one decoder, and envelopes that can be read.
 *
 * Envelopes are written in a notation: [1 'call' 7 {'function' 'text.count'}]. Numbers, strings in
 * quotes, true, false, nil, lists, maps, and #HEX for bytes as they are. It makes assertions of Check.
 */
#ifndef TESTS_MESSAGE_NOTATION_H
#define TESTS_MESSAGE_NOTATION_H

#include "proto/message.h"

/* From message_setup() to message_teardown(), the fixture of each test. */
extern struct msg_decoder *decoder;
extern struct bytes out;
extern struct msg_problem problem;
void message_setup(void);
void message_teardown(void);

/* Replaces out by what the notation says. */
void write_envelope(const char *notation);
/* What is understood of it; anything wrong with it is a failure. */
struct msg_request request_from(const char *notation);
struct msg_answer answer_from(const char *notation);
/* m is written as the notation says it. */
void assert_request(const struct msg_request *m, const char *notation);
void assert_answer(const struct msg_answer *m, const char *notation);

struct text text(const char *s);
void assert_text(struct text t, const char *expected); /* NULL: absent */

#endif
