/* SPDX-License-Identifier: MIT */
/*
 * verb_shm -- `ptools shm`: arrays in shared memory. Here the command line is read: which deed, and what is wished for;
 * the deeds are in verb_shm_*.c.
 *
 * All of it is checked before the daemon is asked for anything. No deed starts a private daemon: its arrays would end
 * with the command.
 */
#include "client/cli/verb_shm.h"

#include <stdio.h>
#include <string.h>
#include <sys/types.h>

#include "client/cli/failure.h"
#include "client/cli/session.h"
#include "client/cli/verbs.h"
#include "client/cli/words.h"

enum {
    OPTION_PREFIX = OPTION_OF_VERB,
    OPTION_KEEP,
    OPTION_FOR,
    OPTION_ORDER,
    OPTION_REPLACE,
    OPTION_HUGE,
    OPTION_POPULATE,
    OPTION_BACKING,
    OPTION_BACKING_MODE,
    OPTION_OFFSET,
    OPTION_SHARE,
    OPTION_NPY,
    OPTION_CSV,
    OPTION_RAW,
    OPTION_TYPE,
    OPTION_DIMS,
    OPTION_OWNER,
    OPTION_LINES,
};

static const struct option_row options[] = {
    { OPTION_PREFIX, '\0', "prefix", "P", "what keeps this array apart from others of its name (default: none)" },
    { OPTION_OWNER, '\0', "owner", "UID", "info, get, sum, head: an array of that user, who shares it" },
    { OPTION_KEEP, '\0', "keep", NULL, "create: it stays until it is removed or the daemon ends" },
    { OPTION_FOR, '\0', "for", "TIME", "create, put: ... or this time has passed (implies --keep)" },
    { OPTION_ORDER, '\0', "order", "row|column", "create, put: which way the elements lie (default: row)" },
    { OPTION_REPLACE, '\0', "replace", NULL, "create, put: take the place of an array of that name" },
    { OPTION_SHARE, '\0', "share", "UID", "create, put: another user who may map it; may be given several times" },
    { OPTION_HUGE, '\0', "huge", NULL, "create, put: in huge pages, if there are enough of them" },
    { OPTION_POPULATE, '\0', "populate", NULL, "create, put: whoever maps it maps all its pages at once" },
    { OPTION_BACKING, '\0', "file", "FILE", "create: the elements lie in FILE, and stay there" },
    { OPTION_BACKING_MODE, '\0', "file-mode", "MODE",
      "r: to be read alone; r+ (default); w+: emptied; a+: made if missing" },
    { OPTION_OFFSET, '\0', "offset", "BYTES", "where in FILE they begin: a multiple of the page size" },
    { OPTION_NPY, '\0', "npy", NULL, "put: FILE is a .npy file (found out if not told)" },
    { OPTION_CSV, '\0', "csv", NULL, "put: FILE is lines of numbers with commas between (default if FILE is *.csv)" },
    { OPTION_RAW, '\0', "raw", NULL, "get, put: the bare elements, as they lie in memory" },
    { OPTION_TYPE, '\0', "type", "TYPE", "put: of the elements of a new array from CSV (default float64) or --raw" },
    { OPTION_DIMS, '\0', "dims", "DIMS", "put: of a new array, with --raw" },
    { OPTION_LINES, 'n', "lines", "N", "head: so many lines (default 10)" },
    { 0 },
};

static const char *const usage[] = {
    "[ls] [--prefix P]",
    "info [--prefix P] [--owner UID] NAME",
    "create [--keep] [--for TIME] [--prefix P] [OPTION...] NAME TYPE DIMS",
    "rm [--prefix P] NAME...",
    "get [--prefix P] [--owner UID] [--raw] NAME",
    "put [--prefix P] [--npy|--csv|--raw] [OPTION...] NAME [FILE]",
    "fill [--prefix P] NAME VALUE",
    "sum [--prefix P] [--owner UID] NAME",
    "head [--prefix P] [--owner UID] [-n N] NAME",
    NULL,
};

#define BIT(option) (UINT32_C(1) << ((option)-OPTION_OF_VERB))
#define NEW                                                                                                            \
    (BIT(OPTION_PREFIX) | BIT(OPTION_KEEP) | BIT(OPTION_FOR) | BIT(OPTION_ORDER) | BIT(OPTION_REPLACE) |               \
     BIT(OPTION_SHARE) | BIT(OPTION_HUGE) | BIT(OPTION_POPULATE))
