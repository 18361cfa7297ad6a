/* SPDX-License-Identifier: MIT */
/*
 * actions -- how the core writes its list of actions (core.h says what they mean). Inside the core only.
 */
#ifndef CORE_ACTIONS_H
#define CORE_ACTIONS_H

#include "daemon/core/core.h"

/* A new last entry, all zero but for its type. NULL: no memory, and a->no_memory says so. Valid until the next. */
struct action *action_add(struct actions *a, enum action_type type);

/* One about a worker, and a task if it is about one (0: none). */
void action_worker(struct actions *a, enum action_type type, uint32_t worker, uint64_t task);
void action_note(struct actions *a, enum note note, uint32_t worker, uint64_t task, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
void action_bug(struct actions *a, uint32_t worker, uint64_t task, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Takes a reference of value (NULL: none). */
void answer_reply(struct actions *a, uint32_t client, uint64_t request, const struct msg_reply *reply,
                  struct blob *value);
/* sentence: the message, copied (and cut to fit). NULL: failure->message stays, borrowed like its other texts. */
void answer_failure(struct actions *a, uint32_t client, uint64_t request, const struct msg_failure *failure,
                    const char *sentence);
/* And a payload, if it is not NULL: a reference is taken. */
void answer_failure_with(struct actions *a, uint32_t client, uint64_t request, const struct msg_failure *failure,
                         const char *sentence, struct blob *payload);
/* A request is refused; the sentence is copied. */
void answer_refusal(struct actions *a, uint32_t client, uint64_t request, ptools_err code, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

#endif
