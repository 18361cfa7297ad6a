/* SPDX-License-Identifier: MIT */
/*
 * message -- the envelopes between client and daemon: typed structs in and out of msgpack.
 *
 * A message is an envelope frame and, for some kinds, a payload frame that stays opaque here. The
 * envelope is the array [version, kind, id, body]. This file knows every kind and every field;
 * PROTOCOL.md is its prose. Decoding checks bounds (scan.h) first, then types, then that nothing is
 * wrong with the names; the sender of a bad one gets the sentence in struct msg_problem. Strings in
 * decoded structs point into the frame. Unknown keys of a body are skipped by rule (a newer minor
 * version may send them); unknown kinds are a problem.
 */
#ifndef PROTO_MESSAGE_H
#define PROTO_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ptools/array.h>
#include <ptools/error.h>

#include "proto/bytes.h"
#include "proto/limits.h"

struct text { /* borrowed, not terminated; data NULL: absent */
    const char *data;
    size_t n;
};

enum msg_kind {
    MSG_HELLO,          /* versions and name of the client; optional, first */
    MSG_CALL,           /* run a function; payload: the arguments */
    MSG_CANCEL,         /* stop a call of this connection, by its request id, or a task by its id */
    MSG_CALL_LIMIT,     /* another time limit for the items of a batch of this connection */
    MSG_SET_CREATE,
    MSG_SET_OPEN,
    MSG_SET_CHANGE,
    MSG_SET_DESTROY,
    MSG_WORKERS_ADD,
    MSG_WORKERS_REMOVE,
    MSG_INSPECT,        /* status, workers, sets, modules, arrays, stasks */
    MSG_ARRAY_CREATE,   /* reserve shared memory, under a name or without */
    MSG_ARRAY_UNLINK,
    MSG_ARRAY_CLOSE,    /* this client maps it no more */
    MSG_STASKS_START,   /* processes that keep state */
    MSG_STASKS_OPEN,
    MSG_STASKS_RESTART, /* those that died */
    MSG_STASKS_STOP,
    MSG_STASKS_FATE,    /* what became of a call whose socket has ended */
    MSG_STASKS_CANCEL,
    MSG_TASK_SUBMIT,    /* put a task into the queue; payload: the arguments */
    MSG_TASK_GET,       /* all that is known about one, as a document */
    MSG_TASK_RESULT,    /* answered when it has ended, as a call is */
    MSG_TASK_WAIT,      /* answered when any, or all, of several have ended */
    MSG_TASK_CHANGE,    /* dequeue, cancel, hold, release, kick, rerun, forget */
    MSG_TASK_LIST,      /* those of this user, a page at a time, as a document */
    MSG_TASK_PRIORITIES, /* of many at once; payload: see struct msg_priority */
    MSG_TASK_WHY,       /* what one waits for */
    MSG_EVENTS,         /* what happens to tasks, from now on, as MSG_EVENT with the id of this request */
    MSG_EVENTS_END,
    MSG_QUEUE_PAUSE,    /* none of this user's queued tasks is begun, or none that has a tag ... */
    MSG_QUEUE_RESUME,   /* ... and on again */
    MSG_REQUESTS,       /* their number */
    MSG_REPLY = MSG_REQUESTS,
    MSG_ERROR,
    MSG_EVENT           /* not an answer: what was asked for with MSG_EVENTS */
};

