/* SPDX-License-Identifier: MIT */
/* check_ledger -- see check_ledger.h. One record for each key, in a hash table; lines, then tasks, then records. */
#include "tests/fault/check_ledger.h"

#include <check.h>
#include <dirent.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fault/ledger.h"

struct record {
    struct record *next; /* in its bucket */
    char key[LEDGER_KEY_MAX + 1];
    bool sent, accepted, ended;
    ptools_durability durability;
    uint32_t attempts;
    uint64_t id;            /* as a client was told, or as its jobs say; 0: neither */
    uint32_t n_x, n_y, crc; /* crc and state: as a client saw them */
    uint32_t last_attempt;  /* of its last X */
    ptools_queued_state state;
    bool known; /* by the daemon: as ... */
    uint64_t known_id;
    ptools_queued_state known_state;
    bool maybe_executed;
};

enum { BUCKETS = 1 << 17 };

struct check {
    const struct ledger_daemon *daemon;
    struct verdict *v;
    struct record **bucket;
};

__attribute__((__format__(__printf__, 3, 4))) static void broken(struct check *c, int invariant, const char *format,
                                                                 ...)
{
    size_t n = strlen(c->v->text), room = sizeof c->v->text - n;
    va_list ap;

    c->v->broken[invariant]++;
    c->v->all_broken++;
    if (room < 200) /* the first ones are enough */
        return;
    n += (size_t)snprintf(c->v->text + n, room, "I%d: ", invariant);
    va_start(ap, format);
    vsnprintf(c->v->text + n, 190, format, ap);
    va_end(ap);
    strcat(c->v->text, "\n");
}

/* The record of a key; a new one if there is none and add says so. */
static struct record *record_of(struct check *c, const char *key, bool add)
{
    uint32_t place = ledger_crc(key, strlen(key)) % BUCKETS;
    struct record *r = c->bucket[place];

    while (r && strcmp(r->key, key) != 0)
        r = r->next;
    if (r || !add)
        return r;
    r = calloc(1, sizeof *r);
    ck_assert_ptr_nonnull(r);
    snprintf(r->key, sizeof r->key, "%s", key);
    r->next = c->bucket[place];
    c->bucket[place] = r;
    c->v->keys++;
    return r;
}

/* What is volatile may be forgotten with its daemon, and then be another task; what is crashsafe, with the power. */
static bool may_vanish(const struct check *c, const struct record *r)
{
    return (c->daemon->has_died && r->durability == PTOOLS_VOLATILE) ||
           (c->daemon->lost_power && r->durability == PTOOLS_CRASHSAFE);
}

/* -- lines -------------------------------------------------------------------------------------------------- */

static bool line_of_client(struct check *c, const char *line)
{
    char key[LEDGER_KEY_MAX + 1], word[16];
    struct record *r;
    uint64_t id, t;
    uint32_t n;

    if (sscanf(line, "S %64s %15s %" SCNu32, key, word, &n) == 3 && ledger_class_of(word)) {
        r = record_of(c, key, true);
        r->sent = true;
        r->durability = ledger_class_of(word);
        r->attempts = n;
        c->v->sent++;
    } else if (sscanf(line, "A %64s %" SCNu64 " %15s %" SCNu64, key, &id, word, &t) == 4 && ledger_class_of(word)) {
        r = record_of(c, key, true);
        r->durability = ledger_class_of(word);
        if (r->accepted && r->id != id && !may_vanish(c, r))
            broken(c, 6, "%s was accepted as %" PRIu64 " and as %" PRIu64, key, r->id, id);
        r->accepted = true;
        r->id = id;
        c->v->accepted++;
    } else if (sscanf(line, "R %64s %15s %" SCNx32, key, word, &n) == 3 && ledger_state_of(word)) {
        r = record_of(c, key, true);
        if (r->ended && (r->state != ledger_state_of(word) || r->crc != n))
            broken(c, 5, "%s ended as %s (%08" PRIx32 ") and as %s (%08" PRIx32 ")", key, ledger_state(r->state),
                   r->crc, word, n);
        r->ended = true;
        r->state = ledger_state_of(word);
        r->crc = n;
        c->v->ended++;
    } else {
        return false;
    }
    return true;
}

static bool line_of_job(struct check *c, const char *line)
{
    char what, key[LEDGER_KEY_MAX + 1];
    struct record *r;
    uint32_t attempt;
    uint64_t id;
    int pid;

    if (sscanf(line, "%c %64s %" SCNu32 " %d %" SCNu64, &what, key, &attempt, &pid, &id) != 5 || !strchr("XYC", what))
        return false;
    r = record_of(c, key, false);
    if (!r) {
        broken(c, 2, "a job ran for %s, which nobody sent", key);
        r = record_of(c, key, true);
    }
    if (r->id != 0 && r->id != id && !may_vanish(c, r))
        broken(c, 6, "%s is task %" PRIu64 ", and a job ran for it as %" PRIu64, key, r->id, id);
    r->id = r->id ? r->id : id;
    if (what == 'C') {
        broken(c, 4, "%s: attempt %" PRIu32 " began while another ran", key, attempt);
    } else if (what == 'X') {
        r->n_x++;
        r->last_attempt = attempt;
        c->v->begun++;
    } else {
        if (attempt != r->last_attempt || r->n_y >= r->n_x)
            broken(c, 4, "%s: attempt %" PRIu32 " ended, and attempt %" PRIu32 " was the last to begin", key, attempt,
                   r->last_attempt);
        r->n_y++;
        c->v->finished++;
    }
    return true;
}

