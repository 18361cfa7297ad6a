/* SPDX-License-Identifier: MIT */
/*
 * module.h -- write functions that the workers of ptoolsd run.
 *
 * A module is a shared object NAME.so that defines one symbol, ptools_module. Build it with
 *
 *     cc -shared -fPIC $(pkg-config --cflags ptools-module) -o NAME.so NAME.c
 *
 * and put it into ~/.local/lib/ptools/modules, or any directory of the module path; neither file
 * nor directory may be writable by others. A worker loads it once and never unloads it.
 * Replace it by renaming a new file over it (mv, install), never by writing into it (cp): it is mapped,
 * and a mapped file that shrinks kills whoever looks at it.
 *
 * Functions run one at a time, on the worker's only thread. They may crash, leak or block: that
 * costs one task and one process, nothing else. What a task leaves behind:
 *
 * - After each task the worker goes back to "/" and restores umask, signal mask, the disposition of
 *   SIGCHLD and the environment; it stops the timers of alarm() and setitimer() and drops signals that
 *   the task held back. All its child processes are killed with SIGKILL, and all of theirs, also those
 *   with a session of their own and those of a module's threads: a child that shall outlive the task
 *   must be started elsewhere. (The orphans of children are the worker's: wait() may return them.)
 * - After each task that took a millisecond or longer, and otherwise now and then, the worker also
 *   restores the dispositions of the other standard signals and the resource limits. A hard limit that
 *   was lowered stays low, unless the worker is root's.
 * - Everything else stays for the next task of this worker: static variables, memory, open
 *   descriptors (the daemon replaces a worker that has leaked too much of these two), threads, timers of
 *   timer_create(), the contents of strings in the environment, locale, rounding, credentials, priority.
 *
 * An isolated item (PTOOLS_PMAP_ISOLATED of <ptools/pmap.h>) has a process of its own, a fork of the worker: it leaves
 * nothing there. Handlers of atexit() are not called in it, destructors of its task local storage are.
 *
 * In a server task nothing is restored: what a function changes in its process is part of its state, and stays until
 * it is stopped. Then destructors of its task local storage are called, and its process group is killed.
 *
 * What is restored is the state in which the worker was born. What loading a module and its start()
 * change in environment, dispositions and limits becomes part of it: handlers, SIGPIPE ignored, a
 * variable that a library wants are set up there. Directory, umask, mask, timers and children do
 * not outlive them either. The worker's own signals are SIGTERM, SIGRTMAX and those of crashes.
 */
#ifndef PTOOLS_MODULE_H
#define PTOOLS_MODULE_H

#include <ptools/array.h>
#include <ptools/error.h>
#include <ptools/value.h>

