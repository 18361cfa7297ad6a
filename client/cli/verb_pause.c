/* SPDX-License-Identifier: MIT */
/*
 * verb_pause -- `ptools pause` and `ptools resume`: the queue of this user, or what has a tag, stands still and goes
 * on.
 *
 * Unlike hold, which is done to tasks, a pause is about all that come later, too.
 */
#include "client/cli/failure.h"
#include "client/cli/session.h"
#include "client/cli/tasks.h"
#include "client/cli/verbs.h"
#include "client/cli/words.h"

static const struct option_row options[] = {
    { OPTION_TAG, '\0', "tag", "TAG", "tasks that have this tag, and no others; several times for several" },
    { 0 },
};
static const char *const usage[] = { "[--tag TAG]...", NULL };

typedef ptools_err set_fn(ptools *pt, const char *tag, uint64_t *ret_tasks);

static int check(const struct command_line *line)
{
    for (size_t i = 0; i < line->n; i++) {
        const struct item *item = &line->items[i];

        if (item->id == ITEM_WORD)
            return command_line_wrong(line,
                                      "\"%.80s\": it takes no words, but --tag; hold and release are for single "
                                      "tasks",
                                      item->text);
        if (item->id == OPTION_TAG && !words_tag(item->text))
            return command_line_wrong(line, "--tag %.80s: a tag is " WORDS_TAGS, item->text);
    }
    return EXIT_VALUE;
}

static int report(const struct command_line *line, uint64_t changed)
{
    struct json_writer w;

    if (!line->json)
        return EXIT_VALUE;
    session_document(&w);
    json_key(&w, "changed");
    json_put_u64(&w, changed);
    return session_document_end(line, &w);
}

static int set(const struct command_line *line, set_fn *fn)
{
    PTOOLS_AUTO(ptools) pt = NULL;
    uint64_t changed = 0, n = 0;
    ptools_err r = PTOOLS_OK;
    int status = check(line);

    if (status == EXIT_VALUE)
        status = session_open(line, false, 0, &pt);
    if (status != EXIT_VALUE)
        return status;
    if (line->n == 0)
        r = fn(pt, NULL, &changed);
    for (size_t i = 0; i < line->n && r == PTOOLS_OK; i++) {
        r = fn(pt, line->items[i].text, &n);
        changed += n;
    }
    return r == PTOOLS_OK ? report(line, changed) : failure_report_last(line, pt, r);
}

static int run_pause(const struct command_line *line)
{
    return set(line, ptools_queue_pause);
}

static int run_resume(const struct command_line *line)
{
    return set(line, ptools_queue_resume);
}

const struct verb verb_pause = {
    .name = "pause",
    .summary = "begin no queued task any more, or none with a tag",
    .usage = usage,
    .about = "Begins none of this user's queued tasks any more, also of those that are queued later, until `ptools\n"
             "resume`; with --tag none that has the tag. What runs goes on, and so do calls. `ptools status` shows\n"
             "what is paused. Where the daemon has a journal it stays so when that is started anew.\n",
    .options = options,
    .run = run_pause,
};
const struct verb verb_resume = {
    .name = "resume",
    .summary = "end a pause of the queue, or of a tag",
    .usage = usage,
    .about = "Ends what `ptools pause` began, with the same --tag, or without one. A task that another pause is about\n"
             "waits on.\n",
    .options = options,
    .run = run_resume,
};
