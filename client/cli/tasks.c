/* SPDX-License-Identifier: MIT */
/*
 * tasks -- see tasks.h. A number alone is asked of nobody: it is up to what is done with it to find that there is no
 * such task. All else is: one round trip for each key, each last and each number to be looked at, one for each tag, and
 * one for all ranges and filters together.
 */
#include "client/cli/tasks.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/failure.h"
#include "client/cli/times.h"
#include "client/cli/words.h"

struct search {
    const struct command_line *line;
    ptools *pt;
    const struct tasks_wish *wish;
    uint32_t flags; /* of ptools_queued_list() */
    bool look;
    int64_t now_ms;
    const ptools_queued *all; /* of the wished states and tag, once they were asked for */
    struct tasks *found;
};

/* -- what is wished ------------------------------------------------------------------------------------- */

static int take_states(const struct command_line *line, const char *text, uint32_t *states)
{
    char name[16], all[160] = "";
    size_t used = 0;
    uint32_t bit;

    for (const char *s = text;; s++) {
        size_t n = strcspn(s, ",");

        snprintf(name, sizeof name, "%.*s", (int)(n < sizeof name ? n : sizeof name - 1), s);
        bit = 0;
        for (int state = PTOOLS_QUEUED_WAITING; state <= PTOOLS_QUEUED_LOST; state++)
            if (strcmp(ptools_queued_state_name((ptools_queued_state)state), name) == 0)
                bit = UINT32_C(1) << state;
        if (!bit)
            break;
        *states |= bit;
        s += n;
        if (!*s)
            return EXIT_VALUE;
    }
    for (int state = PTOOLS_QUEUED_WAITING; state <= PTOOLS_QUEUED_LOST; state++)
        used += (size_t)snprintf(all + used, sizeof all - used, "%s%s", used ? ", " : "",
                                 ptools_queued_state_name((ptools_queued_state)state));
    return command_line_wrong(line, "--state %.80s: allowed are %s; several with commas between", text, all);
}

static int take_where(const struct command_line *line, const char *text, struct where **where)
{
    char why[WHERE_WHY_BYTES] = "";
    int r;

    if (*where)
        return command_line_wrong(line, "--where may be given once: join conditions by &&");
    r = where_new(text, WHERE_CONDITION, where, why);
    return r == 0   ? EXIT_VALUE
           : r == 1 ? command_line_wrong(line, "--where: %s", why)
                    : failure_report_code(line, PTOOLS_ERR_NO_MEMORY, NULL);
}

int tasks_take_word(const struct command_line *line, const char *word, struct tasks_wish *wish)
{
    char why[IDS_WHY_BYTES] = "";
    int r = ids_add(&wish->ids, word, why);

    return r == 0   ? EXIT_VALUE
           : r == 1 ? command_line_wrong(line, "%s", why)
                    : failure_report_code(line, PTOOLS_ERR_NO_MEMORY, NULL);
}

int tasks_take(const struct command_line *line, size_t first, size_t end, struct tasks_wish *wish)
{
    int status = EXIT_VALUE;

    for (size_t i = 0; i < line->n && status == EXIT_VALUE; i++) {
        const struct item *item = &line->items[i];

        if (item->id == OPTION_STATE) {
            status = take_states(line, item->text, &wish->states);
        } else if (item->id == OPTION_WHERE) {
            status = take_where(line, item->text, &wish->where);
        } else if (item->id == OPTION_TAG) {
            if (wish->tag)
                return command_line_wrong(line, "--tag may be given once; --where 'tag == \"a\" && tag == \"b\"' "
                                                "finds what has both");
            wish->tag = item->text;
            if (!words_tag(item->text))
                return command_line_wrong(line, "--tag %.80s: a tag is " WORDS_TAGS, item->text);
        }
    }
    for (size_t i = first; i < end && status == EXIT_VALUE; i++)
        status = tasks_take_word(line, command_line_word(line, i), wish);
    return status;
}

void tasks_wish_deinit(struct tasks_wish *wish)
{
    ids_deinit(&wish->ids);
    wish->where = where_free(wish->where);
}

static bool filters(const struct tasks_wish *wish)
{
    return wish->states || wish->tag || wish->where;
}