#ifdef __cplusplus
extern "C" {
#endif
#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif

#define PTOOLS_MODULE_ABI 1u
#if defined(__GNUC__)
#define PTOOLS_MODULE_EXPORT __attribute__((__visibility__("default")))
#else
#define PTOOLS_MODULE_EXPORT
#endif

typedef struct ptools_task ptools_task; /* one task being run; borrowed by the function          */

/* Returns PTOOLS_OK, or a failure: best return ptools_task_fail(...) or what a getter returned.
 * Any other code is reported as PTOOLS_ERR_FAILED with the text of the code. */
typedef ptools_err (*ptools_task_fn)(ptools_task *task);

enum {
    PTOOLS_FN_IDEMPOTENT = 1, /* running it twice is the same as once: it may be repeated        */
    PTOOLS_FN_TIDY = 2        /* promises to leave alone what is restored after each task: it is not
                                 restored then (eight system calls less a task), but now and then */
};

typedef struct ptools_function {
    const char *name; /* 1 to 64 of A-Z a-z 0-9 _ - ; "module.name" is what callers say          */
    ptools_task_fn fn;
    const char *help; /* one line for `ptools modules`, for instance "square X -> X * X"          */
    uint32_t flags;   /* PTOOLS_FN_...                                                           */
} ptools_function;

typedef struct ptools_module_info {
    uint32_t abi;                     /* PTOOLS_MODULE_ABI                                       */
    uint32_t struct_size;             /* sizeof(ptools_module_info)                              */
    const char *help;                 /* one line about the module; may be NULL                  */
    const ptools_function *functions; /* ends with a row whose name is NULL                      */
    ptools_err (*start)(void);        /* once per worker, before its first task of this module; may be NULL */
} ptools_module_info;

/* What a module must define:  PTOOLS_MODULE_EXPORT const ptools_module_info ptools_module = { ... }; */
extern PTOOLS_MODULE_EXPORT const ptools_module_info ptools_module;

/* -- arguments: read by type, with checks ------------------------------------------------------
 * PTOOLS_ERR_BAD_ARGUMENT if there is no such argument, it is of another type, or does not fit; the
 * message names argument and function: return the code as it is. index from 0. */
uint32_t ptools_task_argc(ptools_task *task);
ptools_err ptools_task_arg(ptools_task *task, uint32_t index, ptools_value *ret);
ptools_err ptools_task_arg_bool(ptools_task *task, uint32_t index, bool *ret);
ptools_err ptools_task_arg_i64(ptools_task *task, uint32_t index, int64_t *ret);
ptools_err ptools_task_arg_u64(ptools_task *task, uint32_t index, uint64_t *ret);
ptools_err ptools_task_arg_f64(ptools_task *task, uint32_t index, double *ret);
/* Borrowed until the function returns. The string is terminated by NUL and has none inside. */
ptools_err ptools_task_arg_str(ptools_task *task, uint32_t index, const char **ret);
ptools_err ptools_task_arg_bytes(ptools_task *task, uint32_t index, const void **ret, size_t *ret_bytes);
/* Exactly so many arguments, or PTOOLS_ERR_BAD_ARGUMENT that tells both numbers. */
ptools_err ptools_task_expect(ptools_task *task, uint32_t count);

/* An array, or a part of one, that the caller put there with ptools_pack_array() or ptools_pack_view(). type 0 and
 * ndims 0 stand for any. Borrowed like the array of ptools_task_array(). */
ptools_err ptools_task_arg_view(ptools_task *task, uint32_t index, ptools_type type, uint32_t ndims, ptools_view *ret);

/* -- shared arrays, by name -------------------------------------------------------------------
 * The array that the task's user has under this prefix and name. prefix NULL: in a server task the prefix that
 * it was started with, else "" (none). It must be of this type and shape, by the rule of ptools_array_check():
 * type 0, ndims 0, dims NULL or an entry 0 of it stand for any. One that the server task was started with
 * is there without asking; any other is asked of the daemon once, and stays mapped for the next tasks.
 * PTOOLS_ERR_NO_ARRAY, _MISMATCH (the message tells what it is and what was wanted), _BAD_FILE, _SYSTEM: best
 * returned as they are. Borrowed: until the function returns, in a server task until it is stopped. */
ptools_err ptools_task_array(ptools_task *task, const char *prefix, const char *name, ptools_type type, uint32_t ndims,
                             const uint64_t *dims, ptools_array **ret);

/* -- task local storage (Julia: task_local_storage) --------------------------------------------
 * State by name, 1 to 64 bytes. In a server task it is there until it is deleted, replaced, or the server task
 * is stopped, over all calls of its handle; in any other task it ends with the task. */

/* The value that pack holds (of several, a list), copied. PTOOLS_ERR_INVALID, _NO_MEMORY, or the pack's error. */
ptools_err ptools_task_set(ptools_task *task, const char *name, const ptools_pack *value);
/* A pointer, and what is to be called with it at its end: once, when it is deleted, replaced, or the storage
 * ends; not when the process is killed. destroy may be NULL. */
ptools_err ptools_task_set_pointer(ptools_task *task, const char *name, void *pointer, void (*destroy)(void *pointer));
/* Borrowed until it is deleted or replaced. PTOOLS_ERR_RANGE: nothing of that name; _TYPE: a pointer, or a value,
 * is there instead. */
ptools_err ptools_task_get(ptools_task *task, const char *name, ptools_value *ret);
ptools_err ptools_task_get_pointer(ptools_task *task, const char *name, void **ret);
/* PTOOLS_OK also if there was nothing. */
ptools_err ptools_task_del(ptools_task *task, const char *name);

/* -- result ---------------------------------------------------------------------------------- */
/* Append the value to it. Nothing appended: nil. Several: a list of them. Borrowed. */
ptools_pack *ptools_task_result(ptools_task *task);
/* Sets the message and returns PTOOLS_ERR_FAILED: `return ptools_task_fail(task, "no such %s", what);` */
ptools_err ptools_task_fail(ptools_task *task, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((__format__(__printf__, 2, 3)))
#endif
    ;

/* -- telling: kept in a page that survives the process; shown in failures and `ptools workers` -- */
void ptools_task_log(ptools_task *task, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((__format__(__printf__, 2, 3)))
#endif
    ;
void ptools_task_phase(ptools_task *task, const char *name); /* "reading", "sorting"; copied     */
void ptools_task_progress(ptools_task *task, uint64_t n, uint64_t of);

/* -- asking ----------------------------------------------------------------------------------- */
uint32_t ptools_task_worker_id(ptools_task *task); /* Julia's myid(); 0 in a server task         */
/* Which of the server tasks of its handle this is, from 0, and how many there are; 0 and 0 in any other. */
uint32_t ptools_task_stask_index(ptools_task *task);
uint32_t ptools_task_stask_count(ptools_task *task);
uint64_t ptools_task_id(ptools_task *task);        /* in a server task the number of the call    */
uint32_t ptools_task_attempt(ptools_task *task); /* 1 for the first                              */
uint32_t ptools_task_uid(ptools_task *task);     /* the user whose client asked                  */
/* True once the task was cancelled or its deadline passed: clean up and return soon; the worker is
 * killed after a grace time (500 ms by default). Costs one load. */
bool ptools_task_cancelled(ptools_task *task);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#ifdef __cplusplus
}
#endif
#endif
