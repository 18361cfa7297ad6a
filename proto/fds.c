/* SPDX-License-Identifier: MIT */
/*
 * fds -- see fds.h: saying no, and believing what is said of an array.
 */
#include "proto/fds.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto/array.h"

void fds_answer_refuse(struct fds_answer *ret, ptools_err code, const char *format, ...)
{
    va_list args;

    *ret = (struct fds_answer){ .magic = FDS_MAGIC, .code = (uint32_t)code };
    va_start(args, format);
    vsnprintf(ret->text, sizeof ret->text, format, args);
    va_end(args);
}

ptools_err fds_answer_array(const struct fds_answer *a, uint64_t object_bytes, struct ptools_array *ret,
                            char why[FDS_TEXT_BYTES])
{
    char layout_why[LAYOUT_WHY_BYTES];

    *ret = (struct ptools_array){ .id = a->id };
    if (!layout_make(&ret->layout, a->type, a->order, a->ndims, a->dims, layout_why) || ret->layout.bytes != a->bytes ||
        a->mapped_bytes < a->bytes || a->offset > INT64_MAX || a->name[NAME_BYTES_MAX] || a->prefix[NAME_BYTES_MAX]) {
        snprintf(why, FDS_TEXT_BYTES, "what ptoolsd tells of array %" PRIu64 " does not hang together", a->id);
        return PTOOLS_ERR_PROTOCOL;
    }
    if (object_bytes < a->offset || object_bytes - a->offset < a->bytes) {
        snprintf(why, FDS_TEXT_BYTES,
                 "the file behind array %" PRIu64 " has become too short: %" PRIu64 " bytes; %" PRIu64 " from %" PRIu64
                 " on are needed", a->id, object_bytes, a->bytes, a->offset);
        return PTOOLS_ERR_BAD_FILE;
    }
    ret->read_only = a->flags & FDS_IS_READ_ONLY;
    ret->mapping_bytes = a->mapped_bytes;
    memcpy(ret->name, a->name, sizeof ret->name);
    memcpy(ret->prefix, a->prefix, sizeof ret->prefix);
    return PTOOLS_OK;
}
