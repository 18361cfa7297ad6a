/* SPDX-License-Identifier: MIT */
/*
 * config_file -- the settings of config.h from files.
 *
 * A file is systemd's kind of INI, read by inih: [section], key = value, comments after # or ; or
 * behind a value after a space and a ;. Nothing is passed over: an unknown section or key, a value of the
 * wrong kind or out of range is a complaint that names file and line and says what is allowed. A
 * complaint does not stop the reading: one run shows all of them (of lines that are no INI at all, the
 * first of each file). Leading space means nothing, so there are no continued lines; a list goes on where
 * its key is given again, and begins anew after an empty value.
 */
#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <ini.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/ptoolsd/config.h"
#include "proto/util.h"

enum { FILE_BYTES_MAX = 1 << 20 };

struct reading {
    struct config *config;
    const char *name;
    FILE *file;
    FILE *complaints;
    unsigned line;
    size_t bytes;
    bool refused;
    int error; /* -ENOMEM ends the reading */
};

static void complain(struct reading *r, unsigned line, const char *what)
{
    if (line)
        fprintf(r->complaints, "%s:%u: %s\n", r->name, line, what);
    else
        fprintf(r->complaints, "%s: %s\n", r->name, what);
    r->refused = true;
}

/* inih's way to a line: without the space it begins with; "" for one that must not be. */
static char *read_line(char *line, int size, void *arg)
{
    struct reading *r = arg;
    int c = EOF, n = 0;
    bool control = false, too_long = false;
    char why[100];

    if (r->error || r->bytes >= FILE_BYTES_MAX)
        return NULL;
    while (r->bytes < FILE_BYTES_MAX && (c = getc(r->file)) != EOF && c != '\n') {
        r->bytes++;
        control = control || (c < ' ' && c != '\t' && c != '\r') || c == 0x7f;
        if (n == 0 && (c == ' ' || c == '\t'))
            continue;
        if (n < size - 2)
            line[n++] = (char)c;
        else
            too_long = true;
    }
    if (c == EOF && n == 0)
        return NULL;
    r->bytes++;
    r->line++;
    if (too_long) {
        snprintf(why, sizeof why, "the line is longer than %d bytes; a list may be given in several lines", size - 2);
        complain(r, r->line, why);
    }
    if (control)
        complain(r, r->line, "there is a control character in the line");
    line[too_long || control ? 0 : n] = '\0';
    return line;
}

/* inih is told that all is well: what it returns is then about the form of lines alone. */
static int take_pair(void *arg, const char *section, const char *key, const char *value)
{
    struct reading *r = arg;
    char why[CONFIG_WHY_BYTES];
    int result;

    if (!*section) {
        complain(r, r->line, "a setting stands before the first [section]");
        return 1;
    }
    result = config_set(r->config, section, key, value, true, why);
    if (result > 0)
        complain(r, r->line, why);
    else if (result < 0)
        r->error = result;
    return 1;
}

/* Whether it is the machine that fails, for now, and not the settings that are wrong. */
static bool is_transient(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == EIO || error == EINTR;
}

/* What was said of it goes to complaints. */
static int not_read(const char *path, int error, FILE *complaints)
{
    fprintf(complaints, "%s: %s\n", path, strerror(error));
    return is_transient(error) ? -error : CONFIG_REFUSED;
}

int config_read_stream(struct config *c, FILE *file, const char *name, FILE *complaints)
{
    struct reading r = { .config = c, .name = name, .file = file, .complaints = complaints };
    int malformed;

    errno = 0;
    malformed = ini_parse_stream(read_line, &r, take_pair, &r);
    if (r.error)
        return r.error;
    if (ferror(file))
        return not_read(name, errno, complaints);
    if (r.bytes >= FILE_BYTES_MAX)
        complain(&r, 0, "the file is larger than 1 MiB");
    if (malformed > 0)
        complain(&r, (unsigned)malformed, "the line is no [section], no key = value and no comment");
    else if (malformed < 0)
        return -ENOMEM;
    return r.refused ? CONFIG_REFUSED : 0;
}