struct msg_hello {
    uint32_t version_min, version_max;
    struct text client; /* free text for logs, <= 64 bytes */
};
struct msg_call {
    struct text function;    /* checked: NAME.NAME */
    struct text set;         /* a named set, or absent */
    uint32_t set_id;         /* a set by number; 0: none. Never both */
    uint32_t worker;         /* 0: any */
    uint64_t deadline_ms;    /* 0: none */
    uint64_t grace_ms;       /* from the request to stop until it is killed; 0: as the daemon is set */
    bool has_priority;
    double priority;         /* among the calls of one user: lower runs first; not NaN; without: +infinity */
    bool detached;           /* answered when accepted; lives on without the client */
    uint64_t args;           /* an array of the client that holds the arguments instead of a payload; 0: none ... */
    uint64_t args_bytes;     /* ... so many bytes of it */
    uint64_t room;           /* an array of the client that the value may be put into; 0: none */
    uint64_t large;          /* values of more than so many bytes may come as an array; 0: never */
    uint32_t items;          /* a batch of so many: the arguments are that many lists, and the function is run for each
                                in turn; 0: none. Of the others below none is there without */
    uint64_t item_ms;        /* each item is stopped after so long; 0: never */
    uint64_t hand_back_ms;   /* what is left after so long is not begun; 0: all is run */
    uint64_t map;            /* the run that the batch is of, as the client numbers them */
    struct text init;        /* run once in each worker, before its first item of this run; absent: none */
    uint64_t captured;       /* an array of the client with a list of arguments that go before each item's; 0: none ... */
    uint64_t captured_bytes; /* ... so many bytes of it */
    bool isolated;           /* each item has a process of its own */
    struct text reduce;      /* an operator: the values of the items come back as one; absent: none */
    uint32_t values;         /* with reduce: so many of the first items are values already */
};
struct msg_cancel {
    uint64_t request; /* of this connection; 0: see task. Exactly one is set */
    uint64_t task;
};
struct msg_limit { /* call-limit */
    uint64_t request; /* of this connection */
    uint64_t item_ms; /* as of a call; 0: never */
};
struct msg_set { /* create, open, change, destroy */
    struct text name;       /* create: absent = anonymous; open: required */
    uint32_t set_id;        /* change, destroy */
    uint32_t mode;          /* 1 round robin, 2 first free; create, change */
    uint32_t n;             /* members; create, change */
    uint32_t *members;      /* decoded: in the decoder's memory, valid until its next use */
};
struct msg_workers {
    uint32_t n;      /* add: 1 to WORKERS_MAX */
    uint32_t worker; /* remove */
};
struct msg_inspect {
    struct text what; /* "status", "workers", "sets", "modules", "arrays", "stasks" */
};
struct msg_array { /* create, unlink, close */
    struct text name, prefix; /* create: name absent = none; unlink: or array */
    uint64_t array;           /* unlink, close */
    uint32_t type, order;     /* ptools_type, ptools_order; not checked against each other: layout_make() */
    uint32_t ndims;
    uint64_t dims[PTOOLS_DIMS_MAX];
    bool replace, keep, huge, populate, everywhere;
    uint64_t keep_ms;         /* 0: no limit */
    uint64_t file;            /* a descriptor that the client gave (fds.h), by its number; 0: memory */
    uint64_t offset;          /* in that file */
    uint32_t n_share;
    uint32_t *share;          /* uids; decoded: in the decoder's memory */
};
struct msg_stasks { /* start, open, restart, stop, fate, cancel */
    uint64_t stasks;
    struct text name, prefix; /* start, open */
    uint32_t count;           /* start; 0: one for each worker */
    uint32_t n_arrays;
    uint64_t *arrays;         /* start: they become the server tasks' own; decoded: in the decoder's memory */
    uint64_t kill_ms;         /* stop: SIGKILL for those that are busy after so long; 0: never */
    uint32_t index;           /* fate, cancel */
    uint32_t process;         /* fate, cancel: the number that came with the lane */
    uint64_t call;            /* fate, cancel: the number that the caller gave it */
};

/* -- queued tasks: what travels ------------------------------------------------------------------ */

