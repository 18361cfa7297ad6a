/* SPDX-License-Identifier: MIT */
/*
 * config -- see config.h: the table of settings, their texts to values and back, and what is found out
 * at start. Where the texts come from is config_file.c's and options.c's business.
 *
 * Strings belong to the struct. A value that is refused leaves what was there. Looks at the machine
 * (processors, memory) and the environment, but opens nothing and prints nothing. It is long for the table: a setting is
 * two lines there, and nowhere else.
 */
#include "daemon/ptoolsd/config.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/limits.h"
#include "proto/message.h"
#include "proto/output.h"
#include "proto/page.h"
#include "proto/util.h"

#define K UINT64_C(1024)
#define M (1024 * K)
#define G (1024 * M)
#define T (1024 * G)
enum {
    DIR_BYTES_MAX = sizeof((struct sockaddr_un *)NULL)->sun_path - sizeof "/" SOCKET_NAME,
    LIST_BYTES_MAX = 16384,
    MS_MAX = 3600000
};

#define AT(field) offsetof(struct config, field)
/* clang-format off */
const struct setting config_settings[] = {
    { "daemon", "dir", SETTING_PATH, AT(dir), 1, DIR_BYTES_MAX, NULL, "",
      "directory of the sockets and the lock" },
    { "daemon", "log_level", SETTING_LEVEL, AT(log_level), 0, 0, NULL, "info",
      "what is logged: error, warning, info or debug" },
    { "daemon", "worker_program", SETTING_PATH, AT(worker_program), 1, PATH_MAX - 1, NULL, PTOOLS_WORKER_PROGRAM,
      "the program that workers are; for tests of a build tree" },
    { "daemon", "state_dir", SETTING_PATH, AT(state_dir), 1, PATH_MAX - 64, NULL, "",
      "directory of the journal, which keeps queued tasks over restarts" },
    { "daemon", "journal", SETTING_SWITCH, AT(journal), 0, SWITCH_AUTO, NULL, "auto",
      "whether there is one: yes, no, or auto: unless the daemon is a private one" },
    { "daemon", "output_dir", SETTING_PATH, AT(output_dir), 1, OUTPUT_DIR_BYTES_MAX - 1, NULL, "",
      "directory of the output of commands" },
    { "daemon", "output_max", SETTING_BYTES, AT(output_max), 8192, 1024 * T, NULL, "64M",
      "what is kept of the output of a command, and as much of its error output; the last of it" },

    { "modules", "path", SETTING_PATHS, AT(module_path), 1, LIST_BYTES_MAX, NULL, "",
      "directories of modules, ':' between; the first that has NAME.so gives module NAME" },
    { "modules", "preload", SETTING_NAMES, AT(preload), 0, LIST_BYTES_MAX, NULL, "",
      "modules to load at start instead of on first use" },

    { "workers", "count", SETTING_NUMBER, AT(workers), 1, WORKERS_MAX, "one a processor", "0",
      "workers at start" },
    { "workers", "memory_max", SETTING_MEMORY, AT(memory_max), 16 * M, 1024 * T, "no limit", "80%",
      "memory that one worker may use, in bytes or percent of the machine's" },
    { "workers", "cgroup", SETTING_SWITCH, AT(cgroup), 0, SWITCH_AUTO, NULL, "auto",
      "whether each has a control group, for the limits of all it starts; auto: if the daemon's own is left to it" },
    { "workers", "pids_max", SETTING_NUMBER, AT(pids_max), 1, 4194304, "no limit", "0",
      "processes and threads of one worker, with all it starts; needs a control group" },
    { "workers", "cpu_max", SETTING_NUMBER, AT(cpu_max), 1, 409600, "no limit", "0",
      "processor time of one worker, with all it starts, in percent of a processor; needs a control group" },
    { "workers", "recycle_tasks", SETTING_NUMBER, AT(recycle_tasks), 1, UINT32_MAX, "never", "0",
      "a worker is replaced after so many tasks" },
    { "workers", "recycle_memory", SETTING_BYTES, AT(recycle_memory), M, T, "never", "0",
      "a worker is replaced when it keeps more memory than this after a task" },
    { "workers", "recycle_descriptors", SETTING_NUMBER, AT(recycle_descriptors), 1, 65536, "never", "64",
      "a worker is replaced when it has so many more open descriptors than at its start" },
    { "workers", "kill_grace_ms", SETTING_NUMBER, AT(kill_grace_ms), 0, MS_MAX, NULL, "500",
      "from the request to stop a task to SIGKILL" },
    { "workers", "ahead", SETTING_NUMBER, AT(ahead), 1, PAGE_SLOTS, NULL, "32",
      "short tasks that a worker may hold, the running one included; 1: none is given ahead" },
    { "workers", "nice", SETTING_NUMBER, AT(nice), 0, 19, NULL, "0",
      "niceness of workers: where processors are short, each step up gives them a fifth less" },

    { "limits", "message_max", SETTING_BYTES, AT(message_max), 2 * ENVELOPE_BYTES_MAX, 2 * G, NULL, "128M",
      "one message: the arguments of a call, or its result" },
    { "limits", "clients_max", SETTING_NUMBER, AT(clients_max), 1, 65536, NULL, "512",
      "connections" },
    { "limits", "user_clients_max", SETTING_NUMBER, AT(user_clients_max), 1, 65536, NULL, "256",
      "connections of one user" },
    { "limits", "handshake_ms", SETTING_NUMBER, AT(handshake_ms), 10, MS_MAX, NULL, "1000",
      "from a connection to the end of its handshake" },
    { "limits", "stall_ms", SETTING_NUMBER, AT(stall_ms), 100, MS_MAX, NULL, "30000",
      "a client that stops inside a message is cut off after this" },
    { "limits", "user_tasks_max", SETTING_NUMBER, AT(user_tasks_max), 1, 100000000, NULL, "100000",
      "tasks of one user that have not ended" },
    { "limits", "user_bytes_max", SETTING_BYTES, AT(user_bytes_max), M, T, NULL, "1G",
      "arguments of these tasks; at least twice message_max" },
    { "limits", "user_sets_max", SETTING_NUMBER, AT(user_sets_max), 1, 65536, NULL, "256",
      "worker sets of one user" },
    { "limits", "modules_max", SETTING_NUMBER, AT(modules_max), 1, 4096, NULL, "256",
      "modules that were asked for" },
    { "limits", "client_output_max", SETTING_BYTES, AT(client_output_max), M, T, NULL, "512M",
      "answers that wait for one client; at least message_max" },
    { "limits", "drain_ms", SETTING_NUMBER, AT(drain_ms), 0, MS_MAX, NULL, "30000",
      "from SIGTERM to the cancelling of tasks that still run" },
    { "limits", "workers_max", SETTING_NUMBER, AT(workers_max), 1, WORKERS_MAX, NULL, "1024",
      "workers that may be added" },
    { "limits", "stand_ins_max", SETTING_NUMBER, AT(stand_ins_max), 1, WORKERS_MAX, NULL, "64",
      "processes beside the workers, for calls that functions make of functions while they wait" },
    { "limits", "user_arrays_max", SETTING_NUMBER, AT(user_arrays_max), 1, 65536, NULL, "4096",
      "shared arrays of one user, and large values on their way" },
    { "limits", "user_shm_max", SETTING_MEMORY, AT(user_shm_max), M, 1024 * T, "no limit", "50%",
      "memory of the arrays of one user, in bytes or percent of the machine's" },
    { "limits", "shm_max", SETTING_MEMORY, AT(shm_max), M, 1024 * T, "no limit", "75%",
      "memory of the arrays of all users" },
    { "limits", "user_stasks_max", SETTING_NUMBER, AT(user_stasks_max), 1, 65536, NULL, "256",
      "processes of server tasks of one user" },
    { "limits", "large", SETTING_BYTES, AT(large), 64 * K, T, "never", "1M",
      "arguments and values of more than this are handed over as memory" },

    { "queue", "user_queued_max", SETTING_NUMBER, AT(user_queued_max), 1, 100000000, NULL, "100000",
      "queued tasks of one user that have not ended" },
    { "queue", "user_queue_bytes_max", SETTING_BYTES, AT(user_queue_bytes_max), M, T, NULL, "256M",
      "memory of these tasks" },
    { "queue", "user_kept_max", SETTING_NUMBER, AT(user_kept_max), 1, 100000000, NULL, "100000",
      "queued tasks of one user that have ended; beyond it the oldest go, durable ones once they were asked for" },
    { "queue", "user_kept_bytes_max", SETTING_BYTES, AT(user_kept_bytes_max), M, T, NULL, "256M",
      "memory of these, results included; beyond it the oldest go, durable ones once they were asked for" },
    { "queue", "result_max", SETTING_BYTES, AT(result_max), 1, 2 * G, NULL, "1M",
      "the result of a queued task that does not say" },
    { "queue", "keep_s", SETTING_NUMBER, AT(keep_s), 1, 315360000, NULL, "86400",
      "how long a queued task is known after its end, if it does not say" },
    { "queue", "keep_volatile_s", SETTING_NUMBER, AT(keep_volatile_s), 1, 315360000, NULL, "3600",
      "the same of a volatile one" },
    { "queue", "breaker_kills", SETTING_NUMBER, AT(breaker_kills), 1, 100, "never", "5",
      "when so many workers were killed by queued tasks of one user of one function ..." },
    { "queue", "breaker_window_s", SETTING_NUMBER, AT(breaker_window_s), 1, 86400, NULL, "60",
      "... within this, all such tasks of that user wait ..." },
    { "queue", "breaker_wait_s", SETTING_NUMBER, AT(breaker_wait_s), 1, 86400, NULL, "60",
      "... for this; then one is tried, and if that kills its worker too, they wait twice as long ..." },
    { "queue", "breaker_wait_max_s", SETTING_NUMBER, AT(breaker_wait_max_s), 1, 86400, NULL, "900",
      "... but never longer than this" },
    { "queue", "ageing", SETTING_NUMBER, AT(ageing), 1, 1000000000, "no ageing", "0",
      "by how much the priority of a queued task gets better with each hour of waiting" },

    { "users", "apart", SETTING_SWITCH, AT(users_apart), 0, SWITCH_YES, NULL, "no",
      "whether every user has a daemon of their own behind this one, which runs nothing itself; ptools-spawn starts it" },
    { "users", "min_uid", SETTING_NUMBER, AT(users_min_uid), 0, UINT32_MAX - 1, NULL, "1000",
      "users with a lower number are not served" },
    { "users", "max", SETTING_NUMBER, AT(users_max), 1, 4096, NULL, "256",
      "users that are served at a time" },
    { "users", "idle_s", SETTING_NUMBER, AT(users_idle_s), 0, 86400, NULL, "60",
      "the daemon of a user who has nothing in it and is not connected ends after this" },
    { "users", "stay", SETTING_SWITCH, AT(users_stay), 0, SWITCH_YES, NULL, "no",
      "whether daemons of users go on when this one ends: only where the service manager keeps their sockets" },
    { "users", "spawn", SETTING_PATH, AT(users_spawn), 1, sizeof((struct sockaddr_un *)NULL)->sun_path - 1, NULL,
      "/run/ptools-spawn/spawn.sock", "socket of ptools-spawn" },
    { "users", "admins", SETTING_NAME, AT(users_admins), 0, NAME_BYTES_MAX, NULL, "ptools-admin",
      "group whose members see and steer what all users have" },
    { NULL }
};
/* clang-format on */