static int read_one(struct config *c, const char *path, bool must_exist, FILE *complaints)
{
    FILE *file = fopen(path, "re");
    int r;

    if (!file && errno == ENOENT && !must_exist)
        return 0;
    if (!file)
        return not_read(path, errno, complaints);
    r = config_read_stream(c, file, path, complaints);
    fclose(file);
    return r;
}

static int is_drop_in(const struct dirent *entry)
{
    size_t n = strlen(entry->d_name);

    return n > 5 && entry->d_name[0] != '.' && strcmp(entry->d_name + n - 5, ".conf") == 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int read_drop_ins(struct config *c, const char *path, FILE *complaints)
{
    AUTO_MEM char *dir = NULL;
    struct dirent **entries;
    char *file;
    int i, n, r = 0, worst = 0;

    if (asprintf(&dir, "%s.d", path) < 0)
        return -ENOMEM;
    n = scandir(dir, &entries, is_drop_in, by_name);
    if (n < 0) {
        if (errno == ENOENT || errno == ENOTDIR)
            return 0;
        return not_read(dir, errno, complaints);
    }
    for (i = 0; i < n; i++) {
        if (r >= 0 && asprintf(&file, "%s/%s", dir, entries[i]->d_name) >= 0) {
            r = read_one(c, file, true, complaints);
            free(file);
        } else {
            r = -ENOMEM;
        }
        worst = r > 0 ? r : worst;
        free(entries[i]);
    }
    free(entries);
    return r < 0 ? r : worst;
}

/* BESIDE/dir/name.conf, if there is one. A name with a slash is no name of a file. */
static int read_beside(struct config *c, const char *beside, const char *dir, const char *name, FILE *complaints)
{
    const char *slash = strrchr(beside, '/');
    AUTO_MEM char *path = NULL;

    if (strchr(name, '/'))
        return 0;
    if (asprintf(&path, "%.*s/%s/%s.conf", slash ? (int)(slash - beside) : 1, slash ? beside : ".", dir, name) < 0) {
        path = NULL;
        return -ENOMEM;
    }
    return read_one(c, path, false, complaints);
}

/* The name of the group or, if group is absent, of the user. NULL: there is none; *ret_error is 0, or why nobody knows. */
static const char *name_of(const gid_t *group, int *ret_error)
{
    const struct group *g;
    const struct passwd *u;

    errno = 0;
    g = group ? getgrgid(*group) : NULL;
    u = group ? NULL : getpwuid(getuid());
    *ret_error = g || u || errno == ENOENT || errno == ESRCH ? 0 : errno;
    return g ? g->gr_name : u ? u->pw_name : NULL;
}

int config_read_of_user(struct config *c, const char *path, FILE *complaints)
{
    int n = getgroups(0, NULL), r = 0, worst = 0, error;
    AUTO_MEM gid_t *groups = n < 0 ? NULL : calloc((size_t)n + 1, sizeof *groups);

    if (!groups || getgroups(n, groups + 1) != n)
        return -ENOMEM;
    groups[0] = getgid();
    c->for_user = true;
    /* All groups, then the user. A limit that nobody can look up must not be passed over. */
    for (int i = 0; i <= n + 1 && r >= 0; i++) {
        const char *name;

        if (i > 0 && i <= n && groups[i] == groups[0])
            continue; /* it was the first */
        name = name_of(i <= n ? &groups[i] : NULL, &error);
        r = name ? read_beside(c, path, i <= n ? "groups.d" : "users.d", name, complaints) : 0;
        if (error) {
            fprintf(complaints, "the name of %s cannot be looked up: %s\n", i <= n ? "a group" : "the user", strerror(error));
            r = is_transient(error) ? -error : CONFIG_REFUSED;
        }
        worst = r > 0 ? r : worst;
    }
    c->for_user = false;
    return r < 0 ? r : worst;
}

int config_read(struct config *c, const char *path, bool must_exist, FILE *complaints)
{
    int r, r_drop_ins;

    r = read_one(c, path, must_exist, complaints);
    if (r < 0)
        return r;
    r_drop_ins = read_drop_ins(c, path, complaints);
    return r_drop_ins ? r_drop_ins : r;
}
