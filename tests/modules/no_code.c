/* SPDX-License-Identifier: MIT */
/*
 * no_code -- a module with a function that is not there.
 */
#include <ptools/module.h>

static const ptools_function functions[] = {
    { "nop", NULL, "nop -> nil", 0 },
    { NULL, NULL, NULL, 0 },
};

PTOOLS_MODULE_EXPORT const ptools_module_info ptools_module = {
    .abi = PTOOLS_MODULE_ABI,
    .struct_size = sizeof(ptools_module_info),
    .functions = functions,
};