/* -- values ----------------------------------------------------------------------------------- */

/* The field of a row: char * for strings, uint64_t for numbers. */
static char **string_at(const struct config *c, const struct setting *s)
{
    return (char **)((uintptr_t)c + s->offset);
}

static uint64_t *number_at(const struct config *c, const struct setting *s)
{
    return (uint64_t *)((uintptr_t)c + s->offset);
}

/* The shortest text that says v exactly. */
static const char *bytes_text(uint64_t v, char text[32])
{
    static const char suffixes[] = "\0KMGT";
    size_t i = 0;

    while (v && v % 1024 == 0 && suffixes[i + 1]) {
        v /= 1024;
        i++;
    }
    snprintf(text, 32, "%" PRIu64 "%.1s", v, suffixes + i);
    return text;
}

static const char *number_text(const struct setting *s, uint64_t v, char text[32])
{
    if (s->type == SETTING_BYTES || s->type == SETTING_MEMORY)
        return bytes_text(v, text);
    snprintf(text, 32, "%" PRIu64, v);
    return text;
}

/* Digits, then what is left in *ret_rest. false: no digit, or more than fits. */
static bool digits_parse(const char *s, uint64_t *ret, const char **ret_rest)
{
    uint64_t v = 0;
    const char *p;

    for (p = s; *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
            return false;
    *ret = v;
    *ret_rest = p;
    return p > s;
}

static bool number_parse(const struct setting *s, const char *text, uint64_t *ret)
{
    static const char suffixes[] = "KMGT";
    const char *rest, *suffix;
    uint64_t v;

    if (!digits_parse(text, &v, &rest))
        return false;
    if (s->type == SETTING_MEMORY && strcmp(rest, "%") == 0) {
        if (v < 1 || v > 100)
            return false;
        *ret = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) / 100 * v;
        return true;
    }
    if (*rest && s->type != SETTING_NUMBER) {
        suffix = strchr(suffixes, *rest++);
        if (!suffix || __builtin_mul_overflow(v, K << 10 * (suffix - suffixes), &v))
            return false;
    }
    if (*rest)
        return false;
    *ret = v;
    return true;
}

