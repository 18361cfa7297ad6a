/* SPDX-License-Identifier: MIT */
/*
 * config -- the settings of ptoolsd, from defaults, file, drop-ins and command line. See config.c.
 *
 * Every setting is a row of config_settings[]: the parser, --dump-config, packaging/ptoolsd.conf and
 * the manual page say what the row says. A field has the name and the unit of its key.
 */
#ifndef PTOOLSD_CONFIG_H
#define PTOOLSD_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "daemon/ptoolsd/log.h"

enum { CONFIG_EXIT_USAGE = 2, CONFIG_EXIT_BAD = 78 }; /* EX_CONFIG of sysexits.h */
enum { CONFIG_WHY_BYTES = 512 };

struct config {
    /* [daemon] */
    char *dir;              /* absolute; socket paths in it fit into a socket address */
    enum log_level log_level;
    char *worker_program;   /* absolute */
    char *state_dir;        /* absolute; "" only without a journal */
    uint64_t journal;       /* enum config_switch; never SWITCH_AUTO once config_finish() has run */
    bool state_implied;     /* nobody said state_dir: it was found */
    char *output_dir;       /* absolute */
    uint64_t output_max;    /* bytes */
    /* [modules] */
    char *module_path;      /* absolute directories, ':' between */
    char *preload;          /* module names, a space between; "" if none */
    /* [workers] */
    uint64_t workers;       /* never 0 once config_finish() has run */
    uint64_t memory_max;    /* bytes; 0: no limit */
    uint64_t cgroup;        /* enum setting_switch: whether each has a control group ... */
    uint64_t pids_max;      /* ... and these limits; 0: none */
    uint64_t cpu_max;       /* percent of a processor */
    uint64_t recycle_tasks; /* this and the next two: 0: never */
    uint64_t recycle_memory;
    uint64_t recycle_descriptors;
    uint64_t kill_grace_ms;
    uint64_t ahead;         /* tasks a worker may hold; 1: none ahead */
    uint64_t nice;
    /* [limits] */
    uint64_t message_max, client_output_max, user_bytes_max; /* bytes */
    uint64_t clients_max, user_clients_max;
    uint64_t handshake_ms, stall_ms, drain_ms;
    uint64_t user_tasks_max, user_sets_max, modules_max, workers_max, stand_ins_max;
    uint64_t user_arrays_max, user_stasks_max;
    uint64_t user_shm_max, shm_max, large; /* bytes; 0: no limit, never */
    /* [queue] */
    uint64_t user_queued_max, user_queue_bytes_max, user_kept_max, user_kept_bytes_max, result_max;
    uint64_t keep_s, keep_volatile_s;
    uint64_t breaker_kills, breaker_window_s, breaker_wait_s, breaker_wait_max_s;
    uint64_t ageing;        /* points an hour */
    /* [users] */
    uint64_t users_apart, users_stay; /* enum config_switch */
    uint64_t users_idle_s, users_min_uid, users_max;
    char *users_spawn;      /* absolute */
    char *users_admins;     /* a group; "" for none */
    /* the command line alone */
    bool private_mode;      /* end with the last client */
    int ready_fd;           /* -1: none */
    bool for_user;          /* what is being read is about one user, or a group */
    bool again;             /* the settings are read again: descriptors that were for the start are used up */
    int front_fd;           /* -1: this is not the daemon of one user, see front_link.c */
    int cgroup_fd;          /* of the control group of such a daemon; -1: it was given none */
};

enum config_switch { SWITCH_NO, SWITCH_YES, SWITCH_AUTO };
enum setting_type {
    SETTING_NUMBER,
    SETTING_BYTES,  /* 128M: a number, K, M or G after it for powers of 1024 */
    SETTING_MEMORY, /* bytes, or a percentage of the machine's memory */
    SETTING_LEVEL,  /* error, warning, info, debug */
    SETTING_SWITCH, /* no, yes, and auto if that is max */
    SETTING_PATH,   /* absolute */
    SETTING_PATHS,  /* absolute, ':' between; given again: appended */
    SETTING_NAMES,  /* of modules, spaces between; given again: appended */
    SETTING_NAME,   /* one, of a group, or nothing */
};
struct setting {
    const char *section, *key;
    enum setting_type type;
    size_t offset;       /* in struct config */
    uint64_t min, max;   /* of numbers, as stored; max: bytes of a path or of a whole list */
    const char *zero;    /* what 0 means, where it is allowed below min; else NULL */
    const char *initial; /* as in a file; "": found out at start, or, for preload, none */
    const char *help;    /* one line */
};
extern const struct setting config_settings[]; /* ends with a row without key */

/* Defaults. 0 or -ENOMEM; may be deinited in both cases. */
int config_init(struct config *c);
void config_deinit(struct config *c);

/* One setting, as a file gives it. A list is appended to if append, and emptied by an empty value.
 * 0; CONFIG_REFUSED: nothing changed, why tells what was wrong and what is allowed; -ENOMEM. */
enum { CONFIG_REFUSED = 1 };
int config_set(struct config *c, const char *section, const char *key, const char *value, bool append,
               char why[CONFIG_WHY_BYTES]);
/* A file, then all *.conf of the directory FILE.d in the order of their names. All that is wrong is written
 * to complaints, a line each: "FILE:LINE: what, and what is allowed". 0, CONFIG_REFUSED, or -errno: the machine lacks
 * something (memory, descriptors, a disk that can be read). */
int config_read(struct config *c, const char *path, bool must_exist, FILE *complaints);
/* What the administrator says of this user, beside the file: FILE's directory/groups.d/GROUP.conf for each group of this
 * process, then users.d/USER.conf. They have the same format; sections daemon and users are not theirs. */
int config_read_of_user(struct config *c, const char *path, FILE *complaints);
/* The same of one open file without drop-ins; name is for the complaints. */
int config_read_stream(struct config *c, FILE *file, const char *name, FILE *complaints);
/* Finds out what was not said (directory, module path, processors) and checks what hangs together. */
int config_finish(struct config *c, char why[CONFIG_WHY_BYTES]);
/* All settings in the format of the file; read again they give the same. */
void config_dump(const struct config *c, FILE *out);

/* Everything, for main(): the command line, and the file that it or the default names. CONFIG_RUN: go on;
 * else the exit status, and all is said: help, version, dump on out, what is wrong on err. */
enum { CONFIG_RUN = -1 };
int config_from_command_line(struct config *c, int argc, char *argv[], FILE *out, FILE *err);

#endif
