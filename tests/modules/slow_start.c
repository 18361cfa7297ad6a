/* SPDX-License-Identifier: MIT */
/*
 * slow_start -- a module whose start() never ends: whoever calls it runs into a deadline.
 */
#include <ptools/module.h>
#include <unistd.h>

static ptools_err start(void)
{
    for (;;)
        pause();
    return PTOOLS_OK;
}

static ptools_err nop(ptools_task *task)
{
    (void)task;
    return PTOOLS_OK;
}

static const ptools_function functions[] = { { "nop", nop, "nop -> nil, never", 0 }, { 0 } };

PTOOLS_MODULE_EXPORT const ptools_module_info ptools_module = {
    .abi = PTOOLS_MODULE_ABI,
    .struct_size = sizeof(ptools_module_info),
    .help = "Never gets ready",
    .functions = functions,
    .start = start,
};
