/* SPDX-License-Identifier: MIT */
/*
 * wrong_size -- a module that was built with another idea of ptools_module_info.
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
    .abi = PTOOLS_MODULE_ABI,
    .struct_size = sizeof(ptools_module_info) + 8,
    .functions = functions,
};