static void read_file(struct check *c, const char *dir, const char *name, bool (*line_ok)(struct check *, const char *))
{
    char path[512], line[256];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    f = fopen(path, "re");
    ck_assert_msg(f, "cannot open %s", path);
    while (fgets(line, sizeof line, f)) {
        size_t n = strcspn(line, "\n");
        bool whole = line[n] == '\n';

        line[n] = '\0';
        if (!whole || !line_ok(c, line))
            broken(c, 0, "%s has the line '%.60s'", name, line);
    }
    fclose(f);
}

/* Clients first: what they sent is what jobs may run for. */
static void read_files(struct check *c, const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *entry;
    bool jobs = false;

    ck_assert_msg(d, "cannot open %s", dir);
    while ((entry = readdir(d))) {
        if (strncmp(entry->d_name, "client-", 7) == 0)
            read_file(c, dir, entry->d_name, line_of_client);
        jobs = jobs || strcmp(entry->d_name, "jobs") == 0;
    }
    closedir(d);
    if (jobs)
        read_file(c, dir, "jobs", line_of_job);
}

/* -- tasks -------------------------------------------------------------------------------------------------- */

static void task_of_daemon(struct check *c, const ptools_queued_info *info)
{
    char key[LEDGER_KEY_MAX + 1];
    struct record *r;

    c->v->known++;
    snprintf(key, sizeof key, "%.*s", (int)info->key_bytes, info->key ? (const char *)info->key : "");
    r = record_of(c, key, false);
    if (!r || !r->sent) {
        broken(c, 2, "the daemon knows task %" PRIu64 " of key '%s', which nobody sent", info->id, key);
        return;
    }
    if (r->known)
        broken(c, 6, "%s is task %" PRIu64 " and task %" PRIu64, key, r->known_id, info->id);
    else if (r->id != 0 && r->id != info->id && !may_vanish(c, r))
        broken(c, 6, "%s is task %" PRIu64 " to its client and task %" PRIu64 " to the daemon", key, r->id, info->id);
    r->known = true;
    r->known_id = info->id;
    r->known_state = info->state;
    r->maybe_executed = info->maybe_executed;
}

static void check_record(struct check *c, const struct record *r)
{
    const char *says = r->known ? ledger_state(r->known_state) : NULL;
    bool begun_again = may_vanish(c, r); /* as another task: then the marks of two are under this key */

    if (r->accepted && !r->known && !may_vanish(c, r))
        broken(c, 1, "%s (task %" PRIu64 ", %s) is lost", r->key, r->id, ledger_class(r->durability));
    if (r->known && !says)
        broken(c, 1, "%s (task %" PRIu64 ") is in no state", r->key, r->known_id);
    if (says && c->daemon->all_ended && r->known_state < PTOOLS_QUEUED_DONE)
        broken(c, 1, "%s (task %" PRIu64 ") is still %s", r->key, r->known_id, says);
    if (r->n_x > r->attempts && !begun_again)
        broken(c, 3, "%s was begun %" PRIu32 " times, with %" PRIu32 " attempts", r->key, r->n_x, r->attempts);
    if (r->n_y == 0 && ((says && r->known_state == PTOOLS_QUEUED_DONE) || (r->ended && r->state == PTOOLS_QUEUED_DONE)))
        broken(c, 3, "%s is done and was never finished", r->key);
    if (says && (r->known_state == PTOOLS_QUEUED_FAILED || r->known_state == PTOOLS_QUEUED_LOST) && r->n_x > 0 &&
        !r->maybe_executed && !begun_again)
        broken(c, 3, "%s was begun, is %s, and is said not to have been executed", r->key, says);
    if (r->ended && says && r->state != r->known_state && !begun_again)
        broken(c, 5, "%s ended as %s to its client and is %s to the daemon", r->key, ledger_state(r->state), says);
}

size_t check_ledger(const char *dir, const struct ledger_daemon *daemon, struct verdict *ret)
{
    struct check c = { daemon, ret, calloc(BUCKETS, sizeof *c.bucket) };
    const ptools_queued_info *info;

    ck_assert_ptr_nonnull(c.bucket);
    memset(ret, 0, sizeof *ret);
    read_files(&c, dir);
    for (size_t i = 0; (info = daemon->at(daemon->arg, i)); i++)
        task_of_daemon(&c, info);
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct record *r = c.bucket[i], *next; r; r = next) {
            next = r->next;
            check_record(&c, r);
            free(r);
        }
    }
    free(c.bucket);
    return ret->all_broken;
}