static int set_number(struct config *c, const struct setting *s, const char *text, char why[CONFIG_WHY_BYTES])
{
    char min[32], max[32];
    uint64_t v;

    if (number_parse(s, text, &v) && ((v >= s->min && v <= s->max) || (v == 0 && s->zero))) {
        *number_at(c, s) = v;
        return 0;
    }
    snprintf(why, CONFIG_WHY_BYTES, "[%s] %s: \"%.60s\" is not allowed; allowed is a %s: %s%s%s%s to %s%s", s->section,
             s->key, text, s->type == SETTING_NUMBER ? "number" : "size, in bytes or with K, M, G or T after it",
             s->zero ? "0 (" : "", s->zero ? s->zero : "", s->zero ? "), or " : "", number_text(s, s->min, min),
             number_text(s, s->max, max), s->type == SETTING_MEMORY ? ", or 1% to 100%" : "");
    return CONFIG_REFUSED;
}

static int set_level(struct config *c, const char *text, char why[CONFIG_WHY_BYTES])
{
    int level;

    for (level = 0; level < LOG_LEVELS; level++) {
        if (strcmp(text, log_level_name((enum log_level)level)) == 0) {
            c->log_level = (enum log_level)level;
            return 0;
        }
    }
    snprintf(why, CONFIG_WHY_BYTES,
             "[daemon] log_level: \"%.60s\" is not allowed; allowed are error, warning, info and debug", text);
    return CONFIG_REFUSED;
}

