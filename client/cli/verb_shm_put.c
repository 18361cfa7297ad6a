/* SPDX-License-Identifier: MIT */
/*
 * verb_shm_put -- `ptools shm put`: a file's elements into an array.
 *
 * First all that can be known without writing to the array is found out: whether there is one, what the file holds, and
 * whether the two fit. The elements of a .npy or raw file then go by read() to where they belong. They are read into
 * memory of our own before that (staged) when they may still turn out wrong or lie another way round: what comes
 * through a pipe may end early, bools may be neither 0 nor 1, CSV is text. An array that was created for elements that
 * then fail to come is removed again.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/csv.h"
#include "client/cli/failure.h"
#include "client/cli/input.h"
#include "client/cli/npy.h"
#include "client/cli/session.h"
#include "client/cli/verb_shm.h"

/* Of a text: so much for each element that the array has, and for one that is still to be made so much in all. */
enum { CSV_ELEMENT_BYTES = 256 };
#define CSV_BYTES_MAX (UINT64_C(4) << 30)
enum { WHY_BYTES = 480, MESSAGE_BYTES = WHY_BYTES + 210 };

struct load {
    const struct command_line *line;
    const struct shm_wish *wish;
    ptools *pt;
    ptools_array *array; /* NULL: there is none yet */
    bool created;        /* by us */
    struct input in;
    struct shape shape; /* of what is read */
    uint64_t count, bytes;
    void *staged; /* NULL: it is still to be read */
};

/* -- failures ------------------------------------------------------------------------------------------- */

/* "FILE: why" */
static int report_input(const struct load *l, ptools_err code, const char *why)
{
    char message[MESSAGE_BYTES];

    snprintf(message, sizeof message, "%.200s: %s", l->in.name, why);
    return failure_report_code(l->line, code, message);
}

static int report_read(const struct load *l, int err)
{
    char message[MESSAGE_BYTES];

    if (err == -ENOMEM)
        return failure_report_code(l->line, PTOOLS_ERR_NO_MEMORY, NULL);
    snprintf(message, sizeof message, "cannot read %.200s: %s", l->in.name, strerror(-err));
    return failure_report_code(l->line, PTOOLS_ERR_SYSTEM, message);
}

static int report_bytes(const struct load *l, const char *relation, uint64_t there)
{
    char text[SHAPE_TEXT_BYTES], why[WHY_BYTES];

    snprintf(why, sizeof why, "it holds %s%" PRIu64 " bytes of elements, and %s takes %" PRIu64, relation, there,
             shape_text(&l->shape, text), l->bytes);
    return report_input(l, PTOOLS_ERR_MISMATCH, why);
}

static int report_mismatch(const struct load *l, const char *holds)
{
    char name[SHM_NAME_TEXT_BYTES], text[SHAPE_TEXT_BYTES], why[WHY_BYTES];
    struct shape shape;

    shape_of(l->array, &shape);
    snprintf(why, sizeof why, "it holds %s, and the array %s is %s", holds, shm_name_text(l->wish, name),
             shape_text(&shape, text));
    return report_input(l, PTOOLS_ERR_MISMATCH, why);
}

static int report_options(const struct load *l)
{
    char name[SHM_NAME_TEXT_BYTES], text[SHAPE_TEXT_BYTES], message[MESSAGE_BYTES];
    struct shape shape;

    shape_of(l->array, &shape);
    snprintf(message, sizeof message,
             "there is an array %s, %s in %s-major order, and --type, --dims or --order say otherwise",
             shm_name_text(l->wish, name), shape_text(&shape, text),
             shape.order == PTOOLS_COLUMN_MAJOR ? "column" : "row");
    return failure_report_code(l->line, PTOOLS_ERR_MISMATCH, message);
}

/* -- what the file holds ----------------------------------------------------------------------------- */

