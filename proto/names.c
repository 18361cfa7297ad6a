/* SPDX-License-Identifier: MIT */
/*
 * names -- which names are allowed, and how the kinds of messages are called on the wire.
 *
 * Names travel, stand in logs and become file names (MODULE.so): so no byte is allowed that means
 * anything to a file system, a shell or a terminal. Pure functions over borrowed bytes.
 */
#include <string.h>

#include "proto/envelope.h"

static const char *const kinds[] = {
    [MSG_HELLO] = "hello",
    [MSG_CALL] = "call",
    [MSG_CANCEL] = "cancel",
    [MSG_CALL_LIMIT] = "call-limit",
    [MSG_SET_CREATE] = "set-create",
    [MSG_SET_OPEN] = "set-open",
    [MSG_SET_CHANGE] = "set-change",
    [MSG_SET_DESTROY] = "set-destroy",
    [MSG_WORKERS_ADD] = "workers-add",
    [MSG_WORKERS_REMOVE] = "workers-remove",
    [MSG_INSPECT] = "inspect",
    [MSG_ARRAY_CREATE] = "array-create",
    [MSG_ARRAY_UNLINK] = "array-unlink",
    [MSG_ARRAY_CLOSE] = "array-close",
    [MSG_STASKS_START] = "stasks-start",
    [MSG_STASKS_OPEN] = "stasks-open",
    [MSG_STASKS_RESTART] = "stasks-restart",
    [MSG_STASKS_STOP] = "stasks-stop",
    [MSG_STASKS_FATE] = "stasks-fate",
    [MSG_STASKS_CANCEL] = "stasks-cancel",
    [MSG_TASK_SUBMIT] = "task-submit",
    [MSG_TASK_GET] = "task-get",
    [MSG_TASK_RESULT] = "task-result",
    [MSG_TASK_WAIT] = "task-wait",
    [MSG_TASK_CHANGE] = "task-change",
    [MSG_TASK_LIST] = "task-list",
    [MSG_TASK_PRIORITIES] = "task-priorities",
    [MSG_TASK_WHY] = "task-why",
    [MSG_EVENTS] = "events",
    [MSG_EVENTS_END] = "events-end",
    [MSG_QUEUE_PAUSE] = "queue-pause",
    [MSG_QUEUE_RESUME] = "queue-resume",
    [MSG_REPLY] = "reply",
    [MSG_ERROR] = "error",
    [MSG_EVENT] = "event",
};

const char *const task_shown_words[] = {
    "waiting", "queued", "running", "done", "failed", "timeout", "cancelled", "expired", "dead", "lost", NULL,
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '_' || c == '-';
}

bool name_ok_module(const char *s, size_t n)
{
    if (n < 1 || n > NAME_BYTES_MAX)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!is_name_char(s[i]))
            return false;
    return true;
}

bool name_ok_set(const char *s, size_t n)
{
    return n > 0 && !is_digit(s[0]) && name_ok_prefix(s, n);
}

bool name_ok_prefix(const char *s, size_t n)
{
    if (n > NAME_BYTES_MAX)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!is_name_char(s[i]) && s[i] != '.')
            return false;
    return true;
}

static bool all_of(const char *s, size_t n, const char *also)
{
    for (size_t i = 0; i < n; i++)
        if (!is_name_char(s[i]) && (s[i] == '\0' || !strchr(also, s[i])))
            return false;
    return true;
}

bool name_ok_tag(const char *s, size_t n)
{
    return n >= 1 && n <= NAME_BYTES_MAX && all_of(s, n, ".:/=@+");
}

bool name_ok_host(const char *s, size_t n)
{
    return n >= 1 && n <= HOST_BYTES_MAX && all_of(s, n, ".:%");
}

bool function_is_command(const struct text *function)
{
    static const char name[] = "command.run";

    return function->n == sizeof name - 1 && memcmp(function->data, name, function->n) == 0;
}

bool name_split(const char *s, size_t n, struct text *ret_module, struct text *ret_function)
{
    const char *dot = n > 0 ? memchr(s, '.', n) : NULL;
    size_t head, tail;

    if (!dot)
        return false;
    head = (size_t)(dot - s);
    tail = n - head - 1;
    if (!name_ok_module(s, head) || !name_ok_module(dot + 1, tail))
        return false;
    *ret_module = (struct text){ s, head };
    *ret_function = (struct text){ dot + 1, tail };
    return true;
}

bool msg_kind_has_payload(enum msg_kind kind)
{
    return kind == MSG_CALL || kind == MSG_TASK_SUBMIT || kind == MSG_TASK_PRIORITIES;
}

const char *msg_kind_name(enum msg_kind kind)
{
    return (size_t)kind < ELEMENTS(kinds) ? kinds[kind] : "unknown";
}

const char *task_shown_name(uint32_t shown)
{
    return shown >= 1 && shown < SHOWN_STATES ? task_shown_words[shown - 1] : "unknown";
}
