/* SPDX-License-Identifier: MIT */
/*
 * fuzz_submission -- any text as the options of a task, which are also the fields of a line of JSON: lines of
 * NAME=VALUE. A field is refused with a sentence, or the task goes on to be made; what has been taken is within the
 * limits of the protocol.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/submission.h"
#include "client/cli/verb_submit.h"
#include "tests/fuzz/fuzz.h"

/* NULL: there is none that is a field. */
static const struct option_row *find(const char *name)
{
    for (const struct option_row *row = submit_options; row->name; row++)
        if (row->id < SUBMISSION_FIELDS && strcmp(row->name, name) == 0)
            return row;
    return NULL;
}

/* false: it is wrong, and nothing is submitted. */
static bool take(struct submission *s, char *line)
{
    char why[SUBMISSION_WHY_BYTES] = "", *value = strchr(line, '=');
    const struct option_row *row;
    int r;

    if (value)
        *value++ = '\0';
    row = find(line);
    if (!row || (row->value && !value))
        return true;
    r = submission_set(s, row->id, row->value ? value : NULL, why);
    check(r == 0 || (r == 1 && *why));
    return r == 0;
}

static void check_task(const struct submission *s)
{
    const ptools_worker_task *t = &s->task;

    check(!isnan(t->priority));
    check(t->delay_ms >= 0 && t->start_ms >= 0 && t->expire_ms >= 0 && t->deadline_ms >= 0 && t->keep_ms >= 0);
    check(t->attempts <= 255 && t->n_tags <= SUBMISSION_TAGS_MAX && t->key_bytes <= 64);
    check(!(t->delay_ms && t->start_ms));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct submission s;
    char why[SUBMISSION_WHY_BYTES] = "", *text = fuzz_text(data, n);
    bool taken = true;
    int r;

    submission_init(&s);
    for (char *line = text, *end; line && taken; line = end) {
        end = strchr(line, '\n');
        if (end)
            *end++ = '\0';
        taken = take(&s, line);
    }
    if (taken) {
        r = submission_check(&s, why);
        check(r == 0 || (r == 1 && *why));
        if (r == 0)
            check_task(&s);
    }
    submission_deinit(&s);
    free(text);
    return 0;
}
