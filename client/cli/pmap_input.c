/* SPDX-License-Identifier: MIT */
/*
 * pmap_input -- see pmap_input.h. A line is read when an item is wanted and not before, so that whoever stops the flow
 * of outcomes stops that of the input; but for a rehearsal, which needs to see some of it.
 *
 * A line that is wrong ends the input: what was before it is run, and it is named at the end.
 */
#include "client/cli/pmap_input.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/arguments.h"
#include "client/cli/callee.h"
#include "client/cli/failure.h"
#include "client/cli/input.h"
#include "client/cli/json.h"

enum { YIELDED = 1, NO_MORE = 0, LATER = 2, GIVES_UP = -1 }; /* what a source returns */
#define AHEAD_BYTES ((size_t)16 << 20)

static int wrong(struct pmap_input *in, uint64_t line, ptools_err code, const char *why)
{
    in->code = code;
    in->wrong_line = line;
    snprintf(in->why, sizeof in->why, "%s", why);
    return GIVES_UP;
}

/* -- one item ---------------------------------------------------------------------------------------------- */

static int append_json(struct pmap_input *in, ptools_pack *args, const char *text, size_t n, uint64_t line)
{
    struct json_object *o = NULL;
    char why[JSON_WHY_BYTES] = "it is no JSON value";
    int r = strlen(text) == n ? json_parse(text, &o, why) : JSON_NOT;

    if (r == 0)
        r = json_object_is_type(o, json_type_array) ? json_append_items(o, args, why) : json_append(o, args, why);
    json_object_put(o);
    if (r == -ENOMEM)
        return wrong(in, line, PTOOLS_ERR_NO_MEMORY, ptools_strerror(PTOOLS_ERR_NO_MEMORY));
    return r == 0 ? YIELDED : wrong(in, line, PTOOLS_ERR_INVALID, why);
}

static int check_args(struct pmap_input *in, const ptools_pack *args, uint64_t line)
{
    ptools_err err = ptools_pack_error(args);

    if (err == PTOOLS_OK)
        return YIELDED;
    return wrong(in, line, err,
                 err == PTOOLS_ERR_INVALID ? "it is nested too deep: 27 is allowed" : ptools_strerror(err));
}

static int append_line(struct pmap_input *in, ptools_pack *args, const char *text, size_t n, uint64_t line)
{
    int r = YIELDED;

    if (in->form == PMAP_JSON)
        r = append_json(in, args, text, n, line);
    else
        ptools_pack_strn(args, text, n);
    return r == YIELDED ? check_args(in, args, line) : r;
}

static int append_ahead(struct pmap_input *in, ptools_pack *args, const struct pmap_ahead *item)
{
    char why[ARGUMENTS_WHY_BYTES] = "";
    ptools_err err = PTOOLS_OK;

    if (!item->word)
        return append_line(in, args, in->text + item->at, item->n, item->line);
    if (item->string)
        ptools_pack_str(args, item->word);
    else
        err = arguments_add_word(args, item->word, why);
    return err == PTOOLS_OK ? check_args(in, args, 0) : wrong(in, 0, err, why);
}

/* -- lines ------------------------------------------------------------------------------------------------- */

/* YIELDED, NO_MORE, LATER, or GIVES_UP. */
static int next_line(struct pmap_input *in, bool wait, char **ret, size_t *ret_n)
{
    char why[LINES_WHY_BYTES];
    ptools_err err;
    int r;

    do
        r = lines_next(&in->lines, wait, ret, ret_n);
    while (r == 1 && in->form == PMAP_JSON && strspn(*ret, " \t\r") == *ret_n);
    in->n_read += r == 1;
    if (r >= 0)
        return r == LINES_NONE_YET ? LATER : r == 1 ? YIELDED : NO_MORE;
    err = lines_error(r, why);
    return wrong(in, r == -EMSGSIZE ? in->lines.number + 1 : 0, err, why);
}

int pmap_input_next(ptools_pack *args, void *input)
{
    struct pmap_input *in = input;
    char *text;
    size_t n;
    int r;

    in->later = false;
    while (in->at < in->n_ahead && in->ahead[in->at].picked)
        in->at++;
    if (in->at < in->n_ahead) {
        r = append_ahead(in, args, &in->ahead[in->at++]);
    } else {
        r = in->form == PMAP_WORDS ? NO_MORE : next_line(in, false, &text, &n);
        if (r == YIELDED)
            r = append_line(in, args, text, n, in->lines.number);
    }
    in->later = r == LATER;
    in->ended = r == NO_MORE;
    return r;
}

/* -- read ahead -------------------------------------------------------------------------------------------- */

static struct pmap_ahead *add_ahead(struct pmap_input *in)
{
    if (in->n_ahead == in->room_ahead) {
        const size_t room = in->room_ahead ? 2 * in->room_ahead : 64;
        struct pmap_ahead *larger = realloc(in->ahead, room * sizeof *larger);

        if (!larger)
            return NULL;
        in->ahead = larger;
        in->room_ahead = room;
    }
    in->ahead[in->n_ahead] = (struct pmap_ahead){ 0 };
    return &in->ahead[in->n_ahead++];
}

