/* SPDX-License-Identifier: MIT */
/*
 * submission -- see submission.h. One text a field, whether it comes from the command line or from a line of JSON.
 */
#include "client/cli/submission.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/failure.h"
#include "client/cli/tasks.h"
#include "client/cli/times.h"
#include "client/cli/words.h"

enum { ATTEMPTS_MAX = 255, HOST_BYTES = 253 };

void submission_init(struct submission *s)
{
    *s = (struct submission){ .task = PTOOLS_WORKER_TASK_INIT };
    s->task.durability = PTOOLS_CRASHSAFE; /* whoever submits from a shell is gone at once, the task is not to be */
}

void submission_deinit(struct submission *s)
{
    for (size_t i = 0; i < SUBMISSION_HOSTS_MAX && s->hosts[i]; i++)
        free(s->hosts[i]);
    ids_deinit(&s->ids);
}

unsigned submission_group(int field)
{
    switch (field) {
    case SUBMISSION_WORKER:
    case SUBMISSION_HOST:
    case SUBMISSION_SET:
        field = SUBMISSION_TARGET;
        break;
    case SUBMISSION_AT:
        field = SUBMISSION_DELAY;
        break;
    case SUBMISSION_CRASHSAFE:
    case SUBMISSION_DURABLE:
        field = SUBMISSION_VOLATILE;
        break;
    case SUBMISSION_ANY_TARGET:
        field = SUBMISSION_WAIT_TARGET;
        break;
    case SUBMISSION_RETRIES:
        field = SUBMISSION_ATTEMPTS;
        break;
    }
    return (unsigned)(field - OPTION_OF_VERB);
}

static int __attribute__((__format__(__printf__, 2, 3))) wrong(char why[SUBMISSION_WHY_BYTES], const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(why, SUBMISSION_WHY_BYTES, format, args);
    va_end(args);
    return 1;
}

/* -- one field each --------------------------------------------------------------------------------------- */

static int set_duration(int64_t *ret, const char *text, char why[SUBMISSION_WHY_BYTES])
{
    return words_duration(text, ret) ? 0 : wrong(why, "%.80s: " WORDS_DURATIONS, text);
}

/* Calls take for each part of a list with commas between. */
static int each(struct submission *s, const char *text, int (*take)(struct submission *s, char *part, char *why),
                char why[SUBMISSION_WHY_BYTES])
{
    int r = 0;

    for (const char *at = text; r == 0; at++) {
        size_t n = strcspn(at, ",");
        char *part = strndup(at, n);

        r = part ? take(s, part, why) : -ENOMEM;
        at += n;
        if (!*at)
            break;
    }
    return r;
}

static int take_worker(struct submission *s, char *part, char *why)
{
    uint32_t id = 0;
    bool good = words_number(part, &id);
    int r =
        good ? 0 : wrong(why, "%.40s: the id of a worker is a number, 1 or more; several with commas between", part);

    free(part);
    if (good && s->task.n_targets == SUBMISSION_WORKERS_MAX)
        return wrong(why, "that are more than %d workers", SUBMISSION_WORKERS_MAX);
    if (good)
        s->workers[s->task.n_targets++] = id;
    return r;
}

static int take_host(struct submission *s, char *part, char *why)
{
    size_t n = strlen(part);
    int r = 0;

    if (n == 0 || n > HOST_BYTES)
        r = wrong(why, "\"%.40s\" is no name or address of a host; several with commas between", part);
    else if (s->task.n_targets == SUBMISSION_HOSTS_MAX)
        r = wrong(why, "that are more than %d hosts", SUBMISSION_HOSTS_MAX);
    if (r == 0)
        s->hosts[s->task.n_targets++] = part;
    else
        free(part);
    return r;
}

static int take_retry(struct submission *s, char *part, char *why)
{
    static const struct {
        const char *name;
        uint32_t bit;
    } causes[] = { { "died", PTOOLS_RETRY_DIED },
                   { "failed", PTOOLS_RETRY_FAILED },
                   { "timeout", PTOOLS_RETRY_TIMEOUT } };
    uint32_t bit = 0;

    for (size_t i = 0; i < sizeof causes / sizeof causes[0]; i++)
        if (strcmp(causes[i].name, part) == 0)
            bit = causes[i].bit;
    s->task.retry_on |= bit;
    if (!bit)
        wrong(why, "%.40s: allowed are died, failed and timeout, with commas between", part);
    free(part);
    return bit ? 0 : 1;
}