static const char *const switch_words[] = { [SWITCH_NO] = "no", [SWITCH_YES] = "yes", [SWITCH_AUTO] = "auto" };

static int set_switch(struct config *c, const struct setting *s, const char *text, char why[CONFIG_WHY_BYTES])
{
    for (size_t i = 0; i <= s->max && i < ELEMENTS(switch_words); i++) {
        if (strcmp(text, switch_words[i]) == 0) {
            *number_at(c, s) = i;
            return 0;
        }
    }
    snprintf(why, CONFIG_WHY_BYTES, "[%s] %s: \"%.60s\" is not allowed; allowed are %s", s->section, s->key, text,
             s->max == SWITCH_AUTO ? "yes, no and auto" : "yes and no");
    return CONFIG_REFUSED;
}

/* Absolute, and such that a line of a file can say it: inih takes space at the end away, and " ;" for a comment. */
static bool path_ok(const char *p, size_t n)
{
    size_t i;

    for (i = 1; i <= n; i++)
        if ((p[i - 1] == ' ' || p[i - 1] == '\t') && (i == n || p[i] == ';'))
            return false;
    return n > 0 && *p == '/';
}

/* What is wrong with text as a value of s; NULL: nothing. */
static const char *string_problem(const struct setting *s, const char *text)
{
    const char *separators = s->type == SETTING_PATH ? "" : s->type == SETTING_PATHS ? ":" : " \t";
    size_t n;

    for (;; text += n + 1) {
        n = strcspn(text, separators);
        if (s->type == SETTING_NAME && (text[n] || !name_ok_module(text, n)))
            return "must be a name, without spaces";
        if (s->type == SETTING_NAMES && n > 0 && !name_ok_module(text, n))
            return "must be names of modules (1 to 64 of A-Z a-z 0-9 _ -), spaces between";
        if (s->type == SETTING_PATH && !path_ok(text, n))
            return "must be an absolute path (begin with /), without space at its end or before a ;";
        if (s->type == SETTING_PATHS && !path_ok(text, n))
            return "must be absolute paths (begin with /) with ':' between, without space at an end or before a ;";
        if (!text[n])
            return NULL;
    }
}