/* Words on the wire are these, from 1; 0 is: not said. */
enum task_durability { TASK_VOLATILE = 1, TASK_CRASHSAFE, TASK_DURABLE };
enum task_target { TARGET_ANY = 1, TARGET_ALL };
/* As shown; the bits of a list's `states` are 1 << these. */
enum task_shown {
    SHOWN_WAITING = 1, SHOWN_QUEUED, SHOWN_RUNNING,
    SHOWN_DONE, SHOWN_FAILED, SHOWN_TIMEOUT, SHOWN_CANCELLED, SHOWN_EXPIRED, SHOWN_DEAD, SHOWN_LOST,
    SHOWN_STATES
};
static inline bool task_shown_ended(uint32_t shown)
{
    return shown >= SHOWN_DONE;
}
enum task_change {
    CHANGE_DEQUEUE = 1, /* take it out if nobody has begun it */
    CHANGE_CANCEL,      /* the same, or stop it */
    CHANGE_HOLD,        /* it stays in the queue, and is not run */
    CHANGE_RELEASE,
    CHANGE_KICK,        /* now: what is delayed, backed off, or dead */
    CHANGE_RERUN,       /* one that has ended, with new attempts */
    CHANGE_FORGET       /* one that has ended */
};
/* Which failures count for another attempt: bits. */
enum { RETRY_DIED = 1, RETRY_FAILED = 2, RETRY_TIMEOUT = 4 };
enum task_event_kind { EVENT_QUEUED = 1, EVENT_STARTED, EVENT_PROGRESS, EVENT_ENDED, EVENT_RETRY, EVENT_MISSED };

struct msg_submit {
    struct text function;
    uint32_t target;          /* TARGET_ANY (0 too), TARGET_ALL; of this and the next three at most one is there */
    uint32_t n_workers;       /* one of these ... */
    uint32_t *workers;        /* decoded: in the decoder's memory */
    uint32_t n_hosts;         /* ... or on one of these hosts */
    struct text *hosts;       /* decoded: in the decoder's memory */
    struct text set;          /* ... or of a set: a named one, or ... */
    uint32_t set_id;          /* ... one by number */
    bool wait_target;         /* workers, hosts or a set that are not there are waited for */
    bool any_target;          /* ... or any worker is taken instead */
    bool has_priority;
    double priority;          /* lower runs first; not NaN; without: +infinity */
    uint64_t delay_ms;        /* not before so long from now ... */
    uint64_t start_ms;        /* ... or not before this: milliseconds since 1970. Not both */
    uint64_t expire_ms;       /* ends as expired if it has not begun after so long; 0: never */
    uint64_t deadline_ms;     /* each attempt is stopped after so long; 0: never */
    uint64_t grace_ms;        /* as of a call */
    uint32_t attempts;        /* at most; 0: 1, or 3 for what is idempotent */
    uint64_t backoff_ms;      /* before the second attempt, doubled for each further one; 0: 500 */
    uint64_t backoff_max_ms;  /* 0: 60000 */
    uint32_t retry_on;        /* RETRY_...; 0: RETRY_DIED */
    bool idempotent;          /* running it twice is the same as once, though its module does not say so */
    struct text key;          /* 1 to KEY_BYTES_MAX bytes; absent: none */
    bool key_passing;         /* the key serves to send this once more, and goes with the task */
    uint32_t n_tags;
    struct text *tags;        /* decoded: in the decoder's memory */
    uint32_t n_after;
    uint64_t *after;          /* tasks that must have succeeded; decoded: in the decoder's memory */
    bool after_any;           /* ... or ended somehow */
    bool after_keep;          /* one of them did not succeed: it goes on waiting (that can be run anew); without: it
                                 is cancelled */
    uint64_t keep_ms;         /* how long it is known after its end; 0: as the daemon is set */
    uint64_t result_max;      /* bytes; 0: as the daemon is set */
    uint32_t durability;      /* enum task_durability; 0: volatile */
    bool hold;                /* CHANGE_HOLD from the beginning */
    bool wait;                /* answered at its end, as a call is */
    bool block;               /* over a limit of the queue: wait for room instead of LIMIT */
};
struct msg_task { /* get, result, wait, change, list, why, events */
    uint64_t task;            /* get, result, why: this, or ... */
    struct text key;          /* ... the one of this key */
    uint32_t n_tasks;
    uint64_t *tasks;          /* wait, change; decoded: in the decoder's memory */
    bool any;                 /* wait: for one of them */
    uint32_t change;          /* enum task_change */
    uint64_t grace_ms;        /* cancel: from now until what runs is killed; 0: as it was submitted */
    bool at_once;             /* cancel: what runs is killed, and not asked before */
    uint32_t states;          /* list: 1 << enum task_shown each; 0: all */
    struct text tag;          /* list, events, pause, resume: only those; absent: all */
    uint64_t after;           /* list: those with larger numbers */
    uint32_t limit;           /* list: at most so many; 0: TASK_PAGE_MAX */
    bool newest;              /* list: of all of this user the one with the largest number, if it is one of those */
    bool args;                /* list, get: with their arguments */
    uint64_t request;         /* events-end */
};
/* The payload of task-priorities is a sequence of these, 16 bytes each, little endian. Lower runs first. */
struct msg_priority {
    uint64_t task;
    double priority;
};

