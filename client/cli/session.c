/* SPDX-License-Identifier: MIT */
/*
 * session -- see session.h. Standard output is flushed and checked once, by main(): writers need not look.
 */
#include "client/cli/session.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/cli/failure.h"

#define SERVICE_DIR "/run/ptools" /* of the service for all users, as it is installed */

const char *session_service_dir(const struct command_line *line)
{
    const char *dir = line->dir ? line->dir : getenv("PTOOLS_DIR");

    return dir && *dir ? dir : SERVICE_DIR;
}

/* The number of a user; false: there is none. */
static bool find_user(const char *name, uint32_t *ret)
{
    const struct passwd *known;
    char *end;
    unsigned long n;

    errno = 0;
    n = strtoul(name, &end, 10);
    if (*name >= '0' && *name <= '9' && !*end && !errno && n < UINT32_MAX) {
        *ret = (uint32_t)n;
        return true;
    }
    known = getpwnam(name);
    if (known)
        *ret = known->pw_uid;
    return known != NULL;
}

/* What --dir, --user and --address name, or NULL: the library looks. The caller frees. A relative directory is the
 * user's, so it is seen from here. What went wrong, and why in *ret_why. */
static ptools_err find_address(const struct command_line *line, char **ret, const char **ret_why)
{
    const char *named = line->user ? session_service_dir(line) : line->dir ? line->dir : line->address;
    char *here, *address = NULL, as[32] = "";
    bool relative = named && !line->address && named[0] != '/';
    uint32_t uid;

    *ret = NULL;
    *ret_why = "";
    if (!named)
        return PTOOLS_OK;
    if (line->user) {
        *ret_why = "--user: there is no such user on this machine";
        if (!find_user(line->user, &uid))
            return PTOOLS_ERR_NO_DAEMON;
        snprintf(as, sizeof as, "/as/%u", (unsigned)uid);
    }
    *ret_why = "cannot find out the current directory";
    here = relative ? getcwd(NULL, 0) : NULL;
    if (relative && !here)
        return PTOOLS_ERR_SYSTEM;
    if (asprintf(&address, "%s%s%s%s", relative ? here : "", relative ? "/" : "", named, as) < 0)
        address = NULL;
    free(here);
    *ret = address;
    return address ? PTOOLS_OK : PTOOLS_ERR_NO_MEMORY;
}

/* How to come by a daemon, for verbs that would have no use for one that ends with them. */
static void advise(const struct command_line *line)
{
    const char *option = line->dir ? " --dir " : "", *dir = line->dir ? line->dir : "";

    fprintf(stderr, "Start one: `ptoolsd%s%s` stays in the foreground, `ptoolsd%s%s &` does not.\n", option, dir,
            option, dir);
}

int session_open(const struct command_line *line, bool may_start, uint32_t workers, ptools **ret_pt)
{
    ptools_options options = PTOOLS_OPTIONS_INIT;
    const char *message = NULL;
    char *address;
    ptools_err r;

    r = find_address(line, &address, &message);
    if (r != PTOOLS_OK)
        return failure_report_code(line, r, message);
    options.address = address;
    options.flags = may_start ? PTOOLS_PRIVATE : 0;
    options.private_workers = workers;
    r = ptools_open(&options, ret_pt, &message);
    free(address);
    if (r == PTOOLS_OK)
        return EXIT_VALUE;
    failure_report_code(line, r, message);
    if (r == PTOOLS_ERR_NO_DAEMON && !may_start && !line->json)
        advise(line);
    return failure_exit_status(r);
}

ptools_err session_try(const struct command_line *line, int64_t within_ms, ptools **ret_pt)
{
    ptools_options options = PTOOLS_OPTIONS_INIT;
    const char *message = NULL;
    char *address;
    ptools_err r;

    r = find_address(line, &address, &message);
    if (r != PTOOLS_OK)
        return r;
    options.address = address;
    options.connect_timeout_ms = within_ms;
    r = ptools_open(&options, ret_pt, &message);
    free(address);
    return r;
}

int session_inspect(const struct command_line *line, const char *what, ptools **ret_pt, ptools_future **ret_future,
                    ptools_value *ret_value)
{
    PTOOLS_AUTO(ptools) pt = NULL;
    ptools_err r;
    int status = session_open(line, false, 0, &pt);

    if (status != EXIT_VALUE)
        return status;
    r = ptools_inspect(pt, what, ret_future, ret_value);
    if (r != PTOOLS_OK)
        return failure_report_last(line, pt, r);
    *ret_pt = pt;
    pt = NULL;
    return EXIT_VALUE;
}

void session_document(struct json_writer *w)
{
    *w = (struct json_writer){ .out = stdout, .pretty = isatty(STDOUT_FILENO) };
    json_open(w, '{');
    json_key(w, "schema");
    json_put_u64(w, 1);
}

static int end(const struct command_line *line, const struct json_writer *w)
{
    putc('\n', stdout);
    return w->no_memory ? failure_report_code(line, PTOOLS_ERR_NO_MEMORY, NULL) : EXIT_VALUE;
}

int session_document_end(const struct command_line *line, struct json_writer *w)
{
    json_close(w, '}');
    return end(line, w);
}

int session_print_value(const struct command_line *line, ptools_value v)
{
    struct json_writer w = { .out = stdout, .pretty = isatty(STDOUT_FILENO) };

    json_put_value(&w, v);
    return end(line, &w);
}
