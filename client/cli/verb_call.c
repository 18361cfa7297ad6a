/* SPDX-License-Identifier: MIT */
/*
 * verb_call -- `ptools call`: one call of one function.
 *
 * Everything is read before the daemon is asked for anything: files, standard input, the whole command line. Signals
 * keep their usual effect until the call has been sent (the daemon cancels the calls of a client that ends);
 * from then on the first one cancels the call, and its end is waited for, so that it can be reported; the second one
 * ends this process at once. A time limit does what the first signal does.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <ptools/ptools.h>

#include "client/cli/callee.h"
#include "client/cli/failure.h"
#include "client/cli/session.h"
#include "client/cli/verbs.h"
#include "client/cli/waiting.h"
#include "client/cli/words.h"


enum { OPTION_SET = OPTION_OF_VERB, OPTION_WORKER, OPTION_DEADLINE, OPTION_DETACH, OPTION_NO_PRIVATE, OPTION_WORKERS };

static const struct option_row options[] = {
    { OPTION_STRING, 's', "string", NULL, "the ARGs that follow are strings, whatever they look like" },
    { OPTION_FILE, '\0', "file", "FILE", "here comes an argument: what is in FILE (text, or else bytes)" },
    { OPTION_STDIN, '\0', "stdin", NULL, "here comes an argument: what is on standard input" },
    { OPTION_SET, '\0', "set", "NAME", "a worker of this set, by its rule (default: the first free of all)" },
    { OPTION_WORKER, '\0', "worker", "ID", "this worker and no other" },
    { OPTION_TIMEOUT, '\0', "timeout", "TIME", "wait so long, then cancel the call (exit status 124)" },
    { OPTION_DEADLINE, '\0', "deadline", "TIME", "the daemon stops the call after so long (exit status 124)" },
    { OPTION_RAW, '\0', "raw", NULL, "write a string or bytes as they are, without a newline" },
    { OPTION_DETACH, '\0', "detach", NULL, "print the task's id and do not wait; its value is dropped" },
    { OPTION_NO_PRIVATE, '\0', "no-private", NULL, "where no daemon runs, do not start a private one" },
    { OPTION_WORKERS, '\0', "workers", "N", "workers of the private daemon (default: one a processor)" },
    { 0 },
};

static const char *const usage[] = { "[OPTION...] MODULE.FUNCTION [ARG...]", NULL };

struct wish {
    const char *function;
    const char *set;
    ptools_call_options call;
    struct waiting waiting;
    bool detach, no_private;
    uint32_t workers;
};

/* -- the command line ------------------------------------------------------------------------------- */

static int take_option(const struct command_line *line, const struct item *item, struct wish *wish)
{
    switch (item->id) {
    case OPTION_SET:
        wish->set = item->text;
        break;
    case OPTION_WORKER:
        if (!words_number(item->text, &wish->call.worker))
            return command_line_wrong(line, "--worker %s: an id is a number, 1 or more", item->text);
        break;
    case OPTION_TIMEOUT:
    case OPTION_RAW:
        return waiting_take(line, item, &wish->waiting);
    case OPTION_DEADLINE:
        if (!words_duration(item->text, &wish->call.deadline_ms))
            return command_line_wrong(line, "--deadline %s: " WORDS_DURATIONS, item->text);
        break;
    case OPTION_DETACH:
        wish->detach = true;
        break;
    case OPTION_NO_PRIVATE:
        wish->no_private = true;
        break;
    case OPTION_WORKERS:
        if (!words_number(item->text, &wish->workers))
            return command_line_wrong(line, "--workers %s: allowed is a number, 1 or more", item->text);
        break;
    }
    return EXIT_VALUE;
}

static int take_items(const struct command_line *line, struct wish *wish, ptools_pack *args)
{
    int status = callee_function(line, &wish->function);

    for (size_t i = 0; i < line->n && status == EXIT_VALUE; i++)
        status = take_option(line, &line->items[i], wish);
    if (status != EXIT_VALUE)
        return status;
    if (wish->detach && (wish->waiting.timeout || wish->waiting.raw))
        return command_line_wrong(line, "--detach waits for nothing: %s has no meaning with it",
                                  wish->waiting.timeout ? "--timeout" : "--raw");
    return callee_arguments(line, args);
}

/* -- the call -------------------------------------------------------------------------------------------- */

static int detach(const struct command_line *line, const struct wish *wish, ptools *pt, ptools_workerset *set,
                  const ptools_pack *args)
{
    struct json_writer w;
    uint64_t task;
    ptools_err r = ptools_remote_do(pt, set, wish->function, args, &wish->call, &task);

    if (r != PTOOLS_OK)
        return failure_report_last(line, pt, r);
    if (!line->json) {
        printf("%llu\n", (unsigned long long)task);
        return EXIT_VALUE;
    }
    session_document(&w);
    json_key(&w, "task");
    json_put_u64(&w, task);
    return session_document_end(line, &w);
}

static int call(const struct command_line *line, const struct wish *wish, const ptools_pack *args)
{
    PTOOLS_AUTO(ptools) pt = NULL;
    PTOOLS_AUTO(ptools_workerset) set = NULL;
    PTOOLS_AUTO(ptools_future) f = NULL;
    ptools_err r = PTOOLS_OK;
    /* What is detached, or runs in a set, needs a daemon that was there before and stays. */
    int status = session_open(line, !wish->no_private && !wish->detach && !wish->set, wish->workers, &pt);

    if (status != EXIT_VALUE)
        return status;
    if (wish->set)
        r = ptools_workerset_open(pt, wish->set, &set);
    if (r == PTOOLS_OK && wish->detach)
        return detach(line, wish, pt, set, args);
    if (r == PTOOLS_OK)
        r = ptools_remotecall(pt, set, wish->function, args, &wish->call, &f);
    return r == PTOOLS_OK ? waiting_print(line, &wish->waiting, pt, f) : failure_report_last(line, pt, r);
}

static int run(const struct command_line *line)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    struct wish wish = { .call = PTOOLS_CALL_OPTIONS_INIT, .waiting.give_up = waiting_stop };
    int status;

    if (!args)
        return failure_report_code(line, PTOOLS_ERR_NO_MEMORY, NULL);
    status = take_items(line, &wish, args);
    return status == EXIT_VALUE ? call(line, &wish, args) : status;
}

const struct verb verb_call = {
    .name = "call",
    .summary = "run a function in a worker and print its value",
    .usage = usage,
    .about = "Runs FUNCTION of MODULE in a worker of the daemon and prints its value as JSON. An ARG that is a\n"
             "JSON value (a number, true, false, null, \"a string\", [a, list], {\"a\": \"map\"}) is that value,\n"
             "any other is a string. Bytes are {\"$bytes\": \"BASE64\"}, both ways. TIME: 2, 0.5, 500ms, 2s, 3m, 1h.\n"
             "Where no daemon runs, a private one is started that ends with the call.\n",
    .options = options,
    .run = run,
};
