/* SPDX-License-Identifier: MIT */
/*
 * error -- the table behind ptools_strerror() and ptools_errname(): a name and a sentence a code.
 *
 * Sparse, indexed by the code. The numbers are in <ptools/error.h> and nowhere else.
 */
#include <ptools/error.h>

#include "proto/message.h"
#include "proto/util.h"

static const struct {
    const char *name;
    const char *sentence;
} table[] = {
    [PTOOLS_OK] = { "OK", "success" },
    [PTOOLS_ERR_INVALID] = { "INVALID", "an argument is wrong" },
    [PTOOLS_ERR_NO_MEMORY] = { "NO_MEMORY", "this process is out of memory" },
    [PTOOLS_ERR_SYSTEM] = { "SYSTEM", "a system call failed" },
    [PTOOLS_ERR_CLOSED] = { "CLOSED", "the connection was closed by this program" },
    [PTOOLS_ERR_FORKED] = { "FORKED", "the handle was made before fork()" },
    [PTOOLS_ERR_AGAIN] = { "AGAIN", "nothing to do now" },
    [PTOOLS_ERR_TIMEOUT] = { "TIMEOUT", "the wait is over, what was waited for goes on" },
    [PTOOLS_ERR_TYPE] = { "TYPE", "the value is of another type" },
    [PTOOLS_ERR_RANGE] = { "RANGE", "the value does not fit, or the index is beyond the end" },
    [PTOOLS_ERR_NO_DAEMON] = { "NO_DAEMON", "no daemon serves the address" },
    [PTOOLS_ERR_DENIED] = { "DENIED", "this user is not let in" },
    [PTOOLS_ERR_VERSION] = { "VERSION", "daemon and client share no protocol version" },
    [PTOOLS_ERR_PROTOCOL] = { "PROTOCOL", "the peer broke the protocol" },
    [PTOOLS_ERR_LOST] = { "LOST", "the connection ended before the answer: the fate of the call is unknown" },
    [PTOOLS_ERR_TRANSPORT] = { "TRANSPORT", "libzmq is not there, or refuses the endpoint" },
    [PTOOLS_ERR_BAD_REQUEST] = { "BAD_REQUEST", "the request is malformed" },
    [PTOOLS_ERR_LIMIT] = { "LIMIT", "a limit of the daemon is reached" },
    [PTOOLS_ERR_TOO_LARGE] = { "TOO_LARGE", "the message is over the size limit" },
    [PTOOLS_ERR_DRAINING] = { "DRAINING", "the daemon is about to end and takes no new work" },
    [PTOOLS_ERR_NO_MODULE] = { "NO_MODULE", "no module of that name in the module path" },
    [PTOOLS_ERR_MODULE_BROKEN] = { "MODULE_BROKEN", "the module cannot be loaded" },
    [PTOOLS_ERR_NO_FUNCTION] = { "NO_FUNCTION", "the module has no function of that name" },
    [PTOOLS_ERR_NO_SET] = { "NO_SET", "no worker set of that name or number" },
    [PTOOLS_ERR_NO_WORKER] = { "NO_WORKER", "no worker of that id" },
    [PTOOLS_ERR_NO_TASK] = { "NO_TASK", "no such task, or it has ended" },
    [PTOOLS_ERR_EXISTS] = { "EXISTS", "the name is taken" },
    [PTOOLS_ERR_NO_ARRAY] = { "NO_ARRAY", "no shared array of that name or number" },
    [PTOOLS_ERR_NO_SPACE] = { "NO_SPACE", "this machine lacks the memory" },
    [PTOOLS_ERR_MISMATCH] = { "MISMATCH", "the array is of another type or shape" },
    [PTOOLS_ERR_BAD_FILE] = { "BAD_FILE", "the file behind the array cannot be used" },
    [PTOOLS_ERR_NO_STASKS] = { "NO_STASKS", "no server tasks of that name or number" },
    [PTOOLS_ERR_KEY_REUSED] = { "KEY_REUSED", "a queued task of that key has other content" },
    [PTOOLS_ERR_STORAGE] = { "STORAGE", "the daemon's journal cannot be written" },
    [PTOOLS_ERR_NOT_NOW] = { "NOT_NOW", "the queued task is in a state in which that cannot be done" },
    [PTOOLS_ERR_DEADLOCK] = { "DEADLOCK", "calls within calls: too deep, or nobody is left who could run it" },
    [PTOOLS_ERR_FAILED] = { "FAILED", "the function failed" },
    [PTOOLS_ERR_BAD_ARGUMENT] = { "BAD_ARGUMENT", "the function refused its arguments" },
    [PTOOLS_ERR_WORKER_DIED] = { "WORKER_DIED", "the worker process ended during the task" },
    [PTOOLS_ERR_OUT_OF_MEMORY] = { "OUT_OF_MEMORY", "the worker was killed for lack of memory" },
    [PTOOLS_ERR_DEADLINE] = { "DEADLINE", "the deadline passed" },
    [PTOOLS_ERR_CANCELLED] = { "CANCELLED", "the task was cancelled" },
    [PTOOLS_ERR_STATE_LOST] = { "STATE_LOST", "the server task has died and its state is lost" },
    [PTOOLS_ERR_NOT_RUN] = { "NOT_RUN", "not begun: all were stopped before its turn" },
    [PTOOLS_ERR_EXPIRED] = { "EXPIRED", "the queued task had not begun when its time was over" },
    [PTOOLS_ERR_DEAD] = { "DEAD", "it killed three workers, and is not tried again" },
    [PTOOLS_ERR_DAEMON_DIED] = { "DAEMON_DIED", "the daemon died while it ran; it may have been executed" },
    [PTOOLS_ERR_DEPENDENCY] = { "DEPENDENCY", "a task that had to come first did not get done" },
    [PTOOLS_ERR_PARTS] = { "PARTS", "some of its parts failed" },
    [PTOOLS_ERR_EXITED] = { "EXITED", "the command exited with a status other than 0, or was killed by a signal" },
    [PTOOLS_ERR_INTERNAL] = { "INTERNAL", "a bug in ptools: please report it with the daemon's log" },
};

const char *ptools_strerror(ptools_err err)
{
    return (size_t)err < ELEMENTS(table) && table[err].name ? table[err].sentence : "unknown error";
}

bool error_known(ptools_err err)
{
    return (size_t)err < ELEMENTS(table) && table[err].name;
}

const char *ptools_errname(ptools_err err)
{
    return error_known(err) ? table[err].name : "UNKNOWN";
}