/* The array that there is, if there is one and it is not to be replaced. */
static int find_array(struct load *l)
{
    const struct shm_wish *wish = l->wish;
    ptools_err r;

    if (wish->options.flags & PTOOLS_SHM_REPLACE)
        return EXIT_VALUE;
    r = ptools_shm_map(l->pt, wish->options.prefix, wish->name, PTOOLS_SHM_OWN, 0, &l->array);
    if (r == PTOOLS_ERR_NO_ARRAY)
        return EXIT_VALUE;
    if (r != PTOOLS_OK)
        return failure_report_last(l->line, l->pt, r);
    if (ptools_array_check(l->array, wish->shape.type, wish->shape.ndims, wish->shape.dims) != PTOOLS_OK ||
        (wish->shape.order == PTOOLS_COLUMN_MAJOR && ptools_array_order(l->array) != PTOOLS_COLUMN_MAJOR))
        return report_options(l);
    return shm_check_writable(l->line, wish, l->array);
}

static int read_npy(struct load *l)
{
    uint8_t *header = malloc(NPY_HEADER_BYTES_MAX + NPY_START_BYTES);
    size_t n = 0, bytes = 0, more = 0;
    char why[NPY_WHY_BYTES] = "";
    bool good;
    int r = header ? input_read(&l->in, header, NPY_START_BYTES, &n) : -ENOMEM;

    good = r == 0 && npy_start(header, n, &bytes, why);
    if (good && bytes > n)
        r = input_read(&l->in, header + n, bytes - n, &more);
    good = good && r == 0 && npy_read(header, n + more < bytes ? n + more : bytes, &l->shape, why);
    if (r == 0 && n >= 1 && !npy_is(header, n) && l->wish->format == SHM_FORMAT_FOUND)
        snprintf(why, sizeof why, "it does not begin as a .npy file does; --csv or --raw tell what else it is");
    free(header);
    if (r < 0)
        return report_read(l, r);
    return good ? EXIT_VALUE : report_input(l, PTOOLS_ERR_INVALID, why);
}

static int read_raw(struct load *l)
{
    const struct shape *wanted = &l->wish->shape;

    if (l->array)
        shape_of(l->array, &l->shape);
    else if (!wanted->type || !wanted->ndims)
        return command_line_wrong(l->line, "there is no array \"%s\" yet; to create it, --raw needs --type and --dims",
                                  l->wish->name);
    else
        l->shape = *wanted;
    return EXIT_VALUE;
}

/* How long a text may be, so that an endless one is not read until memory is over. */
static uint64_t csv_bytes_max(const struct load *l)
{
    uint64_t n = l->array ? ptools_array_count(l->array) : 0;

    if (!l->array)
        return CSV_BYTES_MAX;
    return n < (SIZE_MAX / 4) / CSV_ELEMENT_BYTES ? (n + 256) * CSV_ELEMENT_BYTES : SIZE_MAX / 2;
}

static int report_endless(const struct load *l, uint64_t most)
{
    char why[WHY_BYTES], name[SHM_NAME_TEXT_BYTES], text[SHAPE_TEXT_BYTES];
    struct shape shape;

    if (!l->array) {
        snprintf(why, sizeof why, "it has more than %" PRIu64 " bytes, more CSV is not read: write a .npy or raw file",
                 most);
        return report_input(l, PTOOLS_ERR_TOO_LARGE, why);
    }
    shape_of(l->array, &shape);
    snprintf(why, sizeof why, "it has more than %" PRIu64 " bytes, too many for CSV of the array %s, which is %s", most,
             shm_name_text(l->wish, name), shape_text(&shape, text));
    return report_input(l, PTOOLS_ERR_MISMATCH, why);
}

/* The text as staged elements, row by row, and its shape: that of the array if the numbers of rows and columns are its
 * dimensions. One column, or one row, is also an array of one dimension. */