#define NAMED (BIT(OPTION_PREFIX) | BIT(OPTION_OWNER))

static const struct deed {
    const char *name;
    int (*run)(const struct command_line *line, const struct shm_wish *wish);
    uint32_t options;
    size_t least, most; /* words behind its name */
    const char *words;  /* what they are */
} deeds[] = {
    { "ls", shm_list, BIT(OPTION_PREFIX), 0, 0, "no words" },
    { "info", shm_info, NAMED, 1, 1, "the NAME of one array" },
    { "create", shm_create, NEW | BIT(OPTION_BACKING) | BIT(OPTION_BACKING_MODE) | BIT(OPTION_OFFSET), 3, 3,
      "NAME TYPE DIMS: a float64 1000,10" },
    { "rm", shm_rm, BIT(OPTION_PREFIX), 1, SIZE_MAX, "the NAMEs of arrays" },
    { "get", shm_get, NAMED | BIT(OPTION_RAW), 1, 1, "the NAME of one array" },
    { "put", shm_put, NEW | BIT(OPTION_NPY) | BIT(OPTION_CSV) | BIT(OPTION_RAW) | BIT(OPTION_TYPE) | BIT(OPTION_DIMS),
      1, 2, "the NAME of one array, and a FILE or nothing, which is standard input" },
    { "fill", shm_fill, BIT(OPTION_PREFIX), 2, 2, "NAME VALUE: a 0.5" },
    { "sum", shm_sum, NAMED, 1, 1, "the NAME of one array" },
    { "head", shm_head, NAMED | BIT(OPTION_LINES), 1, 1, "the NAME of one array" },
};
enum { DEEDS = sizeof deeds / sizeof deeds[0] };

/* -- the command line ------------------------------------------------------------------------------- */

static const char *option_name(int id)
{
    const struct option_row *row = options;

    while (row->name && row->id != id)
        row++;
    return row->name;
}

static int wrong_name(const struct command_line *line, const char *what, const char *name)
{
    if (strchr(name, '/'))
        return command_line_wrong(
            line, "\"%.80s\" has a slash, and no %s has one: an array is no file. Allowed are " WORDS_NAMES, name,
            what);
    return command_line_wrong(line, "\"%.80s\" is no %s: allowed are %s", name, what,
                              strcmp(what, "prefix") == 0 ? "up to 64 of A-Z a-z 0-9 _ . -" : WORDS_NAMES);
}

static int take_uid(const struct command_line *line, const struct item *item, uint32_t *ret)
{
    uint64_t uid;

    if (!words_count(item->text, UINT32_MAX - 1, &uid))
        return command_line_wrong(line, "--%s %.40s: allowed is the number of a user, 0 or more", option_name(item->id),
                                  item->text);
    *ret = (uint32_t)uid;
    return EXIT_VALUE;
}

static int take_share(const struct command_line *line, const struct item *item, struct shm_wish *wish)
{
    if (wish->options.n_share == SHM_SHARE_MAX)
        return command_line_wrong(line, "--share %.40s: that is one too many; an array is shared with at most %d users",
                                  item->text, SHM_SHARE_MAX);
    return take_uid(line, item, &wish->share[wish->options.n_share++]);
}

static int take_format(const struct command_line *line, enum shm_format format, struct shm_wish *wish)
{
    if (wish->format != SHM_FORMAT_FOUND && wish->format != format)
        return command_line_wrong(line, "--npy, --csv and --raw exclude each other");
    wish->format = format;
    return EXIT_VALUE;
}

static int take_file_mode(const struct command_line *line, const char *text, struct shm_wish *wish)
{
    static const char *const modes[] = { "r", "r+", "w+", "a+" };

    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        if (strcmp(modes[i], text) == 0) {
            wish->options.file_mode = modes[i];
            return EXIT_VALUE;
        }
    }
    return command_line_wrong(line,
                              "--file-mode %.40s: allowed are r (there, to be read alone), r+ (there), w+ (made, or "
                              "emptied) and a+ (made if it is not there)",
                              text);
}

static int take_shape(const struct command_line *line, const char *text, struct shm_wish *wish,
                      bool (*read)(const char *text, struct shape *ret, char why[SHAPE_WHY_BYTES]))
{
    char why[SHAPE_WHY_BYTES];

    return read(text, &wish->shape, why) ? EXIT_VALUE : command_line_wrong(line, "%s", why);
}