static int set_string(struct config *c, const struct setting *s, const char *text, bool append,
                      char why[CONFIG_WHY_BYTES])
{
    char **field = string_at(c, s);
    const char *before = append && *field ? *field : "";
    const char *problem = *text ? string_problem(s, text) : NULL;
    char *after;

    if (problem) {
        snprintf(why, CONFIG_WHY_BYTES, "[%s] %s: \"%.60s\" is not allowed: %s", s->section, s->key, text, problem);
        return CONFIG_REFUSED;
    }
    if (!*text || s->type == SETTING_PATH || s->type == SETTING_NAME)
        before = "";
    if (asprintf(&after, "%s%s%s", before, !*before ? "" : s->type == SETTING_PATHS ? ":" : " ", text) < 0)
        return -ENOMEM;
    if (strlen(after) > s->max) {
        snprintf(why, CONFIG_WHY_BYTES, "[%s] %s: \"%.60s\" makes it %zu bytes long; allowed are %" PRIu64, s->section,
                 s->key, text, strlen(after), s->max);
        free(after);
        return CONFIG_REFUSED;
    }
    free(*field);
    *field = after;
    return 0;
}

/* -- settings by name -------------------------------------------------------------------------- */

static int refuse_section(const char *section, char why[CONFIG_WHY_BYTES])
{
    snprintf(why, CONFIG_WHY_BYTES,
             "there is no section [%.60s]; allowed are [daemon], [modules], [workers], [limits], [queue] and "
             "[users]", section);
    return CONFIG_REFUSED;
}

static int refuse_key(const char *section, const char *key, char why[CONFIG_WHY_BYTES])
{
    const struct setting *s;
    size_t n;

    n = (size_t)snprintf(why, CONFIG_WHY_BYTES, "[%.20s] has no setting \"%.60s\"; allowed are", section, key);
    for (s = config_settings; s->key && n < CONFIG_WHY_BYTES; s++)
        if (strcmp(s->section, section) == 0)
            n += (size_t)snprintf(why + n, CONFIG_WHY_BYTES - n, " %s", s->key);
    return CONFIG_REFUSED;
}

static bool has_control(const char *s)
{
    for (; *s; s++)
        if (((unsigned char)*s < ' ' && *s != '\t') || *s == 0x7f)
            return true;
    return false;
}