static int set_target(struct submission *s, const char *text, char why[SUBMISSION_WHY_BYTES])
{
    if (strcmp(text, "any") != 0 && strcmp(text, "all") != 0)
        return wrong(why, "%.80s: allowed are any and all; worker, host and set name others", text);
    s->task.target = *(text + 1) == 'n' ? PTOOLS_TARGET_ANY : PTOOLS_TARGET_ALL;
    return 0;
}

static int set_set(struct submission *s, const char *text, char why[SUBMISSION_WHY_BYTES])
{
    s->set = text;
    return words_name(text) ? 0 : wrong(why, "\"%.80s\" is no name of a worker set: allowed are " WORDS_NAMES, text);
}

static int set_attempts(struct submission *s, const char *text, char why[SUBMISSION_WHY_BYTES])
{
    if (words_number(text, &s->task.attempts) && s->task.attempts <= ATTEMPTS_MAX)
        return 0;
    return wrong(why, "%.80s: allowed is a number from 1 to %d", text, ATTEMPTS_MAX);
}

static int set_backoff(struct submission *s, const char *text, char why[SUBMISSION_WHY_BYTES])
{
    const char *comma = strchr(text, ',');
    char first[24];

    snprintf(first, sizeof first, "%.*s", (int)(comma && comma - text < 23 ? comma - text : 23), text);
    if (!words_duration(first, &s->task.backoff_ms) || (!comma && strcmp(first, text) != 0) ||
        (comma && (strlen(first) != (size_t)(comma - text) || !words_duration(comma + 1, &s->task.backoff_max_ms))))
        return wrong(
            why, "%.80s: it is before the second attempt, and after a comma at most: 1s, or 1s,5m; " WORDS_DURATIONS,
            text);
    if (comma && s->task.backoff_max_ms < s->task.backoff_ms)
        return wrong(why, "%.80s: the second is the most, and less than the first", text);
    return 0;
}

static int set_key(struct submission *s, const char *text, char why[SUBMISSION_WHY_BYTES])
{
    size_t n = strlen(text);

    s->task.key = text;
    s->task.key_bytes = n;
    return n >= 1 && n <= IDS_KEY_BYTES ? 0 : wrong(why, "a key is 1 to %d bytes, and this one %zu", IDS_KEY_BYTES, n);
}

static int set_tag(struct submission *s, const char *text, char why[SUBMISSION_WHY_BYTES])
{
    if (!words_tag(text))
        return wrong(why, "%.80s: a tag is " WORDS_TAGS, text);
    if (s->task.n_tags == SUBMISSION_TAGS_MAX)
        return wrong(why, "%.80s: that is one too many; a task has at most %d tags", text, SUBMISSION_TAGS_MAX);
    s->tags[s->task.n_tags++] = text;
    return 0;
}

/* What stands behind the last of them and is not a part of its name, as it is in keys and tags: it holds for all. */
static const char *after_suffix(const char *text)
{
    const char *comma = strrchr(text, ','), *last = comma ? comma + 1 : text, *colon = strrchr(last, ':');

    if (!colon || strncmp(text, "key:", 4) == 0 || strstr(text, ",key:") || strncmp(last, "tag:", 4) == 0)
        return text + strlen(text);
    return colon;
}

static int set_after(struct submission *s, const char *text, char why[SUBMISSION_WHY_BYTES])
{
    const char *suffix = after_suffix(text);
    char reason[IDS_WHY_BYTES] = "", *words;
    int r;

    if (strcmp(suffix, ":any") == 0)
        s->task.flags |= PTOOLS_TASK_AFTER_ANY;
    else if (strcmp(suffix, ":success") == 0)
        s->success = true;
    else if (*suffix)
        return wrong(why, "\"%.80s\": behind the last of them :success or :any may stand", text);
    words = strndup(text, (size_t)(suffix - text));
    r = words ? ids_add(&s->ids, words, reason) : -ENOMEM;
    free(words);
    return r == 1 ? wrong(why, "%s", reason) : r;
}

