/* SPDX-License-Identifier: MIT */
/*
 * verbs -- see verbs.h: the tables.
 */
#include "client/cli/verbs.h"

#include <string.h>

#include "client/cli/words.h"

const struct verb *const verbs[] = {
    &verb_call,     &verb_pmap,  &verb_run,     &verb_submit, &verb_log,      &verb_replay,  &verb_ls,
    &verb_info,     &verb_wait,  &verb_result,  &verb_why,    &verb_priority, &verb_cancel,  &verb_kill,
    &verb_dequeue,  &verb_hold,  &verb_release, &verb_pause,  &verb_resume,   &verb_kick,    &verb_rerun,
    &verb_forget,   &verb_purge, &verb_events,  &verb_notify, &verb_export,   &verb_workers, &verb_sets,
    &verb_modules,  &verb_shm,   &verb_stasks,  &verb_status, &verb_top,      &verb_users,   &verb_fork,    &verb_doctor,
    &verb_complete, &verb_help,  NULL,
};

const struct option_row global_options[] = {
    { OPTION_DIR, '\0', "dir", "DIR", "the daemon that serves DIR (the same as PTOOLS_DIR)" },
    { OPTION_ADDRESS, '\0', "address", "ADDR", "the daemon at ADDR: a directory, ipc://PATH or tcp://HOST:PORT" },
    { OPTION_USER, '\0', "user", "USER", "the daemon of this user of the service, for its admins" },
    { OPTION_JSON, '\0', "json", NULL, "documents on standard output, and failures on standard error, as JSON" },
    { OPTION_HELP, 'h', "help", NULL, "this text" },
    { OPTION_VERSION, 'V', "version", NULL, "the version of ptools" },
    { 0 },
};

const struct verb *verb_find(const char *name)
{
    for (size_t i = 0; verbs[i]; i++)
        if (strcmp(verbs[i]->name, name) == 0 || (verbs[i]->alias && strcmp(verbs[i]->alias, name) == 0))
            return verbs[i];
    return NULL;
}

const char *verb_nearest(const char *name)
{
    struct nearest near;

    nearest_init(&near, name);
    for (size_t i = 0; verbs[i]; i++)
        nearest_offer(&near, verbs[i]->name);
    return near.best;
}