static int take_number(const struct command_line *line, const struct item *item, struct shm_wish *wish)
{
    if (item->id == OPTION_LINES)
        return words_number(item->text, &wish->lines)
                   ? EXIT_VALUE
                   : command_line_wrong(line, "-n %.40s: allowed is a number of lines, 1 or more", item->text);
    return words_count(item->text, INT64_MAX, &wish->options.file_offset)
               ? EXIT_VALUE
               : command_line_wrong(line, "--offset %.40s: allowed is a number of bytes", item->text);
}

static int take_option(const struct command_line *line, const struct item *item, struct shm_wish *wish)
{
    switch (item->id) {
    case OPTION_PREFIX:
        wish->options.prefix = item->text;
        return words_prefix(item->text) ? EXIT_VALUE : wrong_name(line, "prefix", item->text);
    case OPTION_KEEP:
        wish->options.flags |= PTOOLS_SHM_KEEP;
        return EXIT_VALUE;
    case OPTION_FOR:
        wish->options.flags |= PTOOLS_SHM_KEEP;
        if (!words_duration(item->text, &wish->options.keep_ms))
            return command_line_wrong(line, "--for %.40s: " WORDS_DURATIONS, item->text);
        return EXIT_VALUE;
    case OPTION_ORDER:
        return take_shape(line, item->text, wish, shape_read_order);
    case OPTION_REPLACE:
        wish->options.flags |= PTOOLS_SHM_REPLACE;
        return EXIT_VALUE;
    case OPTION_HUGE:
        wish->options.flags |= PTOOLS_SHM_HUGE;
        return EXIT_VALUE;
    case OPTION_POPULATE:
        wish->options.flags |= PTOOLS_SHM_POPULATE;
        return EXIT_VALUE;
    case OPTION_BACKING:
        wish->options.file = item->text;
        return *item->text ? EXIT_VALUE : command_line_wrong(line, "--file is empty");
    case OPTION_BACKING_MODE:
        return take_file_mode(line, item->text, wish);
    case OPTION_OFFSET:
    case OPTION_LINES:
        return take_number(line, item, wish);
    case OPTION_SHARE:
        return take_share(line, item, wish);
    case OPTION_NPY:
        return take_format(line, SHM_FORMAT_NPY, wish);
    case OPTION_CSV:
        return take_format(line, SHM_FORMAT_CSV, wish);
    case OPTION_RAW:
        return take_format(line, SHM_FORMAT_RAW, wish);
    case OPTION_TYPE:
        return take_shape(line, item->text, wish, shape_read_type);
    case OPTION_DIMS:
        return take_shape(line, item->text, wish, shape_read_dims);
    case OPTION_OWNER:
        return take_uid(line, item, &wish->owner);
    }
    return EXIT_VALUE;
}

static int take_options(const struct command_line *line, const struct deed *deed, struct shm_wish *wish)
{
    int status = EXIT_VALUE;

    for (size_t i = 0; i < line->n && status == EXIT_VALUE; i++) {
        const struct item *item = &line->items[i];

        if (item->id == ITEM_WORD)
            continue;
        if (!(deed->options & BIT(item->id)))
            return command_line_wrong(line, "--%s has no meaning for %s", option_name(item->id), deed->name);
        status = take_option(line, item, wish);
    }
    if (status == EXIT_VALUE && !wish->options.file && (wish->options.file_mode || wish->options.file_offset))
        return command_line_wrong(line, "--%s belongs to --file", wish->options.file_mode ? "file-mode" : "offset");
    return status;
}

static int take_words(const struct command_line *line, const struct deed *deed, struct shm_wish *wish)
{
    const size_t words = command_line_words(line), behind = words > 0 ? words - 1 : 0;
    const char *name;

    if (behind < deed->least || behind > deed->most)
        return command_line_wrong(line, "%s takes %s", deed->name, deed->words);
    /* rm takes several names; what follows the name elsewhere is the deed's own. */
    for (size_t i = 1; i <= (deed->most == SIZE_MAX ? behind : deed->most > 0); i++) {
        name = command_line_word(line, i);
        if (!words_name(name))
            return wrong_name(line, "name", name);
    }
    wish->name = command_line_word(line, 1);
    return EXIT_VALUE;
}

