/* SPDX-License-Identifier: MIT */
/*
 * missing_symbol -- a module that calls what nobody defines.
 */
#include <ptools/module.h>

void nobody_defines_this(void);

static ptools_err nop(ptools_task *task)
{
    (void)task;
    nobody_defines_this();
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
