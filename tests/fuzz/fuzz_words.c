/* SPDX-License-Identifier: MIT */
/*
 * fuzz_words -- any text as each of the small things that the command reads: tasks (17, 3-9, key:x), durations, sizes,
 * times, numbers, priorities, names, when to halt, limits, processors, shapes. What is taken lies within what is
 * allowed; what is refused with a sentence has one.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/halt.h"
#include "client/cli/ids.h"
#include "client/cli/rlimits.h"
#include "client/cli/shape.h"
#include "client/cli/times.h"
#include "client/cli/words.h"
#include "tests/fuzz/fuzz.h"

#define NOW_MS  INT64_C(1764192615000)
#define YEAR_MS (INT64_C(366) * 86400000)

static void check_ids(const char *text)
{
    char why[IDS_WHY_BYTES] = "";
    struct ids ids = { .n = 0 };
    int r = ids_add(&ids, text, why);

    check(r == 0 ? ids.n > 0 : r == 1 && *why && ids.n == 0);
    for (size_t i = 0; i < ids.n; i++) {
        const struct id *id = &ids.items[i];

        check((id->kind == ID_KEY || id->kind == ID_TAG) == (id->text != NULL));
        check(id->kind != ID_NUMBER || id->first > 0);
        check(id->kind != ID_RANGE || (id->first > 0 && id->first <= id->last));
        check(id->kind != ID_TAG || words_tag(id->text));
        check(id->kind != ID_KEY || strlen(id->text) <= IDS_KEY_BYTES);
    }
    ids_deinit(&ids);
}

static void check_numbers(const char *text)
{
    int64_t ms = 0;
    uint32_t number = 0;
    uint64_t count = 0, bytes = 0;
    double priority = 0;

    check(!words_duration(text, &ms) || (ms >= 1 && ms <= YEAR_MS));
    check(!words_number(text, &number) || (number >= 1 && number <= INT32_MAX));
    check(!words_count(text, 1000, &count) || count <= 1000);
    check(!words_count(text, UINT64_MAX, &count) || *text);
    check(!words_bytes(text, &bytes) || bytes <= INT64_MAX);
    check(!words_priority(text, &priority) || !isnan(priority));
}

static void check_times(const char *text)
{
    char why[TIMES_WHY_BYTES] = "", written[TIMES_TEXT_BYTES];
    int64_t ms, again;

    if (!times_read(text, NOW_MS, &ms, why)) {
        check(*why);
        return;
    }
    times_write(ms, written);
    if (*text != '@') /* of these, years that no text has are taken */
        check(times_read(written, NOW_MS, &again, why) && again / 1000 == ms / 1000);
}

static void check_names(const char *text)
{
    const size_t n = strlen(text);

    check(!words_name(text) || (n >= 1 && n <= 64 && words_prefix(text)));
    check(!words_tag(text) || (n >= 1 && n <= WORDS_TAG_BYTES));
    check(!words_function(text) || strchr(text, '.'));
    words_utf8(text, n);
}

static void check_limits(const char *text)
{
    ptools_pfork_limit limits[RLIMITS_MAX] = { { 0 } };
    static uint32_t cpus[RLIMITS_CPUS_MAX];
    char why[RLIMITS_WHY_BYTES] = "";
    uint32_t n = 0, n_cpus = 0;
    struct halt halt;

    check(rlimits_read(text, limits, &n, why) ? n == 1 : n == 0 && *why);
    check(n == 0 || (rlimits_read(text, limits, &n, why) && n == 1)); /* in the place of the one before */
    *why = '\0';
    if (rlimits_read_cpus(text, cpus, &n_cpus, why))
        check(n_cpus >= 1 && n_cpus <= RLIMITS_CPUS_MAX);
    else
        check(*why);
    if (halt_read(text, &halt))
        check(halt.when == HALT_NEVER || (halt.n > 0 && (!halt.percent || halt.n <= 100)));
}

static void check_shape(const char *text)
{
    struct shape s = { .type = PTOOLS_INT8, .order = PTOOLS_ROW_MAJOR, .ndims = 1, .dims = { 1 } };
    char why[SHAPE_WHY_BYTES] = "";
    uint64_t bytes = 0;

    check(shape_read_type(text, &s, why) || *why);
    *why = '\0';
    check(shape_read_order(text, &s, why) || *why);
    *why = '\0';
    if (!shape_read_dims(text, &s, why))
        check(*why && s.ndims == 1);
    else if (shape_size(&s, NULL, &bytes, why))
        check(bytes > 0 && bytes <= INT64_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char *text = fuzz_text(data, n);

    check_ids(text);
    check_numbers(text);
    check_times(text);
    check_names(text);
    check_limits(text);
    check_shape(text);
    free(text);
    return 0;
}