static const struct deed *find_deed(const char *word, struct nearest *near)
{
    nearest_init(near, word);
    for (size_t i = 0; i < DEEDS; i++) {
        if (strcmp(deeds[i].name, word) == 0)
            return &deeds[i];
        nearest_offer(near, deeds[i].name);
    }
    return NULL;
}

static int run(const struct command_line *line)
{
    struct shm_wish wish = { .options = PTOOLS_SHM_OPTIONS_INIT, .owner = PTOOLS_SHM_OWN, .lines = 10 };
    const char *word = command_line_word(line, 0);
    struct nearest near;
    const struct deed *deed = find_deed(word ? word : "ls", &near);
    int status;

    if (!deed)
        return command_line_wrong(
            line, "\"%.80s\": %s%s%sallowed are ls, info, create, rm, get, put, fill, sum and head", word,
            near.best ? "the nearest is " : "", near.best ? near.best : "", near.best ? "; " : "");
    status = take_words(line, deed, &wish);
    if (status == EXIT_VALUE)
        status = take_options(line, deed, &wish);
    wish.options.share = wish.share;
    return status == EXIT_VALUE ? deed->run(line, &wish) : status;
}

/* -- what the deeds share ---------------------------------------------------------------------------- */

const char *shm_name_text(const struct shm_wish *wish, char text[SHM_NAME_TEXT_BYTES])
{
    int n = snprintf(text, SHM_NAME_TEXT_BYTES, "\"%s\"", wish->name);

    if (wish->options.prefix && *wish->options.prefix)
        n += snprintf(text + n, SHM_NAME_TEXT_BYTES - (size_t)n, " with the prefix \"%s\"", wish->options.prefix);
    if (wish->owner != PTOOLS_SHM_OWN)
        snprintf(text + n, SHM_NAME_TEXT_BYTES - (size_t)n, " of user %u", wish->owner);
    return text;
}

int shm_open(const struct command_line *line, const struct shm_wish *wish, bool write, ptools **ret_pt,
             ptools_array **ret_array)
{
    PTOOLS_AUTO(ptools) pt = NULL;
    int status = session_open(line, false, 0, &pt);
    ptools_err r;

    if (status != EXIT_VALUE)
        return status;
    r = ptools_shm_map(pt, wish->options.prefix, wish->name, wish->owner, write ? 0 : PTOOLS_SHM_READ_ONLY, ret_array);
    if (r != PTOOLS_OK)
        return failure_report_last(line, pt, r);
    *ret_pt = pt;
    pt = NULL;
    return EXIT_VALUE;
}

ptools_err shm_make(ptools *pt, const struct shm_wish *wish, const struct shape *shape, ptools_array **ret_array)
{
    ptools_shmcfg cfg = { .name = wish->name, .type = shape->type, .ndims = shape->ndims, .order = shape->order };

    memcpy(cfg.dims, shape->dims, shape->ndims * sizeof cfg.dims[0]);
    return ptools_shm_create(pt, &cfg, &wish->options, ret_array);
}

int shm_check_writable(const struct command_line *line, const struct shm_wish *wish, const ptools_array *array)
{
    char name[SHM_NAME_TEXT_BYTES], message[SHM_NAME_TEXT_BYTES + 100];

    if (!ptools_array_read_only(array))
        return EXIT_VALUE;
    snprintf(message, sizeof message, "the array %s may not be written to: it was created with --file-mode r",
             shm_name_text(wish, name));
    return failure_report_code(line, PTOOLS_ERR_DENIED, message);
}

const struct verb verb_shm = {
    .name = "shm",
    .summary = "list, create, fill, read and remove arrays in shared memory",
    .usage = usage,
    .about = "Lists the arrays that the daemon holds, or tells all about one, and who maps it. Creates one of DIMS\n"
             "(1000 or 1000,10: up to 8 numbers) elements of TYPE: int8 to int64, uint8 to uint64, float32, float64,\n"
             "complex64, complex128, bool. Without --keep it ends with the command, which therefore waits until its\n"
             "standard input ends. get writes it to standard output as a .npy file, which numpy loads; put reads one\n"
             "(or CSV, or bare elements) into an array of the same type and shape, and where there is none creates\n"
             "it, kept. fill sets all its elements, sum adds them up, head shows the first lines of them.\n",
    .options = options,
    .run = run,
};
