/* SPDX-License-Identifier: MIT */
/*
 * offers -- see offers.h.
 *
 * Somebody waits at a key: who cannot be asked quickly is not asked, and that there is no daemon is told to nobody. Of
 * very many tasks only the newest is offered.
 */
#include "client/cli/offers.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ptools/queue.h>

#include "client/cli/failure.h"
#include "client/cli/session.h"
#include "client/cli/table.h"
#include "client/cli/task_field.h"

enum { QUICK_MS = 500, TASKS_MAX = 5000 };

void offer(struct offers *o, const char *text, const char *help)
{
    char *whole = NULL;

    if (strncmp(text, o->part, strlen(o->part)) != 0)
        return;
    if (asprintf(&whole, "%.*s%s", o->n_before, o->before, text) < 0) {
        o->no_memory = true;
        return;
    }
    if (o->line->json) {
        json_open(&o->json, '{');
        json_key(&o->json, "word");
        json_put_string(&o->json, whole);
        json_key(&o->json, "help");
        json_put_string(&o->json, help ? help : "");
        json_close(&o->json, '}');
    } else {
        printf("%s%s%.*s\n", whole, help ? "\t" : "", help ? (int)strcspn(help, "\n") : 0, help ? help : "");
    }
    free(whole);
}

void offer_words(struct offers *o, const char *words)
{
    char word[64];

    for (const char *s = words; *s;) {
        size_t n = strcspn(s, ",|");

        snprintf(word, sizeof word, "%.*s", (int)n, s);
        offer(o, word, NULL);
        s += n + (s[n] != '\0');
    }
}

/* -- what the daemon knows -------------------------------------------------------------------------------------- */

