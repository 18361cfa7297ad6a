/* SPDX-License-Identifier: MIT */
/*
 * pmap_output -- see pmap_output.h.
 *
 * Plain lines are values alone, and `null` stands for an item that failed, which is told on standard error: line n is
 * always that of the n-th item. As objects, failures are in their lines.
 */
#include "client/cli/pmap_output.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/colour.h"
#include "client/cli/failure.h"
#include "client/cli/json.h"
#include "client/cli/words.h"

int pmap_output_open(struct pmap_output *o, const struct command_line *line, bool ordered, struct bar *bar)
{
    *o = (struct pmap_output){ .line = line, .ordered = ordered, .bar = bar };
    o->objects = line->json || !ordered; /* without an index it would be nobody's */
    return outlet_open(&o->outlet);
}

void pmap_output_close(struct pmap_output *o)
{
    outlet_close(&o->outlet);
    for (size_t i = 0; i < o->n_kept; i++)
        free(o->kept[i].text);
    free(o->kept);
}

/* -- one outcome ------------------------------------------------------------------------------------------- */

static void write_object(struct json_writer *w, const ptools_item *item, uint64_t index)
{
    const ptools_failure *f = item->failure;

    json_open(w, '{');
    json_key(w, "schema");
    json_put_u64(w, 1);
    json_key(w, "index");
    json_put_u64(w, index);
    if (item->err == PTOOLS_OK) {
        json_key(w, "value");
        json_put_value(w, item->value);
    }
    if (f) {
        failure_key_text(w, "error", ptools_errname(f->code));
        failure_key_text(w, "message", f->message);
        json_key(w, "attempts");
        json_put_u64(w, item->attempts);
        failure_key_text(w, "phase", f->phase);
        failure_key_text(w, "log", f->log);
    }
    json_close(w, '}');
}

/* A line. False: no memory. */
static bool write_item(FILE *out, bool objects, const ptools_item *item, uint64_t index)
{
    struct json_writer w = { .out = out };

    if (objects)
        write_object(&w, item, index);
    else if (item->err == PTOOLS_OK)
        json_put_value(&w, item->value);
    else
        fputs("null", out);
    putc('\n', out);
    return !w.no_memory;
}

/* All others would come to the same. */
static bool is_hopeless(ptools_err code)
{
    return code == PTOOLS_ERR_NO_MODULE || code == PTOOLS_ERR_MODULE_BROKEN || code == PTOOLS_ERR_NO_FUNCTION ||
           code == PTOOLS_ERR_NO_SET || code == PTOOLS_ERR_NO_WORKER || code == PTOOLS_ERR_DRAINING;
}

static void tell(struct pmap_output *o, const ptools_failure *f, uint64_t index)
{
    bar_clear(o->bar);
    colour_failure(stderr);
    fprintf(stderr, "ptools pmap:");
    colour_end(stderr);
    fprintf(stderr, " index %" PRIu64 ", line %" PRIu64 ": ", index, index + 1);
    words_print(stderr, f->message, strlen(f->message));
    fprintf(stderr, " (%s)\n", ptools_errname(f->code));
}

static void count(struct pmap_output *o, const ptools_item *item, uint64_t index)
{
    struct pmap_counts *c = &o->counts;
    int status = failure_exit_status(item->err);

    c->items++;
    if (item->err == PTOOLS_OK) {
        c->defaulted += item->failure != NULL;
    } else if (item->err == PTOOLS_ERR_CANCELLED) {
        c->cancelled++;
    } else if (item->err == PTOOLS_ERR_NOT_RUN) {
        c->not_run++;
    } else {
        c->failed++;
        c->status = status > c->status ? status : c->status;
        if (!o->objects && o->hopeless == PTOOLS_OK && item->failure)
            tell(o, item->failure, index);
        if (is_hopeless(item->err))
            o->hopeless = item->err;
    }
}

static void write_kept(struct pmap_output *o)
{
    const struct pmap_kept *kept = &o->kept[o->at_kept++];

    fwrite(kept->text, 1, kept->n, o->outlet.out);
    o->next++;
}

static void write_line(struct pmap_output *o, const ptools_item *item, uint64_t index)
{
    count(o, item, index);
    if (!write_item(o->outlet.out, o->objects, item, index))
        o->outlet.error = ENOMEM;
    o->next++;
}

void pmap_output_item(struct pmap_output *o, const ptools_item *item)
{
    uint64_t index = item->index;

    /* It is the number among those that are not kept. */
    for (size_t i = 0; i < o->n_kept && o->kept[i].index <= index; i++)
        index++;
    while (o->at_kept < o->n_kept && (!o->ordered || o->kept[o->at_kept].index < index))
        write_kept(o);
    write_line(o, item, index);
    o->others++;
}

static const ptools_failure not_run_why = {
    .code = PTOOLS_ERR_NOT_RUN, .message = "not begun, for all was ended before its turn", .phase = "", .log = ""
};

void pmap_output_missing(struct pmap_output *o, uint64_t total)
{
    ptools_item item = { .err = PTOOLS_ERR_NOT_RUN, .failure = &not_run_why };

    while (o->others < total) {
        item.index = o->others;
        pmap_output_item(o, &item);
    }
}

bool pmap_output_keep(struct pmap_output *o, const ptools_item *item, uint64_t index)
{
    struct pmap_kept *larger = realloc(o->kept, (o->n_kept + 1) * sizeof *larger), *kept;
    bool good;
    FILE *out;

    if (!larger)
        return false;
    o->kept = larger;
    kept = &o->kept[o->n_kept];
    *kept = (struct pmap_kept){ .index = index };
    out = open_memstream(&kept->text, &kept->n);
    if (!out)
        return false;
    o->n_kept++;
    good = write_item(out, o->objects, item, index);
    count(o, item, index);
    return fclose(out) == 0 && good;
}

void pmap_output_rest(struct pmap_output *o)
{
    const ptools_item not_run = { .err = PTOOLS_ERR_NOT_RUN, .failure = &not_run_why };

    while (o->at_kept < o->n_kept) {
        while (o->ordered && o->next < o->kept[o->at_kept].index)
            write_line(o, &not_run, o->next);
        write_kept(o);
    }
}