static bool keep_line(struct pmap_input *in, const char *text, size_t n)
{
    struct pmap_ahead *item = add_ahead(in);

    if (item && in->room_text - in->n_text <= n) {
        const size_t room = 2 * in->room_text + n + 1;
        char *larger = realloc(in->text, room);

        if (!larger)
            return false;
        in->text = larger;
        in->room_text = room;
    }
    if (!item)
        return false;
    item->at = in->n_text;
    item->n = n;
    item->line = in->lines.number;
    memcpy(in->text + in->n_text, text, n);
    in->text[in->n_text + n] = '\0';
    in->n_text += n + 1;
    return true;
}

int pmap_input_read_ahead(struct pmap_input *in)
{
    ptools_pack *args = ptools_pack_new();
    int r = args ? YIELDED : GIVES_UP;
    char *text;
    size_t n;

    if (!args)
        (void)wrong(in, 0, PTOOLS_ERR_NO_MEMORY, ptools_strerror(PTOOLS_ERR_NO_MEMORY));
    while (r == YIELDED && in->form != PMAP_WORDS && in->n_text + in->n_ahead * sizeof in->ahead[0] < AHEAD_BYTES) {
        r = next_line(in, true, &text, &n);
        if (r != YIELDED)
            break;
        if (!keep_line(in, text, n))
            r = wrong(in, 0, PTOOLS_ERR_NO_MEMORY, ptools_strerror(PTOOLS_ERR_NO_MEMORY));
        ptools_pack_reset(args);
        if (r == YIELDED)
            r = append_line(in, args, text, n, in->lines.number);
    }
    ptools_pack_free(args);
    return r == GIVES_UP ? pmap_input_report(in) : EXIT_VALUE;
}

size_t pmap_input_pick(struct pmap_input *in, size_t n, uint64_t *ret_indices)
{
    n = n < in->n_ahead ? n : in->n_ahead;
    for (size_t i = 0; i < n; i++) {
        ret_indices[i] = n > 1 ? i * (in->n_ahead - 1) / (n - 1) : 0;
        in->ahead[ret_indices[i]].picked = true;
    }
    return n;
}

int pmap_input_next_picked(ptools_pack *args, void *input)
{
    struct pmap_input *in = input;

    while (in->at_picked < in->n_ahead && !in->ahead[in->at_picked].picked)
        in->at_picked++;
    return in->at_picked < in->n_ahead ? append_ahead(in, args, &in->ahead[in->at_picked++]) : NO_MORE;
}

void pmap_input_unpick(struct pmap_input *in)
{
    for (size_t i = in->at_picked; i < in->n_ahead; i++)
        in->ahead[i].picked = false;
}

/* -- all of it --------------------------------------------------------------------------------------------- */

/* The first word is the function. */
static int take_words(struct pmap_input *in)
{
    PTOOLS_AUTO(ptools_pack) scratch = ptools_pack_new();
    const struct command_line *line = in->line;
    bool named = false, string = false;
    int status = scratch ? callee_arguments(line, scratch) : failure_report_code(line, PTOOLS_ERR_NO_MEMORY, NULL);

    for (size_t i = 0; i < line->n && status == EXIT_VALUE; i++) {
        const struct item *item = &line->items[i];
        struct pmap_ahead *ahead;

        string = string || item->id == OPTION_STRING;
        if (item->id != ITEM_WORD)
            continue;
        if (named) {
            ahead = add_ahead(in);
            if (!ahead)
                return failure_report_code(line, PTOOLS_ERR_NO_MEMORY, NULL);
            ahead->word = item->text;
            ahead->string = string;
        }
        named = true;
    }
    return status;
}

int pmap_input_open(struct pmap_input *in, const struct command_line *line, enum pmap_form form, char separator)
{
    const struct input standard = { .fd = STDIN_FILENO };

    *in = (struct pmap_input){ .line = line, .form = form, .left = PMAP_NOT_KNOWN };
    if (form == PMAP_WORDS)
        return take_words(in);
    if (lines_init(&in->lines, STDIN_FILENO, separator) < 0)
        return failure_report_code(line, PTOOLS_ERR_NO_MEMORY, NULL);
    (void)input_left(&standard, &in->left);
    return EXIT_VALUE;
}

void pmap_input_close(struct pmap_input *in)
{
    lines_deinit(&in->lines);
    free(in->ahead);
    free(in->text);
}

uint64_t pmap_input_of(const struct pmap_input *in, bool *ret_about)
{
    const struct lines *lines = &in->lines;
    uint64_t about;

    *ret_about = false;
    if (in->form == PMAP_WORDS)
        return in->n_ahead;
    if (lines->all_read && lines->at == lines->end)
        return in->n_read;
    if (in->left == PMAP_NOT_KNOWN || lines->taken == 0)
        return PMAP_NOT_KNOWN;
    *ret_about = true;
    about = (uint64_t)((double)in->n_read * (double)in->left / (double)lines->taken);
    return about > in->n_read ? about : in->n_read; /* the file may have grown */
}

int pmap_input_report(const struct pmap_input *in)
{
    struct command_line line = *in->line;

    line.input_line = in->wrong_line;
    if (in->code == PTOOLS_ERR_INVALID)
        return command_line_wrong(&line, "%s", in->why);
    return failure_report_code(&line, in->code, in->why);
}