struct msg_request {
    enum msg_kind kind;
    uint64_t id; /* chosen by the client, not 0, not in flight already */
    union {
        struct msg_hello hello;
        struct msg_call call;
        struct msg_cancel cancel;
        struct msg_limit limit;
        struct msg_set set;
        struct msg_workers workers;
        struct msg_inspect inspect;
        struct msg_array array;
        struct msg_stasks stasks;
        struct msg_submit submit;
        struct msg_task task;
    };
};

/* MSG_REPLY. Only fields that are set (not 0, not absent) are sent. */
struct msg_reply {
    uint32_t version;        /* hello: the one chosen */
    struct text daemon;      /* hello: name and version */
    struct text epoch;       /* hello: 16 bytes that change with each start */
    uint64_t message_max;    /* hello */
    uint32_t workers;        /* hello: how many there are; call with items: in its set */
    uint64_t task;           /* call */
    uint32_t worker;         /* call: where it ran; add: the first id */
    uint32_t attempt;        /* call */
    uint64_t run_us;         /* call */
    uint64_t cpu_us, peak_bytes; /* task-result: as in msg_failure */
    uint32_t set_id;         /* set create, open */
    uint32_t mode;           /* set open */
    bool done;               /* cancel: it had ended already */
    struct text token;       /* hello: 16 bytes, for the door of descriptors */
    struct text door;        /* hello: the path of that door */
    uint64_t large;          /* hello: what counts as large */
    uint64_t array;          /* array-create */
    bool huge;               /* array-create: it lies in huge pages */
    uint64_t value;          /* call: an array that holds the value, now the client's; 0: it is the payload ... */
    uint64_t value_bytes;    /* ... so many bytes of it */
    uint64_t stasks;         /* stasks-start, -open */
    uint32_t count;          /* stasks-start, -open: how many tasks */
    uint32_t arrays;         /* stasks-open: how many arrays they have */
    uint32_t process;        /* stasks-restart: this one and those of higher numbers were started by it */
    uint32_t state;          /* task-...: enum task_shown */
    bool duplicate;          /* task-submit: there was one of this key already, and this is it */
    uint32_t skipped;        /* task-change, -priorities: those to which it could not be done, beside count */
    struct text reason;      /* task-why: a sentence */
    struct text log;         /* task-result: the last lines that its function logged */
    uint32_t items;          /* call with items: so many are done, from the first; the payload has their records */
    uint32_t items_failed;   /* ... and so many of these failed */
};

/* MSG_EVENT. */
struct msg_event {
    uint64_t seq;            /* of this subscription: 1, 2, ... */
    uint32_t event;          /* enum task_event_kind */
    uint64_t task;
    uint32_t state;          /* enum task_shown */
    uint64_t time_ms;        /* since 1970 */
    uint32_t worker, attempt;
    uint32_t code;           /* of the failure, once it has ended */
    uint64_t progress, progress_of;
    uint64_t missed;         /* EVENT_MISSED: so many were dropped, for they were not read */
};