int config_set(struct config *c, const char *section, const char *key, const char *value, bool append,
               char why[CONFIG_WHY_BYTES])
{
    const struct setting *s;
    bool section_known = false;

    if (has_control(section) || has_control(key) || has_control(value)) {
        snprintf(why, CONFIG_WHY_BYTES, "there is a control character in it, which no setting allows");
        return CONFIG_REFUSED;
    }
    if (c->for_user && (strcmp(section, "daemon") == 0 || strcmp(section, "users") == 0)) {
        snprintf(why, CONFIG_WHY_BYTES, "[%s] is not for one user or group; allowed are [modules], [workers], [limits] and "
                 "[queue]", section);
        return CONFIG_REFUSED;
    }
    for (s = config_settings; s->key; s++) {
        if (strcmp(s->section, section) != 0)
            continue;
        section_known = true;
        if (strcmp(s->key, key) != 0)
            continue;
        switch (s->type) {
        case SETTING_NUMBER:
        case SETTING_BYTES:
        case SETTING_MEMORY:
            return set_number(c, s, value, why);
        case SETTING_LEVEL:
            return set_level(c, value, why);
        case SETTING_SWITCH:
            return set_switch(c, s, value, why);
        case SETTING_PATH:
        case SETTING_PATHS:
        case SETTING_NAMES:
        case SETTING_NAME:
            return set_string(c, s, value, append, why);
        }
    }
    return section_known ? refuse_key(section, key, why) : refuse_section(section, why);
}

int config_init(struct config *c)
{
    const struct setting *s;
    char why[CONFIG_WHY_BYTES];
    int r;

    *c = (struct config){ .ready_fd = -1, .front_fd = -1, .cgroup_fd = -1 };
    for (s = config_settings; s->key; s++) {
        r = config_set(c, s->section, s->key, s->initial, false, why);
        if (r < 0)
            return r;
    }
    return 0;
}

void config_deinit(struct config *c)
{
    const struct setting *s;

    for (s = config_settings; s->key; s++) {
        if (s->type >= SETTING_PATH) {
            free(*string_at(c, s));
            *string_at(c, s) = NULL;
        }
    }
}

/* A list goes out an element a line: lines of a file are short. */
static void dump_string(const struct setting *s, const char *value, FILE *out)
{
    const char *separators = s->type == SETTING_PATHS ? ":" : s->type == SETTING_NAMES ? " \t" : "";
    size_t n;

    do {
        n = *separators ? strcspn(value, separators) : strlen(value);
        fprintf(out, "%s=%.*s\n", s->key, (int)n, value);
        value += n;
        value += strspn(value, separators);
    } while (*value);
}

void config_dump(const struct config *c, FILE *out)
{
    const struct setting *s;
    const char *section = "";
    char text[32];

    for (s = config_settings; s->key; s++) {
        if (strcmp(section, s->section) != 0) {
            fprintf(out, "%s[%s]\n", *section ? "\n" : "", s->section);
            section = s->section;
        }
        if (s->type >= SETTING_PATH)
            dump_string(s, *string_at(c, s), out);
        else if (s->type == SETTING_LEVEL)
            fprintf(out, "%s=%s\n", s->key, log_level_name(c->log_level));
        else if (s->type == SETTING_SWITCH)
            fprintf(out, "%s=%s\n", s->key, switch_words[*number_at(c, s)]);
        else
            fprintf(out, "%s=%s\n", s->key, number_text(s, *number_at(c, s), text));
    }
}

/* -- what nobody said ---------------------------------------------------------------------------- */

static int find_dir(struct config *c, char why[CONFIG_WHY_BYTES])
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    AUTO_MEM char *dir = NULL;

    if (runtime && *runtime) {
        if (asprintf(&dir, "%s/ptools", runtime) < 0)
            return -ENOMEM;
        return config_set(c, "daemon", "dir", dir, false, why);
    }
    if (geteuid() == 0)
        return config_set(c, "daemon", "dir", "/run/ptools", false, why);
    snprintf(why, CONFIG_WHY_BYTES, "there is no directory for the sockets: $XDG_RUNTIME_DIR is not set; give --dir");
    return CONFIG_REFUSED;
}

