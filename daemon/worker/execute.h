/* SPDX-License-Identifier: MIT */
/*
 * execute -- one task, from its frame to its outcome: alike for workers, who answer to the daemon, and for server
 * tasks, who answer to their callers. There is one executor a process.
 */
#ifndef WORKER_EXECUTE_H
#define WORKER_EXECUTE_H

#include "daemon/worker/modules.h"
#include "daemon/worker/task.h"
#include "proto/link.h"
#include "proto/page.h"

enum { EXECUTE_FAILURE_BYTES = TASK_MESSAGE_BYTES + sizeof(struct page_words) + 48 + 24 };

struct execution {
    ptools_err code;
    const uint8_t *value; /* of the answer: the value, where it is, or the texts of the failure; until execute_end() */
    size_t n;
    bool in_array;        /* value is a struct link_reference */
    uint64_t began_us, ended_us;
    uint32_t kb, fds;     /* as tidy_look(); 0: not looked */
    struct link_reference where;
};

/* value_max: bytes of a value that goes through a socket. What a server task's functions change in the process stays
 * (keep_state); a worker puts it in order. 0 or -errno. */
int execute_init(struct page *page, uint32_t worker, struct modules *modules, size_t value_max, bool keep_state);
/* In a child that a function forked: it ends when it comes back. */
void execute_disown(void);
struct ptools_task *execute_task(void);

/* Whether its lengths and flags agree; asked before anything else. */
bool execute_frame_ok(const struct link_frame *run, const struct span *body);
/* Whether the function is not known to be short. */
bool execute_may_take_long(const struct link_frame *run, const struct span *body);
/* Sets the page up, runs it, and leaves page.task as it is: 0 it when the answer is out. */
void execute(const struct link_frame *run, const struct span *body, uint64_t began_us, struct execution *ret);
/* It is not run, but fails so. */
void execute_refuse(const struct link_frame *run, const struct span *body, ptools_err code, const char *why,
                    struct execution *ret);
/* Makes *answer, which has the task's numbers, its DONE frame; ret->value is then the body. room: for a failure's. */
void execute_answer(struct execution *done, struct link_frame *answer, char room[EXECUTE_FAILURE_BYTES]);
/* The lines that a function which did not fail has logged, each ended by a line feed; their bytes, 0: none. */
size_t execute_log(const struct execution *done, char room[EXECUTE_FAILURE_BYTES]);
/* Lets go of what only this task needed. */
void execute_end(void);
/* Before the process sleeps: puts things in order. */
void execute_rest(void);
/* A server task is stopped: its state is freed, destructors are called. */
void execute_free_state(void);

/* The task has its arguments: in *f, its function or NULL, which is looked for; and what comes of it. */
ptools_err execute_call(const char *name, struct function **f, const uint8_t **ret_value, size_t *ret_n);

uint64_t execute_now_us(void);

#endif
