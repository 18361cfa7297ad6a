/* SPDX-License-Identifier: MIT */
/*
 * halt -- see halt.h. A percentage is of all items that there are, so that it does not depend on which end first.
 */
#include "client/cli/halt.h"

#include <stddef.h>
#include <string.h>

static bool take(const char **text, const char *word)
{
    const size_t n = strlen(word);

    if (strncmp(*text, word, n) != 0)
        return false;
    *text += n;
    return true;
}

static bool read_number(const char *text, struct halt *ret)
{
    uint64_t v = 0;
    size_t n = strspn(text, "0123456789");

    for (size_t i = 0; i < n && i < 18; i++)
        v = 10 * v + (uint64_t)(text[i] - '0');
    ret->percent = strcmp(text + n, "%") == 0;
    ret->n = v;
    return n > 0 && n <= 18 && v > 0 && (!text[n] || (ret->percent && v <= 100));
}

bool halt_read(const char *text, struct halt *ret)
{
    struct halt h = { 0 };

    if (strcmp(text, "never") == 0) {
        *ret = h;
        return true;
    }
    if (take(&text, "soon,"))
        h.when = HALT_SOON;
    else if (take(&text, "now,"))
        h.when = HALT_NOW;
    else
        return false;
    if (take(&text, "fail="))
        h.why = HALT_FAIL;
    else if (take(&text, "success="))
        h.why = HALT_SUCCESS;
    else if (take(&text, "done="))
        h.why = HALT_DONE;
    else
        return false;
    if (!read_number(text, &h))
        return false;
    *ret = h;
    return true;
}

bool halt_reached(const struct halt *halt, uint64_t failed, uint64_t succeeded, uint64_t of)
{
    const uint64_t n = halt->why == HALT_FAIL ? failed : halt->why == HALT_SUCCESS ? succeeded : failed + succeeded;

    if (halt->when == HALT_NEVER)
        return false;
    return halt->percent ? n > 0 && (double)n * 100 >= (double)halt->n * (double)of : n >= halt->n;
}
