/* SPDX-License-Identifier: MIT */
/*
 * transport -- what both kinds share: see transport.h.
 */
#include "client/lib/transport.h"

#include <stdarg.h>
#include <stdio.h>

static __attribute__((__format__(__printf__, 3, 0))) void set(struct problem *p, ptools_err code, const char *format,
                                                              va_list args)
{
    p->code = code;
    vsnprintf(p->text, sizeof p->text, format, args);
}

ptools_err problem_set(struct problem *p, ptools_err code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    set(p, code, format, args);
    va_end(args);
    return code;
}

void transport_end(struct transport *t, ptools_err code, const char *format, ...)
{
    va_list args;

    if (t->end.code != PTOOLS_OK)
        return;
    va_start(args, format);
    set(&t->end, code, format, args);
    va_end(args);
    t->ops->shut(t);
}

struct transport *transport_free(struct transport *t, bool forked)
{
    if (t)
        t->ops->free(t, forked);
    return NULL;
}
