/* SPDX-License-Identifier: MIT */
/*
 * actions -- the list of what should happen, and the three kinds of entries that many need.
 *
 * The array grows by doubling and keeps its memory. An answer whose text lies in its own action is
 * put right when the array moves. When there is no memory for an entry, no_memory is set and the entry
 * is dropped, with whatever reference it would have held.
 */
#include "daemon/core/actions.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { ACTIONS_CAP_MIN = 16 };

struct core_row *core_row_free(struct core_row *row)
{
    if (!row)
        return NULL;
    blob_free(row->spec);
    blob_free(row->args);
    blob_free(row->outcome);
    blob_free(row->value);
    free(row);
    return NULL;
}

void actions_init(struct actions *a)
{
    *a = (struct actions){ 0 };
}

void actions_clear(struct actions *a)
{
    for (size_t i = 0; i < a->n; i++) {
        a->v[i].payload = blob_free(a->v[i].payload);
        a->v[i].row = core_row_free(a->v[i].row);
    }
    a->n = 0;
}

void actions_deinit(struct actions *a)
{
    actions_clear(a);
    free(a->v);
    actions_init(a);
}

static bool grow(struct actions *a)
{
    size_t cap = a->cap ? a->cap * 2 : ACTIONS_CAP_MIN;
    struct action *v = cap > SIZE_MAX / sizeof *v ? NULL : malloc(cap * sizeof *v);

    if (!v)
        return false;
    for (size_t i = 0; i < a->n; i++) {
        v[i] = a->v[i];
        if (v[i].type == ACT_ANSWER && v[i].answer.failed && v[i].answer.failure.message.data == a->v[i].text)
            v[i].answer.failure.message.data = v[i].text;
    }
    free(a->v);
    a->v = v;
    a->cap = cap;
    return true;
}

struct action *action_add(struct actions *a, enum action_type type)
{
    struct action *act;

    if (a->n == a->cap && !grow(a)) {
        a->no_memory = true;
        return NULL;
    }
    act = &a->v[a->n++];
    memset(act, 0, offsetof(struct action, text));
    act->text[0] = '\0';
    act->type = type;
    return act;
}

void action_worker(struct actions *a, enum action_type type, uint32_t worker, uint64_t task)
{
    struct action *act = action_add(a, type);

    if (!act)
        return;
    act->worker = worker;
    act->task = task;
}

void action_note(struct actions *a, enum note note, uint32_t worker, uint64_t task, const char *format, ...)
{
    struct action *act = action_add(a, ACT_NOTE);
    va_list args;

    if (!act)
        return;
    act->note = note;
    act->worker = worker;
    act->task = task;
    va_start(args, format);
    vsnprintf(act->text, sizeof act->text, format, args);
    va_end(args);
}

void action_bug(struct actions *a, uint32_t worker, uint64_t task, const char *format, ...)
{
    struct action *act = action_add(a, ACT_BUG);
    va_list args;

    if (!act)
        return;
    act->worker = worker;
    act->task = task;
    va_start(args, format);
    vsnprintf(act->text, sizeof act->text, format, args);
    va_end(args);
}

void answer_reply(struct actions *a, uint32_t client, uint64_t request, const struct msg_reply *reply,
                  struct blob *value)
{
    struct action *act = action_add(a, ACT_ANSWER);

    if (!act)
        return;
    act->client = client;
    act->answer.id = request;
    act->answer.reply = *reply;
    act->payload = value ? blob_ref(value) : NULL;
}

static void set_message(struct action *act)
{
    act->answer.failure.message = (struct text){ act->text, strlen(act->text) };
}

void answer_failure(struct actions *a, uint32_t client, uint64_t request, const struct msg_failure *failure,
                    const char *sentence)
{
    answer_failure_with(a, client, request, failure, sentence, NULL);
}

void answer_failure_with(struct actions *a, uint32_t client, uint64_t request, const struct msg_failure *failure,
                         const char *sentence, struct blob *payload)
{
    struct action *act = action_add(a, ACT_ANSWER);

    if (!act)
        return;
    act->client = client;
    act->answer.failed = true;
    act->answer.id = request;
    act->answer.failure = *failure;
    act->payload = payload ? blob_ref(payload) : NULL;
    if (!sentence)
        return;
    snprintf(act->text, sizeof act->text, "%s", sentence);
    set_message(act);
}

void answer_refusal(struct actions *a, uint32_t client, uint64_t request, ptools_err code, const char *format, ...)
{
    struct action *act = action_add(a, ACT_ANSWER);
    va_list args;

    if (!act)
        return;
    act->client = client;
    act->answer.failed = true;
    act->answer.id = request;
    act->answer.failure.code = code;
    va_start(args, format);
    vsnprintf(act->text, sizeof act->text, format, args);
    va_end(args);
    set_message(act);
}
