/* SPDX-License-Identifier: MIT */
/*
 * threads_at_load -- a module whose constructor starts a thread: each worker must load it itself.
 */
#include <pthread.h>
#include <unistd.h>

#include <ptools/module.h>

static void *wait_for_ever(void *unused)
{
    for (;;)
        pause();
    return unused;
}

__attribute__((__constructor__)) static void start_thread(void)
{
    pthread_t thread;

    pthread_create(&thread, NULL, wait_for_ever, NULL);
}

static ptools_err nop(ptools_task *task)
{
    (void)task;
    return PTOOLS_OK;
}

static const ptools_function functions[] = {
    { "nop", nop, "nop -> nil", 0 },
    { NULL, NULL, NULL, 0 },
};

PTOOLS_MODULE_EXPORT const ptools_module_info ptools_module = {
    .abi = PTOOLS_MODULE_ABI,
    .struct_size = sizeof(ptools_module_info),
    .functions = functions,
};
