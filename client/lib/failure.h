/* SPDX-License-Identifier: MIT */
/*
 * failure -- the facts about one failure, with texts of its own.
 *
 * Recording a failure never fails: when there is no memory for its texts, code and numbers are kept,
 * the message is that of the code, and the other texts are empty. No text is ever NULL.
 */
#ifndef CLIENT_LIB_FAILURE_H
#define CLIENT_LIB_FAILURE_H

#include <ptools/ptools.h>

#include "proto/message.h"

struct failure {
    ptools_failure facts; /* its texts lie in `texts`, or are static */
    uint32_t state;       /* of a queued task: enum task_shown; 0: not told */
    char *texts;          /* one block, NULL if there is none */
};

/* No failure: code PTOOLS_OK, every text "". */
void failure_init(struct failure *f);
void failure_deinit(struct failure *f);
/* Copies what the daemon told. */
void failure_set(struct failure *f, const struct msg_failure *told);
/* A failure without further facts: message is borrowed and must outlive f. */
void failure_set_message(struct failure *f, ptools_err code, const char *message, bool maybe_executed);
void failure_copy(struct failure *f, const struct failure *from);

#endif
