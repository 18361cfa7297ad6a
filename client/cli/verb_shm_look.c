/* SPDX-License-Identifier: MIT */
/*
 * verb_shm_look -- `ptools shm fill`, `sum` and `head`: what one wants of an array without writing a program.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "client/cli/elements.h"
#include "client/cli/failure.h"
#include "client/cli/session.h"
#include "client/cli/verb_shm.h"

/* -- fill -------------------------------------------------------------------------------------------- */

/* n bytes at data are the first `size` of them, again and again. */
static void repeat(char *data, size_t size, size_t n)
{
    for (size_t done = size; done < n;) {
        size_t more = done < n - done ? done : n - done;

        memcpy(data + done, data, more);
        done += more;
    }
}

int shm_fill(const struct command_line *line, const struct shm_wish *wish)
{
    PTOOLS_AUTO(ptools) pt = NULL;
    PTOOLS_AUTO(ptools_array) array = NULL;
    char element[ELEMENT_BYTES_MAX], why[ELEMENT_WHY_BYTES];
    const char *value = command_line_word(line, 2);
    size_t size;
    int status = shm_open(line, wish, true, &pt, &array);

    if (status == EXIT_VALUE)
        status = shm_check_writable(line, wish, array);
    if (status != EXIT_VALUE)
        return status;
    if (!element_read(ptools_array_type(array), value, strlen(value), element, why))
        return failure_report_code(line, PTOOLS_ERR_INVALID, why);
    size = ptools_type_bytes(ptools_array_type(array));
    memcpy(ptools_array_data(array), element, size);
    repeat(ptools_array_data(array), size, ptools_array_bytes(array));
    return EXIT_VALUE;
}

/* -- sum --------------------------------------------------------------------------------------------- */

static void put_complex(struct json_writer *w, double re, double im)
{
    json_open(w, '[');
    json_put_f64(w, re);
    json_put_f64(w, im);
    json_close(w, ']');
}

int shm_sum(const struct command_line *line, const struct shm_wish *wish)
{
    PTOOLS_AUTO(ptools) pt = NULL;
    PTOOLS_AUTO(ptools_array) array = NULL;
    char text[ELEMENT_TEXT_BYTES];
    struct json_writer w;
    struct sum sum;
    int status = shm_open(line, wish, false, &pt, &array);

    if (status != EXIT_VALUE)
        return status;
    elements_sum(ptools_array_type(array), ptools_array_data(array), ptools_array_count(array), &sum);
    if (!line->json) {
        puts(sum_text(&sum, text));
        return EXIT_VALUE;
    }
    session_document(&w);
    json_key(&w, "sum");
    if (sum.complex)
        put_complex(&w, sum.re, sum.im);
    else if (sum.exact)
        json_put_number(&w, sum_text(&sum, text));
    else
        json_put_f64(&w, sum.re);
    return session_document_end(line, &w);
}

/* -- head -------------------------------------------------------------------------------------------- */

/* One line: the elements along the last dimension, at the indices before it. */
struct head {
    ptools_view view;
    uint64_t index[PTOOLS_DIMS_MAX];
    uint64_t columns;         /* of a line */
    struct json_writer *json; /* NULL: as text */
};

static void put_element(struct json_writer *w, ptools_type type, const void *element)
{
    char text[ELEMENT_TEXT_BYTES];
    double d[2];
    float f[2];

    switch (type) {
    case PTOOLS_FLOAT32:
        memcpy(f, element, sizeof f[0]);
        json_put_f64(w, (double)f[0]);
        break;
    case PTOOLS_FLOAT64:
        memcpy(d, element, sizeof d[0]);
        json_put_f64(w, d[0]);
        break;
    case PTOOLS_COMPLEX64:
        memcpy(f, element, sizeof f);
        put_complex(w, (double)f[0], (double)f[1]);
        break;
    case PTOOLS_COMPLEX128:
        memcpy(d, element, sizeof d);
        put_complex(w, d[0], d[1]);
        break;
    default:
        json_put_number(w, element_text(type, element, text)); /* an integer, true, false */
    }
}

static void print_line(struct head *h)
{
    const uint32_t last = h->view.ndims - 1;
    char text[ELEMENT_TEXT_BYTES];

    if (h->json && last > 0)
        json_open(h->json, '[');
    for (uint32_t i = 0; !h->json && last > 1 && i < last; i++)
        printf("%" PRIu64 "%s", h->index[i], i + 1 < last ? "," : "\t");
    for (uint64_t k = 0; k < h->columns; k++) {
        const void *element;

        if (last > 0)
            h->index[last] = k;
        element = ptools_view_at(&h->view, h->index);
        if (h->json)
            put_element(h->json, h->view.type, element);
        else
            printf("%s%s", k ? "\t" : "", element_text(h->view.type, element, text));
    }
    if (h->json && last > 0)
        json_close(h->json, ']');
    else if (!h->json)
        putchar('\n');
}

/* To the next line, in the order of the indices, the last of them fastest. false: that was the last one. */
static bool step(struct head *h)
{
    uint32_t i = h->view.ndims == 1 ? 1 : h->view.ndims - 1; /* lines of one dimension are its elements */

    while (i > 0 && ++h->index[i - 1] == h->view.dims[i - 1])
        h->index[--i] = 0;
    return i > 0;
}

int shm_head(const struct command_line *line, const struct shm_wish *wish)
{
    PTOOLS_AUTO(ptools) pt = NULL;
    PTOOLS_AUTO(ptools_array) array = NULL;
    struct head h = { 0 };
    struct json_writer w;
    uint32_t left = wish->lines;
    int status = shm_open(line, wish, false, &pt, &array);

    if (status != EXIT_VALUE)
        return status;
    ptools_view_of(array, &h.view);
    h.columns = h.view.ndims == 1 ? 1 : h.view.dims[h.view.ndims - 1];
    if (line->json) {
        session_document(&w);
        json_key(&w, "head");
        json_open(&w, '[');
        h.json = &w;
    }
    do
        print_line(&h);
    while (--left > 0 && step(&h) && !ferror(stdout));
    if (!line->json)
        return EXIT_VALUE;
    json_close(&w, ']');
    return session_document_end(line, &w);
}
