/* SPDX-License-Identifier: MIT */
/*
 * fuzz_command -- any bytes as the arguments of command.run, as its worker reads them. They are refused with a
 * sentence, or what they say lies within what is allowed, and makes an environment.
 */
#include <stdlib.h>
#include <string.h>

#include "daemon/worker/command_args.h"
#include "tests/fuzz/fuzz.h"

enum { NICE_MAX = 40, CPUS_MAX = 4096, VARIABLES = 2 };

static struct page page;
static struct ptools_task task;

static void check_environment(const struct command_args *a)
{
    struct command_environment e;

    if (command_environment_make(&task, a, VARIABLES, &e) != PTOOLS_OK) {
        check(*task_message(&task));
        return;
    }
    check(command_environment_put(&e, false, "PTOOLS_TASK_ID=%d", 900) == PTOOLS_OK);
    check(command_environment_put(&e, true, "PTOOLS_SEED=%d", 1) == PTOOLS_OK);
    check(strcmp(command_environment_get(&e, "PTOOLS_TASK_ID"), "900") == 0);
    for (uint32_t i = 0; i < e.n; i++)
        check(strchr(e.entries[i], '='));
    check(e.entries[e.n] == NULL);
}

static void check_args(const struct command_args *a)
{
    check(a->argc > 0 && *a->argv[0] && !a->argv[a->argc]);
    check(*a->cwd == '/' && (!a->stdin_file || *a->stdin_file == '/') && (!a->stage || *a->stage == '/'));
    check(!a->stdin_file || !a->input);
    check(a->umask >= -1 && a->umask <= 0777 && abs(a->nice) <= NICE_MAX && a->cpus <= CPUS_MAX);
    check_environment(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const struct link_frame run = { .task = 900, .attempt = 2, .a = 1000 };
    struct command_args args;
    static bool begun;

    if (!begun) {
        check(task_init(&task, &page, 5) == 0);
        begun = true;
    }
    if (task_begin(&task, &run, "command.run", data, n) == PTOOLS_OK && command_args_read(&task, &args) == PTOOLS_OK)
        check_args(&args);
    else
        check(*task_message(&task));
    task_end(&task);
    return 0;
}
