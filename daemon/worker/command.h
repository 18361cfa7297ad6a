/* SPDX-License-Identifier: MIT */
/*
 * command -- the module `command`, which is part of the worker: its function command.run runs a program. PROTOCOL.md
 * has what it takes and what it gives.
 */
#ifndef WORKER_COMMAND_H
#define WORKER_COMMAND_H

#include <ptools/module.h>

#define COMMAND_MODULE "command"

extern const ptools_module_info command_module;

/* Where output lies ("": nowhere, then what does not fit into a value is dropped), and how much of a stream. Borrowed. */
void command_configure(const char *output_dir, uint64_t output_max);

#endif
