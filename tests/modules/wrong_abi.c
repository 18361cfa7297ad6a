/* SPDX-License-Identifier: MIT */
/*
 * wrong_abi -- a module of another time.
 */
#include <ptools/module.h>

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
    .abi = 7,
    .struct_size = sizeof(ptools_module_info),
    .functions = functions,
};