/* MSG_ERROR. */
struct msg_failure {
    ptools_err code;
    struct text message;
    uint64_t task;
    uint32_t worker, attempt;
    int32_t pid;
    bool exited;          /* exit_status is set */
    int32_t exit_status;
    int32_t signal;
    bool maybe_executed;
    uint64_t run_us, cpu_us, peak_bytes; /* cpu_us: of a queued task */
    struct text phase;
    uint64_t progress, progress_of;
    struct text log, backtrace;
    uint64_t retry_ms;    /* over a limit: try again after about so long; 0: it does not say */
    uint32_t state;       /* of a queued task: enum task_shown */
    uint32_t items;       /* of a batch: as in msg_reply; the next one is what failed */
    struct text loading;  /* never sent: the module that a worker was loading when it died, by its last words */
};

struct msg_answer {
    bool failed;
    bool is_event;       /* then `event`, and id is that of the MSG_EVENTS */
    uint64_t id; /* of the request; 0: about the connection as a whole (only failures) */
    union {
        struct msg_reply reply;
        struct msg_failure failure;
        struct msg_event event;
    };
};

/* What is wrong with a message, and as much of it as was understood, so that it can be answered. */
struct msg_problem {
    ptools_err code;      /* PTOOLS_ERR_BAD_REQUEST, _VERSION, _LIMIT */
    uint64_t id;          /* 0: not even that was readable */
    char text[640];
};

/* One per connection or per thread: memory that decoding reuses. */
struct msg_decoder;
struct msg_decoder *msg_decoder_new(void); /* NULL: no memory */
struct msg_decoder *msg_decoder_free(struct msg_decoder *d);
DEFINE_AUTO(msg_decoder)

/* 0; 1: *ret_problem tells the sender; -ENOMEM. *ret is valid until the decoder's next use or the frame's end. */
int msg_request_decode(struct msg_decoder *d, const uint8_t *data, size_t n, struct msg_request *ret,
                       struct msg_problem *ret_problem);
int msg_answer_decode(struct msg_decoder *d, const uint8_t *data, size_t n, struct msg_answer *ret,
                      struct msg_problem *ret_problem);
/* Append the envelope; the error sticks in out. */
void msg_request_encode(const struct msg_request *m, struct bytes *out);
void msg_answer_encode(const struct msg_answer *m, struct bytes *out);

/* Names that clients choose: 1 to NAME_BYTES_MAX of A-Z a-z 0-9 _ - and, for sets, '.'. */
bool name_ok_module(const char *s, size_t n);   /* also functions: no '.' */
bool name_ok_set(const char *s, size_t n);      /* does not begin with a digit; also of arrays and server tasks */
bool name_ok_prefix(const char *s, size_t n);   /* of arrays: as a set's, or empty, or with a digit first */
bool name_ok_tag(const char *s, size_t n);      /* also '.', ':', '/', '=', '@', '+', and a digit first */
bool name_ok_host(const char *s, size_t n);     /* 1 to HOST_BYTES_MAX: names, IPv4 and IPv6 addresses */
/* Splits "module.function"; false if either is not a name. */
bool name_split(const char *s, size_t n, struct text *ret_module, struct text *ret_function);
/* Whether the function is command.run, which runs programs. */
bool function_is_command(const struct text *function);
/* Whether kind carries a payload frame from the client. */
bool msg_kind_has_payload(enum msg_kind kind);
/* Whether the table of errors has the code. */
bool error_known(ptools_err code);
const char *msg_kind_name(enum msg_kind kind); /* "call", "set-create", ...; never NULL */
/* "waiting", "done", ...; "unknown" for others. */
const char *task_shown_name(uint32_t shown);

#endif
