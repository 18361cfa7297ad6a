/* SPDX-License-Identifier: MIT */
/*
 * error.h -- every way in which ptools can fail, one code each.
 *
 * The same table serves the library, the modules, the wire (the code travels as a number, its
 * name beside it) and the exit status of the command. Codes are never renumbered.
 */
#ifndef PTOOLS_ERROR_H
#define PTOOLS_ERROR_H

#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif
#ifdef __cplusplus
extern "C" {
#endif

typedef enum ptools_err {
    PTOOLS_OK = 0,

    /* in this process: nothing was asked of the daemon */
    PTOOLS_ERR_INVALID = 1,   /* an argument is wrong; the message names it and what is allowed   */
    PTOOLS_ERR_NO_MEMORY = 2, /* this process is out of memory                                    */
    PTOOLS_ERR_SYSTEM = 3,    /* a system call failed; the message names it and the cause         */
    PTOOLS_ERR_CLOSED = 4,    /* the connection this object came from was closed by ptools_close()*/
    PTOOLS_ERR_FORKED = 5,    /* the handle was made before fork(): open a new one in the child   */
    PTOOLS_ERR_AGAIN = 6,     /* nothing to do now: wait for ptools_fd()                          */
    PTOOLS_ERR_TIMEOUT = 7,   /* the wait is over, what was waited for goes on                    */
    PTOOLS_ERR_TYPE = 8,      /* the value is of another type                                     */
    PTOOLS_ERR_RANGE = 9,     /* the value does not fit, or the index is beyond the end           */

    /* between this process and the daemon */
    PTOOLS_ERR_NO_DAEMON = 20, /* nobody serves the address                                       */
    PTOOLS_ERR_DENIED = 21,    /* the daemon or the file system does not let this user in         */
    PTOOLS_ERR_VERSION = 22,   /* daemon and library share no protocol version                    */
    PTOOLS_ERR_PROTOCOL = 23,  /* the peer broke the protocol                                     */
    PTOOLS_ERR_LOST = 24,      /* the connection ended before the answer: the fate is unknown     */
    PTOOLS_ERR_TRANSPORT = 25, /* libzmq is not there, or refuses the endpoint                    */

    /* refused by the daemon: nothing was executed */
    PTOOLS_ERR_BAD_REQUEST = 40,   /* the request is malformed; the message tells the field       */
    PTOOLS_ERR_LIMIT = 41,         /* over a limit; the message tells limit, use and what was asked */
    PTOOLS_ERR_TOO_LARGE = 42,     /* one message is over the size limit                          */
    PTOOLS_ERR_DRAINING = 43,      /* the daemon is about to end and takes no new work            */
    PTOOLS_ERR_NO_MODULE = 44,     /* no module of that name in the module path                   */
    PTOOLS_ERR_MODULE_BROKEN = 45, /* the module cannot be loaded; the message tells why          */
    PTOOLS_ERR_NO_FUNCTION = 46,   /* the module has no function of that name                     */
    PTOOLS_ERR_NO_SET = 47,        /* no worker set of that name or number                        */
    PTOOLS_ERR_NO_WORKER = 48,     /* no worker of that id, or it was removed                     */
    PTOOLS_ERR_NO_TASK = 49,       /* no such task, or it has ended                               */
    PTOOLS_ERR_EXISTS = 50,        /* the name is taken                                           */
    PTOOLS_ERR_NO_ARRAY = 51,      /* no shared array of that name or number that this user may see */
    PTOOLS_ERR_NO_SPACE = 52,      /* this machine lacks the memory; the message tells asked and free */
    PTOOLS_ERR_MISMATCH = 53,      /* the array is of another type or shape; the message tells both */
    PTOOLS_ERR_BAD_FILE = 54,      /* the file behind an array cannot be used; the message tells why */
    PTOOLS_ERR_NO_STASKS = 55,     /* no server tasks of that name or number, or they were stopped */
    PTOOLS_ERR_KEY_REUSED = 56,    /* a queued task of that key has other content                 */
    PTOOLS_ERR_STORAGE = 57,       /* the daemon's journal cannot be written: what was asked is not kept */
    PTOOLS_ERR_NOT_NOW = 58,       /* the queued task is in a state in which that cannot be done  */
    PTOOLS_ERR_DEADLOCK = 59,      /* calls within calls: too deep, or nobody is left who could run it */

    /* the task itself */
    PTOOLS_ERR_FAILED = 60,        /* the function failed; the message is its own                 */
    PTOOLS_ERR_BAD_ARGUMENT = 61,  /* the function refused its arguments; the message tells which */
    PTOOLS_ERR_WORKER_DIED = 62,   /* the worker process ended during the task                    */
    PTOOLS_ERR_OUT_OF_MEMORY = 63, /* the worker was killed for lack of memory                    */
    PTOOLS_ERR_DEADLINE = 64,      /* the deadline passed; the task was stopped or never begun    */
    PTOOLS_ERR_CANCELLED = 65,     /* cancelled on request, or because its client left            */
    PTOOLS_ERR_STATE_LOST = 66,    /* the server task died before this call; its state is gone    */
    PTOOLS_ERR_NOT_RUN = 67,       /* not begun, for all were stopped before its turn             */
    PTOOLS_ERR_EXPIRED = 68,       /* the queued task had not begun when its time was over        */
    PTOOLS_ERR_DEAD = 69,          /* it killed three workers, and is not tried again             */
    PTOOLS_ERR_DAEMON_DIED = 70,   /* the daemon died while it ran; it may have been executed     */
    PTOOLS_ERR_DEPENDENCY = 71,    /* a task that had to come first did not get done              */
    PTOOLS_ERR_PARTS = 72,         /* some of its parts failed; each tells its own reason         */
    PTOOLS_ERR_EXITED = 73,        /* the command exited with a status other than 0, or was killed by a signal: the
                                      failure's exit_status and signal tell                       */

    PTOOLS_ERR_INTERNAL = 90, /* a bug in ptools: please report it with the daemon's log          */

    PTOOLS_ERR_WIDTH_ = 0x7fffffff /* not a code: fixes the width of the enum at 32 bits          */
} ptools_err;

/* A sentence for the code, in English, for instance "no worker set of that name or number".
 * Never NULL, static, needs no connection; an unknown code gives "unknown error". */
const char *ptools_strerror(ptools_err err);

/* The stable name that also travels on the wire: "OK", "WORKER_DIED". Never NULL, static. */
const char *ptools_errname(ptools_err err);

#ifdef __cplusplus
}
#endif
#if defined(__GNUC__)
#pragma GCC visibility pop
#endif
#endif
