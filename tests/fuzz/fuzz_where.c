/* SPDX-License-Identifier: MIT */
/*
 * fuzz_where -- any text as an expression over a task's fields.
 *
 * One that is refused says why. One that is taken says the same of the same task twice, and the opposite within !( ).
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/where.h"
#include "tests/fuzz/fuzz.h"

#define NOW_MS INT64_C(1764192615000)

static const char *const tags[] = { "night", "a" };
static const uint64_t after[] = { 1, 2 };
static const ptools_queued_info tasks[] = {
    { .id = 3,
      .state = PTOOLS_QUEUED_QUEUED,
      .function = "a.b",
      .target = "any",
      .priority = INFINITY,
      .message = "",
      .durability = PTOOLS_CRASHSAFE,
      .phase = "",
      .log = "",
      .output = "" },
    { .id = 4,
      .state = PTOOLS_QUEUED_FAILED,
      .function = "a.b",
      .target = "any",
      .priority = -1,
      .message = "\xff\xc3",
      .durability = PTOOLS_DURABLE,
      .phase = "aaaaaaaaab",
      .log = "one\ntwo\n",
      .output = "/var/lib/ptools/output/1-1",
      .queued_ms = NOW_MS - 5000,
      .run_us = UINT64_MAX,
      .code = PTOOLS_ERR_FAILED,
      .key = "k",
      .key_bytes = 1,
      .tags = tags,
      .n_tags = 2,
      .after = after,
      .n_after = 2 },
};

static void check_condition(const char *text)
{
    char why[WHERE_WHY_BYTES] = "", negated[WHERE_TEXT_BYTES + 8];
    struct where *w, *not ;

    if (where_new(text, WHERE_CONDITION, &w, why) != 0) {
        check(*why);
        return;
    }
    snprintf(negated, sizeof negated, "!(%s)", text);
    if (where_new(negated, WHERE_CONDITION, &not, why) != 0) /* too long, or too deep */
        not = NULL;
    for (size_t i = 0; i < sizeof tasks / sizeof tasks[0]; i++) {
        bool holds = where_holds(w, &tasks[i], NOW_MS);

        check(holds == where_holds(w, &tasks[i], NOW_MS));
        check(!not || holds != where_holds(not, &tasks[i], NOW_MS));
    }
    where_free(not );
    where_free(w);
}

static void check_number(const char *text)
{
    char why[WHERE_WHY_BYTES] = "";
    struct where *w;
    double a, b;

    if (where_new(text, WHERE_NUMBER, &w, why) != 0) {
        check(*why);
        return;
    }
    a = where_number(w, &tasks[0], NOW_MS);
    b = where_number(w, &tasks[1], NOW_MS + 1);
    check(!where_is_constant(w) || a == b || (isnan(a) && isnan(b)));
    where_free(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char *text = fuzz_text(data, n);

    check_condition(text);
    check_number(text);
    free(text);
    return 0;
}