/* Beside the sockets, if it was said where they are; else where the system keeps such things. */
static int find_state_dir(struct config *c, bool dir_given, char why[CONFIG_WHY_BYTES])
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    AUTO_MEM char *dir = NULL;
    int r;

    c->state_implied = true;
    if (dir_given)
        r = asprintf(&dir, "%s/state", c->dir);
    else if (state && *state == '/')
        r = asprintf(&dir, "%s/ptools", state);
    else if (geteuid() == 0)
        r = asprintf(&dir, "/var/lib/ptools");
    else if (home && *home == '/')
        r = asprintf(&dir, "%s/.local/state/ptools", home);
    else if (c->journal == SWITCH_NO)
        return 0;
    else {
        snprintf(
            why, CONFIG_WHY_BYTES,
            "there is no directory for the journal: neither $XDG_STATE_HOME nor $HOME is set; give --state-dir, or "
            "-o daemon.journal=no");
        return CONFIG_REFUSED;
    }
    if (r < 0) {
        dir = NULL;
        return -ENOMEM;
    }
    return config_set(c, "daemon", "state_dir", dir, false, why);
}

/* With the journal, whose tasks it is of; without one, it is of no use longer than the sockets are. */
static int find_output_dir(struct config *c, char why[CONFIG_WHY_BYTES])
{
    AUTO_MEM char *dir = NULL;

    if (asprintf(&dir, "%s/output", c->journal && *c->state_dir ? c->state_dir : c->dir) < 0) {
        dir = NULL;
        return -ENOMEM;
    }
    return config_set(c, "daemon", "output_dir", dir, false, why);
}

/* $PTOOLS_MODULE_PATH, the user's, the installed ones. */
static int find_modules(struct config *c, char why[CONFIG_WHY_BYTES])
{
    const char *own = getenv("PTOOLS_MODULE_PATH"), *home = getenv("HOME");
    AUTO_MEM char *users = NULL;
    int r = 0;

    if (own && *own)
        r = config_set(c, "modules", "path", own, true, why);
    if (r == 0 && home && *home == '/') {
        if (asprintf(&users, "%s/.local/lib/ptools/modules", home) < 0)
            return -ENOMEM;
        r = config_set(c, "modules", "path", users, true, why);
    }
    if (r == 0)
        r = config_set(c, "modules", "path", PTOOLS_MODULE_DIR, true, why);
    return r;
}

static uint64_t processors(void)
{
    cpu_set_t set;
    long online;

    if (sched_getaffinity(0, sizeof set, &set) == 0)
        return (uint64_t)CPU_COUNT(&set);
    online = sysconf(_SC_NPROCESSORS_ONLN); /* more of them than a cpu_set_t holds */
    return online > 0 ? (uint64_t)online : 1;
}

int config_finish(struct config *c, char why[CONFIG_WHY_BYTES])
{
    const bool dir_given = *c->dir;
    int r = 0;

    if (c->journal == SWITCH_AUTO)
        c->journal = c->private_mode ? SWITCH_NO : SWITCH_YES;
    if (!dir_given)
        r = find_dir(c, why);
    if (r == 0 && !*c->state_dir)
        r = find_state_dir(c, dir_given, why);
    if (r == 0 && !*c->output_dir)
        r = find_output_dir(c, why);
    if (r == 0 && !*c->module_path)
        r = find_modules(c, why);
    if (r)
        return r;
    if (c->workers == 0)
        c->workers = MIN(processors(), c->workers_max);
    if (c->workers > c->workers_max) {
        snprintf(why, CONFIG_WHY_BYTES,
                 "[workers] count is %" PRIu64 ", but [limits] workers_max is %" PRIu64 ": it must not be less",
                 c->workers, c->workers_max);
        return CONFIG_REFUSED;
    }
    if (c->client_output_max < c->message_max) {
        snprintf(why, CONFIG_WHY_BYTES,
                 "[limits] client_output_max is %" PRIu64 ", but message_max is %" PRIu64 ": it must not be less",
                 c->client_output_max, c->message_max);
        return CONFIG_REFUSED;
    }
    if (c->user_bytes_max / 2 < c->message_max) { /* with what is behind a message it is charged in the door */
        snprintf(why, CONFIG_WHY_BYTES,
                 "[limits] user_bytes_max is %" PRIu64 ", but message_max is %" PRIu64
                 ": it must be at least twice as much",
                 c->user_bytes_max, c->message_max);
        return CONFIG_REFUSED;
    }
    return 0;
}
