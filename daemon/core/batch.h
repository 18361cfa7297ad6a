/* SPDX-License-Identifier: MIT */
/*
 * batch -- a call with many items: what it has beyond a task, and what becomes of its items.
 *
 * It is one task: it waits, is given, is stopped and ends as any other. But how many of its items are done is known
 * when it ends, however it ends; what they came to goes with the answer. Each item may have its own time: the page of
 * the worker is looked at four times in that, and a batch that is at the same item for too long is stopped.
 */
#ifndef CORE_BATCH_H
#define CORE_BATCH_H

struct batch {
    struct task *task;
    struct core_batch how; /* as the worker is told; init and op are in this */
    char init[FUNCTION_BYTES_MAX + 1], op[FUNCTION_BYTES_MAX + 1];
    struct array *captured; /* NULL: none */
    uint64_t item_ms;       /* 0: no limit */
    struct heap_node look;  /* in core.looks, by time, while it is given and item_ms is set */
    bool looked;            /* it was running, at item `at`, since ... */
    uint32_t at;
    uint64_t since_us;
    uint32_t done, failed; /* items, told before its end */
    struct blob *records; /* of these; NULL: none */
};

/* What is wrong with the fields of a call that are for batches: true, or a refusal was added. */
bool batch_check(const struct msg_call *call, uint32_t client, uint64_t request, struct actions *out);
/* captured: NULL: none. Uses it. 0 or -ENOMEM. */
int batch_new(struct task *t, const struct msg_call *call, struct array *captured);
void batch_free(struct core *core, struct task *t);
/* It uses no array any more. */
void batch_release_array(struct core *core, struct task *t, struct actions *out);
/* It was given, at now_us; or is at no worker any more. */
void batch_given(struct core *core, struct task *t, uint64_t now_us);
void batch_dropped(struct core *core, struct task *t);
/* Another time for its items, from now on. */
void batch_limit(struct core *core, struct task *t, uint64_t item_ms, uint64_t now_us);
/* What is due in core.looks. */
void batches_look(struct core *core, uint64_t now_us, struct actions *out);
/* How long a task of so many items usually takes. */
uint64_t task_usual_us(const struct task *t);
/* Each of its items has a process of its own: it needs a worker whose process has no traces (worker.h). */
bool task_isolated(const struct task *t);

#endif