bool tasks_narrowed(const struct tasks_wish *wish)
{
    return wish->ids.n > 0 || filters(wish);
}

/* -- what is found -------------------------------------------------------------------------------------- */

static int no_memory(const struct search *s)
{
    return failure_report_code(s->line, PTOOLS_ERR_NO_MEMORY, NULL);
}

static int append(struct search *s, struct task task)
{
    struct tasks *found = s->found;
    struct task *items = found->items;

    if ((found->n & (found->n - 1)) == 0) { /* it is full at each power of two */
        items = reallocarray(items, found->n ? 2 * found->n : 1, sizeof *items);
        if (!items)
            return no_memory(s);
        found->items = items;
    }
    items[found->n++] = task;
    return EXIT_VALUE;
}

/* Takes the list over, also when it fails. */
static int keep(struct search *s, ptools_queued *list)
{
    ptools_queued **lists = reallocarray(s->found->lists, s->found->n_lists + 1, sizeof *lists);

    if (!lists) {
        ptools_queued_free(list);
        return no_memory(s);
    }
    lists[s->found->n_lists++] = list;
    s->found->lists = lists;
    return EXIT_VALUE;
}

bool tasks_match(const struct tasks_wish *wish, const ptools_queued_info *info, int64_t now_ms)
{
    bool tagged = !wish->tag;

    for (uint32_t i = 0; i < info->n_tags && !tagged; i++)
        tagged = strcmp(info->tags[i], wish->tag) == 0;
    return tagged && (!wish->states || (wish->states & UINT32_C(1) << info->state)) &&
           (!wish->where || where_holds(wish->where, info, now_ms));
}

/* Those of the list whose id is from first to last, and for which the filters hold. */
static int append_list(struct search *s, const ptools_queued *list, uint64_t first, uint64_t last, bool named)
{
    const ptools_queued_info *info;
    int status = EXIT_VALUE;

    for (size_t i = 0; status == EXIT_VALUE && (info = ptools_queued_at(list, i)); i++)
        if (info->id >= first && info->id <= last && tasks_match(s->wish, info, s->now_ms))
            status = append(s, (struct task){ info->id, info, named });
    return status;
}

/* All that the daemon can pick by itself. */
static int ask_all(struct search *s)
{
    ptools_queued *list;
    ptools_err r;
    int status;

    if (s->all)
        return EXIT_VALUE;
    r = ptools_queued_list(s->pt, s->wish->states, s->wish->tag, s->flags, &list);
    if (r != PTOOLS_OK)
        return failure_report_last(s->line, s->pt, r);
    status = keep(s, list);
    if (status == EXIT_VALUE)
        s->all = list;
    return status;
}

static int missing(struct search *s, ptools_err code, const char *message)
{
    int status = message ? failure_report_code(s->line, code, message) : failure_report_last(s->line, s->pt, code);

    if (s->found->status == EXIT_VALUE)
        s->found->status = status;
    return code == PTOOLS_ERR_NO_TASK ? EXIT_VALUE : status; /* the others may be there */
}

static int find_range(struct search *s, const struct id *id)
{
    const size_t before = s->found->n;
    char message[120];
    int status = ask_all(s);

    if (status == EXIT_VALUE)
        status = append_list(s, s->all, id->first, id->last, false);
    if (status != EXIT_VALUE || s->found->n > before || filters(s->wish))
        return status;
    snprintf(message, sizeof message, "there is no task from %" PRIu64 " to %" PRIu64, id->first, id->last);
    return missing(s, PTOOLS_ERR_NO_TASK, message);
}

static int find_last(struct search *s)
{
    ptools_queued *list = NULL;
    size_t n;
    ptools_err r = ptools_queued_list(s->pt, 0, NULL, s->flags | PTOOLS_LIST_NEWEST, &list);
    int status;

    if (r != PTOOLS_OK)
        return failure_report_last(s->line, s->pt, r);
    status = keep(s, list);
    if (status != EXIT_VALUE)
        return status;
    n = ptools_queued_count(list);
    if (n == 0)
        return missing(s, PTOOLS_ERR_NO_TASK, "there is no last task: there are none at all");
    return append_list(s, list, ptools_queued_at(list, n - 1)->id, UINT64_MAX, true);
}

