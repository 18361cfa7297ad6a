/* SPDX-License-Identifier: MIT */
/*
 * empty -- a module without functions.
 */
#include <ptools/module.h>

static const ptools_function functions[] = {
    { NULL, NULL, NULL, 0 },
};

PTOOLS_MODULE_EXPORT const ptools_module_info ptools_module = {
    .abi = PTOOLS_MODULE_ABI,
    .struct_size = sizeof(ptools_module_info),
    .functions = functions,
};
