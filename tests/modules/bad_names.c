/* SPDX-License-Identifier: MIT */
/*
 * bad_names -- a module with a function whose name has a blank in it.
 */
#include <ptools/module.h>

static ptools_err nop(ptools_task *task)
{
    (void)task;
    return PTOOLS_OK;
}

static const ptools_function functions[] = {
    { "nop", nop, "nop -> nil", 0 },
    { "two words", nop, "", 0 },
    { NULL, NULL, NULL, 0 },
};

PTOOLS_MODULE_EXPORT const ptools_module_info ptools_module = {
    .abi = PTOOLS_MODULE_ABI,
    .struct_size = sizeof(ptools_module_info),
    .functions = functions,
};