static int set_at(struct submission *s, const char *text, char why[SUBMISSION_WHY_BYTES])
{
    char reason[TIMES_WHY_BYTES] = "";

    return times_read(text, times_now_ms(), &s->task.start_ms, reason) ? 0 : wrong(why, "%s", reason);
}

static int set_flag(struct submission *s, int field)
{
    static const struct {
        int field;
        uint32_t flag;
    } flags[] = {
        { SUBMISSION_WAIT_TARGET, PTOOLS_TASK_WAIT_TARGET },
        { SUBMISSION_ANY_TARGET, PTOOLS_TASK_ANY_TARGET },
        { SUBMISSION_IDEMPOTENT, PTOOLS_TASK_IDEMPOTENT },
        { SUBMISSION_AFTER_ANY, PTOOLS_TASK_AFTER_ANY },
        { SUBMISSION_AFTER_KEEP, PTOOLS_TASK_AFTER_KEEP },
        { SUBMISSION_HOLD, PTOOLS_TASK_HOLD },
        { SUBMISSION_BLOCK, PTOOLS_TASK_BLOCK },
    };

    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
        if (flags[i].field == field)
            s->task.flags |= flags[i].flag;
    return 0;
}

/* -- all of them ------------------------------------------------------------------------------------------ */

static int set_in_group(struct submission *s, int field, const char *text, char why[SUBMISSION_WHY_BYTES])
{
    switch (field) {
    case SUBMISSION_PRIORITY:
        return words_priority(text, &s->task.priority) ? 0 : wrong(why, "%.80s: " WORDS_PRIORITIES, text);
    case SUBMISSION_TARGET:
        return set_target(s, text, why);
    case SUBMISSION_WORKER:
        s->task.target = PTOOLS_TARGET_WORKERS;
        return each(s, text, take_worker, why);
    case SUBMISSION_HOST:
        s->task.target = PTOOLS_TARGET_HOSTS;
        return each(s, text, take_host, why);
    case SUBMISSION_SET:
        s->task.target = PTOOLS_TARGET_SET;
        return set_set(s, text, why);
    case SUBMISSION_DELAY:
        return set_duration(&s->task.delay_ms, text, why);
    case SUBMISSION_AT:
        return set_at(s, text, why);
    case SUBMISSION_EXPIRE:
        return set_duration(&s->task.expire_ms, text, why);
    case SUBMISSION_DEADLINE:
        return set_duration(&s->task.deadline_ms, text, why);
    case SUBMISSION_GRACE:
        return set_duration(&s->task.grace_ms, text, why);
    case SUBMISSION_ATTEMPTS:
    case SUBMISSION_RETRIES:
        return set_attempts(s, text, why);
    case SUBMISSION_RETRY_ON:
        return each(s, text, take_retry, why);
    case SUBMISSION_BACKOFF:
        return set_backoff(s, text, why);
    case SUBMISSION_KEY:
        return set_key(s, text, why);
    case SUBMISSION_TAG:
        return set_tag(s, text, why);
    case SUBMISSION_AFTER:
        return set_after(s, text, why);
    case SUBMISSION_KEEP:
        return set_duration(&s->task.keep_ms, text, why);
    case SUBMISSION_RESULT_MAX:
        return words_bytes(text, &s->task.result_max) && s->task.result_max > 0
                   ? 0
                   : wrong(why, "%.80s: " WORDS_SIZES ", 1 or more", text);
    case SUBMISSION_VOLATILE:
        s->task.durability = PTOOLS_VOLATILE;
        return 0;
    case SUBMISSION_CRASHSAFE:
        s->task.durability = PTOOLS_CRASHSAFE;
        return 0;
    case SUBMISSION_DURABLE:
        s->task.durability = PTOOLS_DURABLE;
        return 0;
    default:
        return set_flag(s, field);
    }
}

