/* SPDX-License-Identifier: MIT */
/*
 * verb_users -- `ptools users`: who works on this machine, for those who may come in as others (users.admins).
 *
 * The service has a directory for each user whose daemon was wanted since it began; in it is a file `up` while that
 * daemon is there. Only such a daemon is asked: the question would start it else.
 */
#include <dirent.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ptools/ptools.h>

#include "client/cli/command_line.h"
#include "client/cli/failure.h"
#include "client/cli/session.h"
#include "client/cli/table.h"
#include "client/cli/verbs.h"

enum { PATIENCE_MS = 2000 };

static const char *const usage[] = { "", NULL };

struct user {
    uint32_t uid;
    char name[64];
    const char *state; /* "up", "idle", "silent" */
    uint64_t workers, running, queued, memory;
};

struct users {
    struct user *all;
    size_t n;
};

static void ask(const struct command_line *line, struct user *u)
{
    struct command_line as = *line;
    PTOOLS_AUTO(ptools) pt = NULL;
    PTOOLS_AUTO(ptools_future) f = NULL;
    ptools_value status, tasks, queue;
    char uid[16];

    snprintf(uid, sizeof uid, "%u", (unsigned)u->uid);
    as.user = uid;
    u->state = "silent";
    if (session_try(&as, PATIENCE_MS, &pt) != PTOOLS_OK || ptools_inspect(pt, "status", &f, &status) != PTOOLS_OK)
        return;
    u->state = "up";
    u->workers = table_number(status, "workers");
    u->memory = table_number(status, "rss_bytes");
    if (ptools_get_field(status, "tasks", &tasks) == PTOOLS_OK)
        u->running = table_number(tasks, "given");
    if (ptools_get_field(status, "queue", &queue) == PTOOLS_OK)
        u->queued = table_number(queue, "waiting");
}

static bool add(struct users *users, const char *dir, const char *name)
{
    struct user *more = realloc(users->all, (users->n + 1) * sizeof *more);
    const struct passwd *known;
    char up[700];
    struct user *u;

    if (!more)
        return false;
    users->all = more;
    u = &more[users->n++];
    *u = (struct user){ .uid = (uint32_t)strtoul(name, NULL, 10) };
    known = getpwuid(u->uid);
    snprintf(u->name, sizeof u->name, "%s", known ? known->pw_name : "");
    snprintf(up, sizeof up, "%s/%s/up", dir, name);
    u->state = access(up, F_OK) == 0 ? "up" : "idle";
    return true;
}

static int by_uid(const void *a, const void *b)
{
    const struct user *x = a, *y = b;

    return (x->uid > y->uid) - (x->uid < y->uid);
}

static int tell_json(const struct command_line *line, const struct users *users)
{
    struct json_writer w;

    session_document(&w);
    json_key(&w, "users");
    json_open(&w, '[');
    for (size_t i = 0; i < users->n; i++) {
        const struct user *u = &users->all[i];
        const struct {
            const char *key;
            uint64_t value;
        } numbers[] = { { "uid", u->uid },        { "workers", u->workers }, { "running", u->running },
                        { "queued", u->queued }, { "rss_bytes", u->memory } };

        json_open(&w, '{');
        failure_key_text(&w, "user", u->name);
        failure_key_text(&w, "state", u->state);
        for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++) {
            json_key(&w, numbers[k].key);
            json_put_u64(&w, numbers[k].value);
        }
        json_close(&w, '}');
    }
    json_close(&w, ']');
    return session_document_end(line, &w);
}

static int tell(const struct command_line *line, const struct users *users)
{
    static const struct column columns[] = { { "UID", "" },
                                             { "USER", "" },
                                             { "STATE", "" },
                                             { "WORKERS", "", .right = true },
                                             { "RUNNING", "", .right = true },
                                             { "QUEUED", "", .right = true },
                                             { 0 } };
    struct table *table = table_new(columns);
    int r;

    for (size_t i = 0; table && i < users->n; i++) {
        const struct user *u = &users->all[i];
        char numbers[4][24];
        char *const texts[] = { numbers[0], (char *)(uintptr_t)u->name, (char *)(uintptr_t)u->state,
                                numbers[1], numbers[2],                 numbers[3] };

        snprintf(numbers[0], sizeof numbers[0], "%u", (unsigned)u->uid);
        snprintf(numbers[1], sizeof numbers[1], "%llu", (unsigned long long)u->workers);
        snprintf(numbers[2], sizeof numbers[2], "%llu", (unsigned long long)u->running);
        snprintf(numbers[3], sizeof numbers[3], "%llu", (unsigned long long)u->queued);
        if (strcmp(u->state, "up") != 0)
            numbers[1][0] = numbers[2][0] = numbers[3][0] = '\0'; /* nobody knows */
        table_add_texts(table, texts);
    }
    r = table ? table_print(table) : -ENOMEM;
    table_free(table);
    return r < 0 ? failure_report_code(line, PTOOLS_ERR_NO_MEMORY, NULL) : EXIT_VALUE;
}

static int run(const struct command_line *line)
{
    struct users users = { NULL, 0 };
    char dir[400], why[600];
    const struct dirent *e;
    bool good = true;
    DIR *all;
    int status;

    if (line->n > 0)
        return command_line_wrong(line, "\"%.80s\": users takes no words", line->items[0].text);
    if (line->user || line->address)
        return command_line_wrong(line, "--%s has no meaning here", line->user ? "user" : "address");
    snprintf(dir, sizeof dir, "%s/as", session_service_dir(line));
    all = opendir(dir);
    if (!all) {
        snprintf(why, sizeof why, "%s: %s%s", dir, strerror(errno),
                 errno == EACCES   ? ": only members of the service's users.admins (ptools-admin) may see all users"
                 : errno == ENOENT ? ": no service with admins is there"
                                   : "");
        return failure_report_code(line, errno == EACCES ? PTOOLS_ERR_DENIED : PTOOLS_ERR_NO_DAEMON, why);
    }
    while (good && (e = readdir(all)))
        if (e->d_name[0] >= '0' && e->d_name[0] <= '9')
            good = add(&users, dir, e->d_name);
    closedir(all);
    if (users.n > 1)
        qsort(users.all, users.n, sizeof *users.all, by_uid);
    for (size_t i = 0; i < users.n; i++)
        if (strcmp(users.all[i].state, "up") == 0)
            ask(line, &users.all[i]);
    status = !good         ? failure_report_code(line, PTOOLS_ERR_NO_MEMORY, NULL)
             : line->json ? tell_json(line, &users)
                          : tell(line, &users);
    free(users.all);
    return status;
}

const struct verb verb_users = {
    .name = "users",
    .summary = "list the users of the machine's service, for its admins",
    .usage = usage,
    .about = "Lists the users whose daemon was wanted since the service began, with their workers and tasks. STATE is\n"
             "up, idle (no daemon is there, it comes when it is wanted), or silent (it does not answer). To act as one\n"
             "of them: --user. Only members of the service's users.admins may.\n",
    .run = run,
};
