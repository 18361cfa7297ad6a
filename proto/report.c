/* SPDX-License-Identifier: MIT */
/*
 * report -- module reports: [module, code, flags, help, path, problem, [[name, help, flags], ...]].
 *
 * Both ends are of one build, so the fields go by place. The sender makes texts of a module fit
 * (cuts and cleans them); the receiver believes nothing and refuses a report that breaks any rule.
 * Each string of a decoded report, like the list of functions, is a block of its own: report_free()
 * also releases one that was put together by hand that way.
 */
#include "proto/report.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include <ptools/module.h>

#include "proto/message.h"
#include "proto/text.h"
#include "proto/value.h"

enum {
    REPORT_ELEMENTS = 7,
    FUNCTION_ELEMENTS = 3,
    DEPTH_MAX = 3,
    ITEMS_MAX = 1 + REPORT_ELEMENTS + REPORT_FUNCTIONS_MAX * (1 + FUNCTION_ELEMENTS),
    PATH_TEXT_MAX = PATH_MAX,
    FUNCTION_FLAGS = PTOOLS_FN_IDEMPOTENT | PTOOLS_FN_TIDY
};

/* -- out -------------------------------------------------------------------------------------------- */

static void put_name(msgpack_packer *pk, const char *s)
{
    msgpack_pack_str_with_body(pk, s, strlen(s));
}

static void put_text(msgpack_packer *pk, struct bytes *out, const char *s, size_t max)
{
    size_t n = strnlen(s, max);

    msgpack_pack_str_with_body(pk, s, n);
    if (!out->err)
        text_clean((char *)out->data + out->n - n, n, false);
}

void report_encode(const struct report *r, struct bytes *out)
{
    msgpack_packer pk;

    msgpack_packer_init(&pk, out, bytes_write);
    msgpack_pack_array(&pk, REPORT_ELEMENTS);
    put_name(&pk, r->module);
    msgpack_pack_uint32(&pk, (uint32_t)r->code);
    msgpack_pack_uint32(&pk, r->flags);
    put_text(&pk, out, r->help, REPORT_TEXT_MAX);
    put_text(&pk, out, r->path, PATH_TEXT_MAX);
    put_text(&pk, out, r->problem, REPORT_TEXT_MAX);
    msgpack_pack_array(&pk, r->n);
    for (size_t i = 0; i < r->n; i++) {
        msgpack_pack_array(&pk, FUNCTION_ELEMENTS);
        put_name(&pk, r->functions[i].name);
        put_text(&pk, out, r->functions[i].help, REPORT_TEXT_MAX);
        msgpack_pack_uint32(&pk, r->functions[i].flags);
    }
}

/* -- in --------------------------------------------------------------------------------------------- */

static int get_string(const msgpack_object *o, size_t max, char **ret)
{
    char *s;

    if (o->type != MSGPACK_OBJECT_STR || o->via.str.size > max ||
        !text_is_clean(o->via.str.ptr, o->via.str.size, false))
        return -EBADMSG;
    s = strndup(o->via.str.ptr, o->via.str.size);
    if (!s)
        return -ENOMEM;
    *ret = s;
    return 0;
}

static int get_name(const msgpack_object *o, char **ret)
{
    if (o->type != MSGPACK_OBJECT_STR || !name_ok_module(o->via.str.ptr, o->via.str.size))
        return -EBADMSG;
    return get_string(o, NAME_BYTES_MAX, ret);
}

static int get_flags(const msgpack_object *o, uint32_t known, uint32_t *ret)
{
    if (o->type != MSGPACK_OBJECT_POSITIVE_INTEGER || (o->via.u64 & ~(uint64_t)known) != 0)
        return -EBADMSG;
    *ret = (uint32_t)o->via.u64;
    return 0;
}

static int get_code(const msgpack_object *o, ptools_err *ret)
{
    if (o->type != MSGPACK_OBJECT_POSITIVE_INTEGER ||
        (o->via.u64 != PTOOLS_OK && o->via.u64 != PTOOLS_ERR_NO_MODULE && o->via.u64 != PTOOLS_ERR_MODULE_BROKEN))
        return -EBADMSG;
    *ret = (ptools_err)o->via.u64;
    return 0;
}

static int get_function(const msgpack_object *o, struct report_function *ret)
{
    const msgpack_object *e;
    int r;

    if (o->type != MSGPACK_OBJECT_ARRAY || o->via.array.size != FUNCTION_ELEMENTS)
        return -EBADMSG;
    e = o->via.array.ptr;
    if ((r = get_name(&e[0], &ret->name)) < 0 || (r = get_string(&e[1], REPORT_TEXT_MAX, &ret->help)) < 0 ||
        (r = get_flags(&e[2], FUNCTION_FLAGS, &ret->flags)) < 0)
        return r;
    return 0;
}

static int get_functions(const msgpack_object *o, struct report *report)
{
    size_t n;

    if (o->type != MSGPACK_OBJECT_ARRAY || o->via.array.size > REPORT_FUNCTIONS_MAX)
        return -EBADMSG;
    n = o->via.array.size;
    if (n == 0)
        return 0;
    report->functions = calloc(n, sizeof *report->functions);
    if (!report->functions)
        return -ENOMEM;
    while (report->n < n) {
        size_t i = report->n++; /* counted first: what it already holds is freed if it fails */
        int r = get_function(&o->via.array.ptr[i], &report->functions[i]);

        if (r < 0)
            return r;
    }
    return 0;
}

static int get_report(const msgpack_object *o, struct report *report)
{
    const msgpack_object *e;
    int r;

    if (o->type != MSGPACK_OBJECT_ARRAY || o->via.array.size != REPORT_ELEMENTS)
        return -EBADMSG;
    e = o->via.array.ptr;
    if ((r = get_name(&e[0], &report->module)) < 0 || (r = get_code(&e[1], &report->code)) < 0 ||
        (r = get_flags(&e[2], REPORT_IN_WORKER, &report->flags)) < 0 ||
        (r = get_string(&e[3], REPORT_TEXT_MAX, &report->help)) < 0 ||
        (r = get_string(&e[4], PATH_TEXT_MAX, &report->path)) < 0 ||
        (r = get_string(&e[5], REPORT_TEXT_MAX, &report->problem)) < 0 ||
        (r = get_functions(&e[6], report)) < 0)
        return r;
    return 0;
}

int report_decode(const uint8_t *data, size_t n, struct report **ret)
{
    static const struct scan_limits limits = { DEPTH_MAX, ITEMS_MAX };
    AUTO(report) report = NULL;
    msgpack_zone zone;
    msgpack_object root;
    size_t off = 0;
    int r;

    if (scan_value(data, n, &limits) != SCAN_OK)
        return -EBADMSG;
    report = calloc(1, sizeof *report);
    if (!report || !msgpack_zone_init(&zone, MSGPACK_ZONE_CHUNK_SIZE))
        return -ENOMEM;
    if (msgpack_unpack((const char *)data, n, &off, &zone, &root) == MSGPACK_UNPACK_SUCCESS)
        r = get_report(&root, report);
    else
        r = -ENOMEM; /* it passed the scan: nothing else can be wrong */
    msgpack_zone_destroy(&zone);
    if (r < 0)
        return r;
    *ret = TAKE(report);
    return 0;
}

struct report *report_free(struct report *r)
{
    if (!r)
        return NULL;
    for (size_t i = 0; i < r->n; i++) {
        free(r->functions[i].name);
        free(r->functions[i].help);
    }
    free(r->functions);
    free(r->module);
    free(r->help);
    free(r->path);
    free(r->problem);
    free(r);
    return NULL;
}