/* Who names a target in one way does not name it in another, too. */
static int check_group(const struct submission *s, int field, char why[SUBMISSION_WHY_BYTES])
{
    const unsigned group = submission_group(field);
    const bool given = s->given >> group & 1;
    bool same = true;

    if (!given)
        return 0;
    switch (field) {
    case SUBMISSION_TARGET:
    case SUBMISSION_SET:
        return wrong(why, "target, worker, host and set exclude each other");
    case SUBMISSION_WORKER:
        same = s->task.target == PTOOLS_TARGET_WORKERS;
        break;
    case SUBMISSION_HOST:
        same = s->task.target == PTOOLS_TARGET_HOSTS;
        break;
    case SUBMISSION_WAIT_TARGET:
        return s->task.flags & PTOOLS_TASK_ANY_TARGET ? wrong(why, "wait-target and any-target exclude each other") : 0;
    case SUBMISSION_ANY_TARGET:
        return s->task.flags & PTOOLS_TASK_WAIT_TARGET ? wrong(why, "wait-target and any-target exclude each other")
                                                       : 0;
    case SUBMISSION_DELAY:
        return s->task.start_ms ? wrong(why, "delay and at exclude each other") : 0;
    case SUBMISSION_AT:
        return s->task.delay_ms ? wrong(why, "delay and at exclude each other") : 0;
    case SUBMISSION_VOLATILE:
    case SUBMISSION_CRASHSAFE:
    case SUBMISSION_DURABLE:
        return wrong(why, "volatile, crashsafe and durable exclude each other");
    }
    return same ? 0 : wrong(why, "target, worker, host and set exclude each other");
}

int submission_set(struct submission *s, int field, const char *text, char why[SUBMISSION_WHY_BYTES])
{
    int r = check_group(s, field, why);

    if (r == 0)
        r = set_in_group(s, field, text, why);
    s->given |= UINT64_C(1) << submission_group(field);
    return r;
}

int submission_check(struct submission *s, char why[SUBMISSION_WHY_BYTES])
{
    const uint32_t flags = s->task.flags;

    if ((flags & (PTOOLS_TASK_AFTER_ANY | PTOOLS_TASK_AFTER_KEEP)) && s->ids.n == 0)
        return wrong(why, "%s: there is no task that comes first (after)",
                     flags & PTOOLS_TASK_AFTER_ANY ? "after-any" : "after-keep");
    if ((flags & PTOOLS_TASK_AFTER_ANY) && s->success)
        return wrong(why, "after: of all that come first the same is wanted, :success or :any (after-any)");
    if ((flags & PTOOLS_TASK_AFTER_ANY) && (flags & PTOOLS_TASK_AFTER_KEEP))
        return wrong(why, "after-any and after-keep exclude each other");
    return 0;
}

/* -- what must be asked for ------------------------------------------------------------------------------- */

static int open_set(const struct command_line *line, ptools *pt, struct submission *s, struct submission_set *set)
{
    ptools_workerset *opened;
    ptools_err r;

    if (!set->set || strcmp(set->name, s->set) != 0) {
        r = ptools_workerset_open(pt, s->set, &opened);
        if (r != PTOOLS_OK)
            return failure_report_last(line, pt, r);
        ptools_workerset_free(set->set);
        set->set = opened;
        snprintf(set->name, sizeof set->name, "%s", s->set);
    }
    s->task.set = set->set;
    return EXIT_VALUE;
}

static int find_after(const struct command_line *line, ptools *pt, struct submission *s)
{
    const struct tasks_wish wish = { .ids = s->ids };
    struct tasks tasks;
    int status = tasks_find(line, pt, &wish, 0, &tasks);

    if (status != EXIT_VALUE)
        return status;
    status = tasks.status;
    if (status == EXIT_VALUE && tasks.n > SUBMISSION_AFTER_MAX)
        status = command_line_wrong(line, "after: %zu tasks are meant, and at most %d may come first", tasks.n,
                                    SUBMISSION_AFTER_MAX);
    for (size_t i = 0; i < tasks.n && status == EXIT_VALUE; i++)
        s->after[i] = tasks.items[i].id;
    s->task.n_after = (uint32_t)tasks.n;
    tasks_deinit(&tasks);
    return status;
}

int submission_task(const struct command_line *line, ptools *pt, struct submission *s, struct submission_set *set)
{
    int status = EXIT_VALUE;

    if (s->set)
        status = open_set(line, pt, s, set);
    if (status == EXIT_VALUE && s->ids.n > 0)
        status = find_after(line, pt, s);
    if (s->task.target == PTOOLS_TARGET_WORKERS)
        s->task.workers = s->workers;
    if (s->task.target == PTOOLS_TARGET_HOSTS)
        s->task.hosts = (const char *const *)s->hosts;
    s->task.tags = s->tags;
    s->task.after = s->after;
    return status;
}