static int read_csv(struct load *l)
{
    char why[CSV_WHY_BYTES] = "", holds[100];
    char *text = NULL;
    struct csv csv;
    size_t n = 0;
    int r;

    l->shape.type = l->array ? ptools_array_type(l->array) : l->wish->shape.type ? l->wish->shape.type : PTOOLS_FLOAT64;
    r = input_read_all(&l->in, csv_bytes_max(l), &text, &n);
    if (r == -EFBIG)
        return report_endless(l, csv_bytes_max(l));
    if (r < 0)
        return report_read(l, r);
    r = csv_read(l->shape.type, text, n, &csv, why);
    free(text);
    if (r == -EINVAL)
        return report_input(l, PTOOLS_ERR_INVALID, why);
    if (r < 0)
        return report_read(l, r);
    l->staged = csv.elements;
    l->shape.ndims = csv.columns == 1 ? 1 : 2;
    if (l->array && ptools_array_ndims(l->array) <= 2)
        l->shape.ndims = ptools_array_ndims(l->array);
    l->shape.dims[0] = l->shape.ndims == 1 && csv.rows == 1 ? csv.columns : csv.rows;
    l->shape.dims[1] = csv.columns;
    if (!l->array || ptools_array_check(l->array, l->shape.type, l->shape.ndims, l->shape.dims) == PTOOLS_OK)
        if (l->shape.ndims == 2 || csv.rows == 1 || csv.columns == 1)
            return EXIT_VALUE;
    snprintf(holds, sizeof holds, "%" PRIu64 " lines of %" PRIu64 " numbers", csv.rows, csv.columns);
    return report_mismatch(l, holds);
}

static enum shm_format find_format(const struct load *l, const char *path)
{
    size_t n = path ? strlen(path) : 0;

    if (l->wish->format != SHM_FORMAT_FOUND)
        return l->wish->format;
    return n > 4 && strcmp(path + n - 4, ".csv") == 0 ? SHM_FORMAT_CSV : SHM_FORMAT_NPY;
}

/* --type, --dims and --order say what a new array is to be like, where the file does not. */
static int check_shape_options(const struct load *l, enum shm_format format)
{
    const struct shape *wanted = &l->wish->shape;
    char why[SHAPE_WHY_BYTES];

    if (format == SHM_FORMAT_NPY && (wanted->type || wanted->ndims || wanted->order != PTOOLS_ROW_MAJOR))
        return command_line_wrong(l->line, "a .npy file says itself what its type, dimensions and order are");
    if (format == SHM_FORMAT_CSV && wanted->ndims)
        return command_line_wrong(l->line,
                                  "--dims belongs to --raw: those of CSV are its numbers of lines and columns");
    if (wanted->type && wanted->ndims && !shape_size(wanted, NULL, NULL, why))
        return command_line_wrong(l->line, "--type and --dims: %s", why);
    return EXIT_VALUE;
}

static int check_fit(struct load *l)
{
    char text[SHAPE_TEXT_BYTES], why[SHAPE_WHY_BYTES];
    struct shape shape;

    if (!shape_size(&l->shape, &l->count, &l->bytes, why))
        return report_input(l, PTOOLS_ERR_INVALID, why);
    if (!l->array)
        return EXIT_VALUE;
    shape_of(l->array, &shape);
    if (!shape_equal(&shape, &l->shape))
        return report_mismatch(l, shape_text(&l->shape, text));
    return EXIT_VALUE;
}

/* -- its elements --------------------------------------------------------------------------------------- */

/* All of what is left, which must be as many bytes as the shape takes, to where. */
static int read_elements(const struct load *l, void *where)
{
    size_t n = 0, more = 0;
    char beyond;
    int r = input_read(&l->in, where, l->bytes, &n);

    if (r == 0 && n == l->bytes)
        r = input_read(&l->in, &beyond, 1, &more);
    if (r < 0)
        return report_read(l, r);
    if (n < l->bytes || more)
        return report_bytes(l, more ? "more than " : "only ", n);
    return EXIT_VALUE;
}

static int stage(struct load *l)
{
    char why[120];
    uint64_t index;
    int status;

    l->staged = malloc(l->bytes);
    if (!l->staged)
        return failure_report_code(l->line, PTOOLS_ERR_NO_MEMORY, NULL);
    status = read_elements(l, l->staged);
    if (status != EXIT_VALUE || l->shape.type != PTOOLS_BOOLEAN || elements_are_bool(l->staged, l->count, &index))
        return status;
    snprintf(why, sizeof why, "its element %" PRIu64 " is %u; a bool is 0 or 1", index,
             ((const uint8_t *)l->staged)[index]);
    return report_input(l, PTOOLS_ERR_INVALID, why);
}