static void offer_tasks(struct offers *o, ptools *pt)
{
    PTOOLS_AUTO(ptools_queued) list = NULL;
    PTOOLS_AUTO(ptools_future) f = NULL;
    const ptools_queued_info *info;
    ptools_value status, queue, known;
    uint64_t n = UINT64_MAX;
    char id[24], help[200];

    offer(o, "last", "the newest");
    offer(o, "tag:", "those that have a tag");
    offer(o, "key:", "the one that has a key");
    if (ptools_inspect(pt, "status", &f, &status) != PTOOLS_OK ||
        ptools_get_field(status, "queue", &queue) != PTOOLS_OK ||
        ptools_get_field(queue, "known", &known) != PTOOLS_OK || ptools_get_u64(known, &n) != PTOOLS_OK ||
        ptools_queued_list(pt, 0, NULL, n > TASKS_MAX ? PTOOLS_LIST_NEWEST : 0, &list) != PTOOLS_OK)
        return;
    for (size_t i = 0; (info = ptools_queued_at(list, i)); i++) {
        snprintf(id, sizeof id, "%" PRIu64, info->id);
        snprintf(help, sizeof help, "%s %s", ptools_queued_state_name(info->state), info->function);
        offer(o, id, help);
    }
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void offer_tags(struct offers *o, ptools *pt, const char *before)
{
    PTOOLS_AUTO(ptools_queued) list = NULL;
    const ptools_queued_info *info;
    const char **tags;
    char text[80];
    size_t n = 0;

    if (ptools_queued_list(pt, 0, NULL, 0, &list) != PTOOLS_OK)
        return;
    for (size_t i = 0; (info = ptools_queued_at(list, i)); i++)
        n += info->n_tags;
    tags = n ? calloc(n, sizeof *tags) : NULL;
    if (!tags)
        return;
    n = 0;
    for (size_t i = 0; (info = ptools_queued_at(list, i)); i++)
        for (uint32_t k = 0; k < info->n_tags; k++)
            tags[n++] = info->tags[k];
    qsort(tags, n, sizeof *tags, by_text);
    for (size_t i = 0; i < n; i++) {
        snprintf(text, sizeof text, "%s%s", before, tags[i]);
        if (i == 0 || strcmp(tags[i], tags[i - 1]) != 0)
            offer(o, text, NULL);
    }
    free(tags);
}

static void offer_functions(struct offers *o, const char *module, ptools_value document)
{
    ptools_value functions, f;
    char text[160];

    if (ptools_get_field(document, "functions", &functions) != PTOOLS_OK)
        return;
    for (uint32_t i = 0; ptools_get_item(functions, i, &f) == PTOOLS_OK; i++) {
        char *name = table_string(f, "name"), *help = table_string(f, "help");

        snprintf(text, sizeof text, "%s.%s", module, name ? name : "");
        if (name)
            offer(o, text, help);
        free(name);
        free(help);
    }
}

/* The documents are lists of maps, in which each has a name, or a number. */
static void offer_document(struct offers *o, ptools *pt, enum offer_source source, const char *what)
{
    PTOOLS_AUTO(ptools_future) f = NULL;
    ptools_value all, one, number;
    uint64_t id;

    if (ptools_inspect(pt, what, &f, &all) != PTOOLS_OK)
        return;
    for (uint32_t i = 0; ptools_get_item(all, i, &one) == PTOOLS_OK; i++) {
        char *name = table_string(one, "name"), text[24];
        char *help = table_string(one, source == OFFER_WORKERS ? "state" : source == OFFER_MODULES ? "help" : "type");

        if (!name && ptools_get_field(one, "id", &number) == PTOOLS_OK && ptools_get_u64(number, &id) == PTOOLS_OK) {
            snprintf(text, sizeof text, "%" PRIu64, id);
            offer(o, text, help);
        } else if (name && source == OFFER_FUNCTIONS) {
            offer_functions(o, name, one);
        } else if (name && *name && *name != '(') {
            offer(o, name, help);
        }
        free(name);
        free(help);
    }
}

static void offer_known(struct offers *o, enum offer_source source)
{
    PTOOLS_AUTO(ptools) pt = NULL;
    static const char *const documents[] = {
        [OFFER_FUNCTIONS] = "modules", [OFFER_MODULES] = "modules", [OFFER_SETS] = "sets",
        [OFFER_WORKERS] = "workers",   [OFFER_ARRAYS] = "arrays",   [OFFER_STASKS] = "stasks",
    };

    if (session_try(o->line, QUICK_MS, &pt) != PTOOLS_OK)
        return;
    if (source == OFFER_TASKS && strncmp(o->part, "tag:", 4) == 0)
        offer_tags(o, pt, "tag:");
    else if (source == OFFER_TASKS)
        offer_tasks(o, pt);
    else if (source == OFFER_TAGS)
        offer_tags(o, pt, "");
    else
        offer_document(o, pt, source, documents[source]);
}

void offer_all(struct offers *o, enum offer_source source)
{
    switch (source) {
    case OFFER_NOTHING:
        break;
    case OFFER_FILES:
    case OFFER_DIRS:
    case OFFER_COMMANDS:
        o->also = source;
        break;
    case OFFER_VERBS:
        for (size_t i = 0; verbs[i]; i++) {
            offer(o, verbs[i]->name, verbs[i]->summary);
            if (verbs[i]->alias)
                offer(o, verbs[i]->alias, verbs[i]->summary);
        }
        break;
    case OFFER_STATES:
        for (int i = PTOOLS_QUEUED_WAITING; i <= PTOOLS_QUEUED_LOST; i++)
            offer(o, ptools_queued_state_name((ptools_queued_state)i), NULL);
        break;
    case OFFER_COLUMNS:
        for (const struct task_field *f = task_fields; f->name; f++)
            offer(o, f->name, f->title);
        break;
    case OFFER_TYPES:
        offer_words(o, "int8,int16,int32,int64,uint8,uint16,uint32,uint64,float32,float64,complex64,complex128,bool");
        break;
    case OFFER_LIMITS:
        offer_words(o, "as=,core=,cpu=,data=,fsize=,memlock=,nofile=,nproc=,stack=");
        break;
    default:
        offer_known(o, source);
    }
}
