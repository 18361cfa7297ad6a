/* SPDX-License-Identifier: MIT */
/*
 * reduce -- see reduce.h.
 *
 * What there is lies behind the head of a list of two, so that the next value is written after it and both are the
 * operator's arguments. The memory stays for the next batch, unless it is much.
 */
#include "daemon/worker/reduce.h"

#include <stdio.h>
#include <string.h>

#include "daemon/worker/batch.h"
#include "daemon/worker/execute.h"
#include "proto/bytes.h"
#include "proto/scan.h"

enum { ONE_VALUE = 0x91, TWO_VALUES = 0x92, KEEP_BYTES = 1 << 20 };

static struct {
    char op[FUNCTION_BYTES_MAX + 1];
    char item[FUNCTION_BYTES_MAX + 1]; /* the function of the items: the page tells which of the two is running */
    struct function *function;         /* of op; NULL: it is not known here yet */
    struct bytes list;                 /* head, what there is, and the next value */
    size_t has;                        /* bytes of what there is; 0: nothing */
} self = { .list = { .max_bytes = SIZE_MAX } };

void reduce_begin(const struct page *page, const char *op, size_t op_bytes, struct modules *modules)
{
    self.has = 0;
    if (op_bytes == 0)
        return;
    if (self.list.cap > KEEP_BYTES) {
        bytes_deinit(&self.list);
        bytes_init(&self.list, SIZE_MAX);
    }
    memcpy(self.op, op, op_bytes);
    self.op[op_bytes] = '\0';
    memcpy(self.item, page->function, sizeof self.item);
    self.function = modules_function(modules, self.op, op_bytes);
}

ptools_err reduce_read(struct ptools_task *task, const uint8_t **data, size_t *n, const uint8_t **ret_value,
                       size_t *ret_n)
{
    static const struct scan_limits limits = { SCAN_DEPTH_MAX, UINT64_MAX };
    size_t bytes;

    if (*n < 2 || **data != ONE_VALUE || scan_prefix(*data, *n, &limits, &bytes, NULL) != SCAN_OK)
        return task_fail(task, PTOOLS_ERR_BAD_ARGUMENT, "a value to be reduced is no list of one value");
    *ret_value = *data + 1;
    *ret_n = bytes - 1;
    *data += bytes;
    *n -= bytes;
    return PTOOLS_OK;
}

/* Behind what is in the list. */
static inline bool append(const uint8_t *data, size_t n)
{
    uint8_t *to = bytes_room(&self.list, n);

    if (!to)
        return false;
    bytes_copy(to, data, n);
    self.list.n += n;
    return true;
}

/* It is what there is now. */
static bool take(const uint8_t *value, size_t n)
{
    static const uint8_t head = TWO_VALUES;

    bytes_reset(&self.list);
    self.has = 0;
    if (!append(&head, 1) || !append(value, n))
        return false;
    self.has = n;
    batch_fold(value, n);
    return true;
}

/* The page tells that it runs. The whole array: that is less work than as many bytes as there are. */
static inline void show(struct page *page, const char function[FUNCTION_BYTES_MAX + 1])
{
    memcpy(page->function, function, FUNCTION_BYTES_MAX + 1);
}

static ptools_err call_op(struct ptools_task *task, const uint8_t **value, size_t *n)
{
    const char *const its = task->function;
    ptools_err err;
    size_t bytes;

    self.list.n = 1 + self.has;
    if (!append(*value, *n))
        return task_fail(task, PTOOLS_ERR_FAILED, "the worker has no memory for its arguments");
    show(task->page, self.op);
    task->function = self.op;
    err = task_begin_item(task, self.list.data, self.list.n, NULL, &bytes);
    if (err == PTOOLS_OK)
        err = execute_call(self.op, &self.function, value, n);
    show(task->page, self.item);
    task->function = its;
    return err;
}

ptools_err reduce_add(struct ptools_task *task, const uint8_t *value, size_t n, size_t value_max)
{
    char message[TASK_MESSAGE_BYTES];
    ptools_err err = self.has > 0 ? call_op(task, &value, &n) : PTOOLS_OK;

    if (ptools_task_cancelled(task)) /* what came of it counts no more */
        return task_fail(task, PTOOLS_ERR_CANCELLED, "the batch was stopped");
    if (err == PTOOLS_OK && n > value_max)
        err = task_fail(task, PTOOLS_ERR_TOO_LARGE, "its result has %zu bytes, the limit is %zu", n, value_max);
    else if (err == PTOOLS_OK && !take(value, n))
        err = task_fail(task, PTOOLS_ERR_FAILED, "the worker has no memory for its result");
    if (err == PTOOLS_OK)
        return PTOOLS_OK;
    snprintf(message, sizeof message, "%s", task_message(task));
    return task_fail(task, err, "the reduction by %s: %s", self.op, message);
}

void reduce_leave(bool last, uint64_t now_us)
{
    if (self.has > 0)
        batch_fold_leave(self.list.data + 1, self.has, last, now_us);
    self.has = 0;
}
