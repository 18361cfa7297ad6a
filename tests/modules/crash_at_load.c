/* SPDX-License-Identifier: MIT */
/*
 * crash_at_load -- a module whose constructor aborts.
 */
#include <stdlib.h>

#include <ptools/module.h>

__attribute__((__constructor__)) static void crash(void)
{
    abort();
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