static int find_tag(struct search *s, const struct id *id)
{
    const size_t before = s->found->n;
    ptools_queued *list = NULL;
    ptools_err r = ptools_queued_list(s->pt, s->wish->states, id->text, s->flags, &list);
    char message[120];
    int status;

    if (r != PTOOLS_OK)
        return failure_report_last(s->line, s->pt, r);
    status = keep(s, list);
    if (status == EXIT_VALUE)
        status = append_list(s, list, 0, UINT64_MAX, false);
    if (status != EXIT_VALUE || s->found->n > before || filters(s->wish))
        return status;
    snprintf(message, sizeof message, "there is no task with the tag %s", id->text);
    return missing(s, PTOOLS_ERR_NO_TASK, message);
}

static int find_one(struct search *s, const struct id *id)
{
    ptools_queued *list = NULL;
    ptools_err r;
    int status;

    if (id->kind == ID_NUMBER && !s->look && !filters(s->wish))
        return append(s, (struct task){ id->first, NULL, true });
    r = id->kind == ID_NUMBER ? ptools_queued_get(s->pt, id->first, s->flags, &list)
                              : ptools_queued_find(s->pt, id->text, strlen(id->text), s->flags, &list);
    if (r != PTOOLS_OK)
        return missing(s, r, NULL);
    status = keep(s, list);
    return status == EXIT_VALUE ? append_list(s, list, 0, UINT64_MAX, true) : status;
}

static int find(struct search *s, const struct id *id)
{
    switch (id->kind) {
    case ID_RANGE:
        return find_range(s, id);
    case ID_LAST:
        return find_last(s);
    case ID_TAG:
        return find_tag(s, id);
    case ID_NUMBER:
    case ID_KEY:
        break;
    }
    return find_one(s, id);
}

/* -- each once ------------------------------------------------------------------------------------------ */

static int by_id(const void *a, const void *b)
{
    const struct task *const *x = a, *const *y = b;

    if ((*x)->id != (*y)->id)
        return (*x)->id < (*y)->id ? -1 : 1;
    return *x < *y ? -1 : *x > *y; /* the first one stays */
}

static int drop_doubles(struct search *s)
{
    struct tasks *found = s->found;
    struct task **sorted = found->n > 0 ? calloc(found->n, sizeof *sorted) : NULL;
    size_t n = 0;

    if (found->n == 0)
        return EXIT_VALUE;
    if (!sorted)
        return no_memory(s);
    for (size_t i = 0; i < found->n; i++)
        sorted[i] = &found->items[i];
    qsort(sorted, found->n, sizeof *sorted, by_id);
    for (size_t i = found->n - 1; i > 0; i--)
        if (sorted[i]->id == sorted[i - 1]->id)
            sorted[i]->id = 0;
    free(sorted);
    for (size_t i = 0; i < found->n; i++)
        if (found->items[i].id != 0)
            found->items[n++] = found->items[i];
    found->n = n;
    return EXIT_VALUE;
}

int tasks_find(const struct command_line *line, ptools *pt, const struct tasks_wish *wish, unsigned flags,
               struct tasks *ret)
{
    struct search s = { line,           pt,   wish, flags & TASKS_ARGS ? PTOOLS_LIST_ARGS : 0, flags & TASKS_LOOK,
                        times_now_ms(), NULL, ret };
    int status = EXIT_VALUE;

    *ret = (struct tasks){ 0 };
    if (wish->ids.n == 0) {
        status = ask_all(&s);
        if (status == EXIT_VALUE)
            status = append_list(&s, s.all, 0, UINT64_MAX, false);
    }
    for (size_t i = 0; i < wish->ids.n && status == EXIT_VALUE; i++)
        status = find(&s, &wish->ids.items[i]);
    if (status == EXIT_VALUE && wish->ids.n > 1)
        status = drop_doubles(&s);
    if (status != EXIT_VALUE)
        tasks_deinit(ret);
    return status;
}

void tasks_deinit(struct tasks *tasks)
{
    for (size_t i = 0; i < tasks->n_lists; i++)
        ptools_queued_free(tasks->lists[i]);
    free(tasks->lists);
    free(tasks->items);
    *tasks = (struct tasks){ 0 };
}