/* From staged to the array, each element to its indices. The source is walked as it lies, so its last (or, if it is in
 * column-major order, its first) index steps fastest. */
static void reorder(const struct load *l)
{
    const size_t size = ptools_type_bytes(l->shape.type);
    uint64_t index[PTOOLS_DIMS_MAX] = { 0 }, strides[PTOOLS_DIMS_MAX];
    const char *from = l->staged;
    char *to = ptools_array_data(l->array);
    struct shape target;

    shape_of(l->array, &target);
    shape_strides(&target, strides);
    for (uint64_t n = 0; n < l->count; n++, from += size) {
        memcpy(to, from, size);
        for (uint32_t k = 0; k < l->shape.ndims; k++) {
            uint32_t i = l->shape.order == PTOOLS_COLUMN_MAJOR ? k : l->shape.ndims - 1 - k;

            to += strides[i];
            if (++index[i] < l->shape.dims[i])
                break;
            to -= strides[i] * index[i];
            index[i] = 0;
        }
    }
}

static int make_array(struct load *l)
{
    struct shm_wish kept = *l->wish;
    struct shape shape = l->shape;
    ptools_err r;

    kept.options.flags |= PTOOLS_SHM_KEEP;
    if (l->wish->shape.order == PTOOLS_COLUMN_MAJOR) /* of CSV, which itself is row by row */
        shape.order = PTOOLS_COLUMN_MAJOR;
    r = shm_make(l->pt, &kept, &shape, &l->array);
    l->created = r == PTOOLS_OK;
    return r == PTOOLS_OK ? EXIT_VALUE : failure_report_last(l->line, l->pt, r);
}

/* Whether the elements must be seen before the array is touched. */
static bool must_stage(const struct load *l)
{
    struct shape target;
    uint64_t left;

    if (!input_left(&l->in, &left) || l->shape.type == PTOOLS_BOOLEAN)
        return true;
    if (!l->array)
        return false;
    shape_of(l->array, &target);
    return !shape_same_order(&target, &l->shape);
}

static int store(struct load *l)
{
    struct shape target;
    uint64_t left;
    int status = EXIT_VALUE;

    if (!l->staged && input_left(&l->in, &left) && left != l->bytes)
        return report_bytes(l, "", left);
    if (!l->staged && must_stage(l))
        status = stage(l);
    if (status == EXIT_VALUE && !l->array)
        status = make_array(l);
    if (status != EXIT_VALUE)
        return status;
    shape_of(l->array, &target);
    if (!l->staged)
        status = read_elements(l, ptools_array_data(l->array));
    else if (shape_same_order(&target, &l->shape))
        memcpy(ptools_array_data(l->array), l->staged, l->bytes);
    else
        reorder(l);
    if (status != EXIT_VALUE && l->created)
        ptools_unlink_shm_names(l->pt, &l->wish->name, 1, l->wish->options.prefix);
    return status;
}

/* -- all of it --------------------------------------------------------------------------------------------- */

static int load(struct load *l, enum shm_format format)
{
    int status = find_array(l);

    if (status == EXIT_VALUE)
        status = format == SHM_FORMAT_CSV ? read_csv(l) : format == SHM_FORMAT_RAW ? read_raw(l) : read_npy(l);
    if (status == EXIT_VALUE)
        status = check_fit(l);
    return status == EXIT_VALUE ? store(l) : status;
}

int shm_put(const struct command_line *line, const struct shm_wish *wish)
{
    PTOOLS_AUTO(ptools) pt = NULL;
    const char *path = command_line_word(line, 2);
    struct load l = { .line = line, .wish = wish };
    enum shm_format format;
    int r, status;

    if (path && strcmp(path, "-") == 0)
        path = NULL;
    format = find_format(&l, path);
    status = check_shape_options(&l, format);
    if (status != EXIT_VALUE)
        return status;
    r = input_open(&l.in, path);
    if (r < 0)
        return report_read(&l, r);
    status = session_open(line, false, 0, &pt);
    l.pt = pt;
    if (status == EXIT_VALUE)
        status = load(&l, format);
    free(l.staged);
    ptools_array_free(l.array);
    input_close(&l.in);
    return status;
}
