/* SPDX-License-Identifier: MIT */
/*
 * envelope -- what message.c and message_answer.c share (envelope.c, envelope_encode.c); nobody else includes it, but
 * tests that make messages of the tables.
 *
 * The body of each kind is a table of fields: how a field is called on the wire, what it may hold,
 * and where it lies in the C struct. One table serves both directions, so that they cannot differ.
 */
#ifndef PROTO_ENVELOPE_H
#define PROTO_ENVELOPE_H

#include <msgpack.h>

#include "proto/message.h"

#define WORKER_MAX INT32_MAX /* the largest worker id */
enum { WORD_BYTES_MAX = 64 }; /* of texts that are a word or a name */

enum field_type {
    FIELD_U32,      /* uint32_t, or an int32_t that is never negative; min to max */
    FIELD_U64,      /* uint64_t; min to max */
    FIELD_BOOL,     /* bool */
    FIELD_TEXT,     /* struct text, at most max bytes */
    FIELD_STORY,    /* the same, cut and cleaned (text.h) when it is sent: it comes from foreign code */
    FIELD_BYTES,    /* struct text, at most max bytes; a msgpack bin */
    FIELD_FUNCTION, /* struct text: MODULE.FUNCTION */
    FIELD_SET_NAME, /* struct text: name_ok_set() */
    FIELD_SET,      /* a set by name, or by number from min to max: struct text, and uint32_t at `beside` */
    FIELD_MODE,     /* uint32_t, 1 or 2; "rr" or "ff" */
    FIELD_WORKERS,  /* uint32_t *, and how many: uint32_t at `beside` */
    FIELD_VERSIONS, /* [lowest, highest]: uint32_t, and uint32_t at `beside` */
    FIELD_PAIR,     /* [first, second]: uint64_t from min on, and uint64_t at `beside` */
    FIELD_PREFIX,   /* struct text: name_ok_prefix() */
    FIELD_TYPE,     /* uint32_t, a ptools_type; its name */
    FIELD_ORDER,    /* uint32_t, a ptools_order; "row" or "column" */
    FIELD_DIMS,     /* uint64_t[PTOOLS_DIMS_MAX], and how many: uint32_t at `beside` */
    FIELD_UIDS,     /* uint32_t *, and how many, up to SHARE_MAX: uint32_t at `beside` */
    FIELD_IDS,      /* uint64_t *, and how many, up to max: uint32_t at `beside` */
    FIELD_F64,      /* double, not NaN, and bool at `beside`: it is set */
    FIELD_CHOICE,   /* uint32_t, from 1; one of `words` */
    FIELD_CHOICES,  /* uint32_t, bits; a list of some of `words`, each once or more often */
    FIELD_TAG,      /* struct text: name_ok_tag() */
    FIELD_TAGS,     /* struct text *, and how many, up to TAGS_MAX: uint32_t at `beside` */
    FIELD_HOSTS,    /* struct text *, and how many, up to HOSTS_MAX: uint32_t at `beside` */
    FIELD_EXIT,     /* int32_t, min to max, and bool at `beside`: it is set */
    FIELD_CODE,     /* ptools_err; always sent */
    FIELD_CODE_NAME /* its name, for readers of the wire; not decoded */
};

struct field {
    const char *key;
    enum field_type type;
    bool required;
    size_t at;     /* offset of the member */
    size_t beside; /* of the second member, for types that have one */
    uint64_t min, max;
    const char *const *words; /* of choices; ends with NULL. min: the bit of the first, of FIELD_CHOICES */
};

/* An envelope taken apart. The body lies in the decoder's memory. */
struct envelope {
    enum msg_kind kind;
    uint64_t id;
    msgpack_object_map body;
};

/* The fields of a kind of request; of a kind of answer: MSG_REPLY, MSG_ERROR, MSG_EVENT. */
const struct field *msg_request_fields(enum msg_kind kind, size_t *ret_n);
const struct field *msg_answer_fields(enum msg_kind kind, size_t *ret_n);

/* The states of a task as words, for FIELD_CHOICE. */
extern const char *const task_shown_words[];

/* As msg_request_decode(). Only kinds from first to last are known here. */
int envelope_decode(struct msg_decoder *d, const uint8_t *data, size_t n, enum msg_kind first, enum msg_kind last,
                    struct envelope *ret, struct msg_problem *ret_problem);
/* Fills the members of *base, which begins zeroed, from the body. 0, or 1 and *ret_problem. */
int envelope_fields_decode(struct msg_decoder *d, const struct envelope *e, const struct field *fields, size_t n,
                           void *base, struct msg_problem *ret_problem);
/* Writes envelope and body; members that are not set are not sent. */
void envelope_encode(enum msg_kind kind, uint64_t id, const struct field *fields, size_t n, const void *base,
                     struct bytes *out);
/* Fills *ret_problem; returns 1. */
int envelope_problem(struct msg_problem *ret_problem, ptools_err code, uint64_t id, const char *format, ...)
    __attribute__((__format__(__printf__, 4, 5)));

#endif
