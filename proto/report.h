/* SPDX-License-Identifier: MIT */
/*
 * report -- what the template found when it loaded a module: codec between template and daemon.
 *
 * The body of LINK_LOADED, in msgpack. The daemon never loads a module itself; from the report it
 * knows the functions, so that a call of an unknown one is refused without troubling a worker. The
 * template runs foreign code: the report is scanned and checked like a client's message.
 */
#ifndef PROTO_REPORT_H
#define PROTO_REPORT_H

#include <stddef.h>
#include <stdint.h>

#include <ptools/error.h>

#include "proto/bytes.h"

enum { REPORT_IN_WORKER = 1 }; /* it starts threads when loaded: each worker loads it, the template does not */
enum { REPORT_FUNCTIONS_MAX = 500, REPORT_TEXT_MAX = 400 };

struct report_function {
    char *name;     /* name_ok_module() */
    char *help;     /* never NULL; printable */
    uint32_t flags; /* PTOOLS_FN_... */
};

struct report {
    char *module;    /* name_ok_module() */
    char *help;      /* never NULL; printable */
    char *path;      /* where it was found, or "" */
    char *problem;   /* why it is missing or broken; "" if it was loaded */
    ptools_err code; /* PTOOLS_OK, PTOOLS_ERR_NO_MODULE, PTOOLS_ERR_MODULE_BROKEN */
    uint32_t flags;  /* REPORT_... */
    size_t n;
    struct report_function *functions;
};

void report_encode(const struct report *r, struct bytes *out);
/* 0 and a report of the caller's; -EBADMSG if it is malformed, over the limits or not printable; -ENOMEM. */
int report_decode(const uint8_t *data, size_t n, struct report **ret);
struct report *report_free(struct report *r);
DEFINE_AUTO(report)

#endif
