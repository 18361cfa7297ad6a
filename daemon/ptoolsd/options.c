/* SPDX-License-Identifier: MIT */
/*
 * options -- the command line of ptoolsd, and the order in which settings are found.
 *
 * Later ones win: defaults, file, drop-ins, what is said of the user and the user's groups, $PTOOLS_DIR, command line. The command line is read wholly
 * before anything is done, so --help and a wrong flag never depend on a file. Flags that are short for
 * a setting, and -o, go through config_set() like a line of a file: one rule for a value, wherever it stands.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/ptoolsd/config.h"
#include "daemon/ptoolsd/journal.h"
#include "proto/util.h"

enum run_action {
    ACTION_RUN, ACTION_CHECK, ACTION_DUMP, ACTION_CHECK_JOURNAL, ACTION_EXPORT_JOURNAL, ACTION_HELP, ACTION_VERSION
};

struct override {
    const char *flag, *section, *key, *value; /* parts of argv or of own, or static */
    char *own;                                /* NULL, or to be freed */
};

struct command_line {
    enum run_action action;
    const char *file; /* NULL: the default */
    struct override *overrides;
    size_t n;
};

enum {
    FLAG_CONFIG = 256, FLAG_READY_FD, FLAG_PRIVATE, FLAG_CHECK, FLAG_DUMP, FLAG_CHECK_JOURNAL, FLAG_EXPORT_JOURNAL,
    FLAG_HELP, FLAG_VERSION, FLAG_FRONT_FD, FLAG_CGROUP_FD, FLAG_SHORT
};

/* clang-format off */
static const struct option flags[] = {
    { "config", required_argument, NULL, FLAG_CONFIG },
    { "ready-fd", required_argument, NULL, FLAG_READY_FD },
    { "private", no_argument, NULL, FLAG_PRIVATE },
    { "check-config", no_argument, NULL, FLAG_CHECK },
    { "dump-config", no_argument, NULL, FLAG_DUMP },
    { "check-journal", no_argument, NULL, FLAG_CHECK_JOURNAL },
    { "export-journal", no_argument, NULL, FLAG_EXPORT_JOURNAL },
    { "front-fd", required_argument, NULL, FLAG_FRONT_FD },
    { "cgroup-fd", required_argument, NULL, FLAG_CGROUP_FD },
    { "help", no_argument, NULL, FLAG_HELP },
    { "version", no_argument, NULL, FLAG_VERSION },
    { "dir", required_argument, NULL, FLAG_SHORT },
    { "workers", required_argument, NULL, FLAG_SHORT + 1 },
    { "module-path", required_argument, NULL, FLAG_SHORT + 2 },
    { "preload", required_argument, NULL, FLAG_SHORT + 3 },
    { "log-level", required_argument, NULL, FLAG_SHORT + 4 },
    { "state-dir", required_argument, NULL, FLAG_SHORT + 5 },
    { NULL }
};
static const struct override short_for[] = {
    { "--dir", "daemon", "dir" },
    { "--workers", "workers", "count" },
    { "--module-path", "modules", "path" },
    { "--preload", "modules", "preload" },
    { "--log-level", "daemon", "log_level" },
    { "--state-dir", "daemon", "state_dir" },
};

static const char usage[] = "usage: ptoolsd [--dir DIR] [--workers N] [--config FILE] [-o SECTION.KEY=VALUE]...\n"
                            "`ptoolsd --help` lists all flags and settings.\n";

static const char help[] =
    "\n"
    "Runs functions of modules in worker processes, for clients of its socket.\n"
    "Stays in the foreground; SIGTERM lets running tasks end, a second one does not.\n"
    "\n"
    "  --dir DIR            directory of the sockets [$PTOOLS_DIR, $XDG_RUNTIME_DIR/ptools,\n"
    "                       or /run/ptools for root without the latter]\n"
    "  --state-dir DIR      directory of the journal, which keeps queued tasks over restarts\n"
    "                       [DIR/state with --dir DIR, else $XDG_STATE_HOME/ptools, or\n"
    "                       /var/lib/ptools for root, else ~/.local/state/ptools]\n"
    "  --workers N          workers at start [one a processor]\n"
    "  --module-path DIRS   directories of modules, ':' between [$PTOOLS_MODULE_PATH,\n"
    "                       ~/.local/lib/ptools/modules, and the installed ones]\n"
    "  --preload NAMES      modules to load at start, spaces between\n"
    "  --log-level LEVEL    error, warning, info or debug\n"
    "  --config FILE        settings; then all *.conf of the directory FILE.d [for root\n"
    "                       " PTOOLS_CONFIG_FILE ", else\n"
    "                       $XDG_CONFIG_HOME/ptools/ptoolsd.conf or the same in ~/.config]\n"
    "  -o SECTION.KEY=VALUE any setting of the file\n"
    "  --ready-fd FD        write READY and a newline to FD once it serves, then close it\n"
    "  --private            go to the background once it serves, end with the last client\n"
    "  --front-fd FD        be the daemon of one user, whose clients come through FD; given by\n"
    "                       ptools-spawn\n"
    "  --cgroup-fd FD       directory of the control group of that daemon, the same\n"
    "  --check-config       say whether the settings are valid, and end\n"
    "  --dump-config        print the settings that hold, in the format of the file, and end\n"
    "  --check-journal      say what is in the journal and whether all of it is sound, and end;\n"
    "                       nothing is changed\n"
    "  --export-journal     print all tasks of the journal that can be read, a line of JSON each\n"
    "  --help, --version\n"
    "\n"
    "Exit status: 0 ended as asked, 1 trouble, 2 wrong flags, 65 the journal is damaged,\n"
    "74 the journal could not be written, 78 wrong settings.\n"
    "\n"
    "Settings, with their defaults:\n";
/* clang-format on */

static void print_help(FILE *out)
{
    const struct setting *s;
    const char *section = "";

    fprintf(out, "%s%s", usage, help);
    for (s = config_settings; s->key; s++) {
        if (strcmp(section, s->section) != 0)
            fprintf(out, "\n  [%s]\n", s->section);
        section = s->section;
        fprintf(out, "  %s%s%s\n      %s%s%s\n", s->key, *s->initial ? "=" : "", s->initial, s->help,
                s->zero ? "; 0: " : "", s->zero ? s->zero : "");
    }
}

/* -- reading the command line ------------------------------------------------------------------- */

static int misuse(FILE *err, const char *what, const char *text)
{
    fprintf(err, "ptoolsd: %s: %s\n%s", text, what, usage);
    return CONFIG_EXIT_USAGE;
}

/* SECTION.KEY=VALUE. */
static int add_setting(struct command_line *line, const char *text, FILE *err)
{
    char *own = strdup(text), *equals = own ? strchr(own, '=') : NULL, *dot = own ? strchr(own, '.') : NULL;

    if (!dot || !equals || dot > equals) {
        free(own);
        return misuse(err, "-o takes SECTION.KEY=VALUE", text);
    }
    *dot = *equals = '\0';
    line->overrides[line->n++] = (struct override){ "-o", own, dot + 1, equals + 1, own };
    return CONFIG_RUN;
}

static int take_fd(const struct config *c, int *ret, const char *flag, const char *text, FILE *err)
{
    char what[64];
    char *end;
    unsigned long fd;

    errno = 0;
    fd = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || fd > INT_MAX ||
        (!c->again && fcntl((int)fd, F_GETFD) < 0))
        return snprintf(what, sizeof what, "%s takes the number of an open descriptor", flag), misuse(err, what, text);
    *ret = (int)fd;
    return CONFIG_RUN;
}

static int take_flag(struct config *c, struct command_line *line, int flag, FILE *err)
{
    switch (flag) {
    case FLAG_CONFIG:
        line->file = optarg;
        break;
    case FLAG_READY_FD:
        return take_fd(c, &c->ready_fd, "--ready-fd", optarg, err);
    case FLAG_FRONT_FD:
        return take_fd(c, &c->front_fd, "--front-fd", optarg, err);
    case FLAG_CGROUP_FD:
        return take_fd(c, &c->cgroup_fd, "--cgroup-fd", optarg, err);
    case FLAG_PRIVATE:
        c->private_mode = true;
        break;
    case FLAG_CHECK:
        line->action = ACTION_CHECK;
        break;
    case FLAG_DUMP:
        line->action = ACTION_DUMP;
        break;
    case FLAG_CHECK_JOURNAL:
        line->action = ACTION_CHECK_JOURNAL;
        break;
    case FLAG_EXPORT_JOURNAL:
        line->action = ACTION_EXPORT_JOURNAL;
        break;
    case FLAG_HELP:
        line->action = ACTION_HELP;
        break;
    case FLAG_VERSION:
        line->action = ACTION_VERSION;
        break;
    case 'o':
        return add_setting(line, optarg, err);
    default:
        line->overrides[line->n] = short_for[flag - FLAG_SHORT];
        line->overrides[line->n++].value = optarg;
    }
    return CONFIG_RUN;
}

static int command_line_read(struct config *c, struct command_line *line, int argc, char *argv[], FILE *err)
{
    char bad[] = "-?";
    int flag, r;

    optind = 0; /* glibc: begin anew, whatever was read before */
    opterr = 0;
    while ((flag = getopt_long(argc, argv, "+:o:", flags, NULL)) != -1) {
        if (flag == ':')
            return misuse(err, "a value is missing", argv[optind - 1]);
        if (flag == '?') {
            bad[1] = (char)optopt;
            return misuse(err, "there is no such flag, or it takes no value",
                          optopt > 0 && optopt < 256 ? bad : argv[optind - 1]);
        }
        r = take_flag(c, line, flag, err);
        if (r != CONFIG_RUN)
            return r;
        if (line->action == ACTION_HELP || line->action == ACTION_VERSION)
            return CONFIG_RUN;
    }
    if (optind < argc)
        return misuse(err, "only flags are allowed", argv[optind]);
    return CONFIG_RUN;
}

/* -- all sources --------------------------------------------------------------------------------- */

static int read_file(struct config *c, const char *file, FILE *err)
{
    const char *config_home = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    AUTO_MEM char *own = NULL;
    int r;

    if (file)
        return config_read(c, file, true, err);
    if (geteuid() == 0)
        return config_read(c, PTOOLS_CONFIG_FILE, false, err);
    if (config_home && *config_home == '/')
        r = asprintf(&own, "%s/ptools/ptoolsd.conf", config_home);
    else if (home && *home == '/')
        r = asprintf(&own, "%s/.config/ptools/ptoolsd.conf", home);
    else
        return 0;
    if (r < 0)
        return -ENOMEM;
    return config_read(c, own, false, err);
}

static int set_from(struct config *c, const struct override *o, FILE *err)
{
    char why[CONFIG_WHY_BYTES];
    int r = config_set(c, o->section, o->key, o->value, false, why);

    if (r > 0)
        fprintf(err, "%s: %s\n", o->flag, why);
    return r;
}

/* All complaints go to err; 0, CONFIG_REFUSED or -errno. */
static int read_all(struct config *c, const struct command_line *line, FILE *err)
{
    const char *dir = getenv("PTOOLS_DIR");
    char why[CONFIG_WHY_BYTES];
    int r, worst;
    size_t i;

    worst = read_file(c, line->file, err);
    if (worst >= 0 && c->front_fd >= 0 && line->file) {
        r = config_read_of_user(c, line->file, err);
        worst = r ? r : worst;
    }
    if (worst >= 0 && dir && *dir) {
        r = set_from(c, &(struct override){ "$PTOOLS_DIR", "daemon", "dir", dir }, err);
        worst = r ? r : worst;
    }
    for (i = 0; worst >= 0 && i < line->n; i++) {
        r = set_from(c, &line->overrides[i], err);
        worst = r ? r : worst;
    }
    if (worst)
        return worst;
    r = config_finish(c, why);
    if (r > 0)
        fprintf(err, "ptoolsd: %s\n", why);
    return r;
}

static int act(struct config *c, const struct command_line *line, FILE *out, FILE *err)
{
    int r;

    if (line->action == ACTION_HELP) {
        print_help(out);
        return EXIT_SUCCESS;
    }
    if (line->action == ACTION_VERSION) {
        fprintf(out, "ptoolsd %s\n", PTOOLS_VERSION);
        return EXIT_SUCCESS;
    }
    r = read_all(c, line, err);
    if (r < 0)
        fprintf(err, "ptoolsd: %s\n", strerror(-r));
    if (r)
        return r < 0 ? EXIT_FAILURE : CONFIG_EXIT_BAD;
    if (line->action == ACTION_RUN)
        return CONFIG_RUN;
    if (line->action == ACTION_CHECK_JOURNAL)
        return journal_check(c->state_dir, out, err);
    if (line->action == ACTION_EXPORT_JOURNAL)
        return journal_export(c->state_dir, out, err);
    if (line->action == ACTION_DUMP)
        config_dump(c, out);
    else
        fprintf(out, "configuration is valid\n");
    return EXIT_SUCCESS;
}

int config_from_command_line(struct config *c, int argc, char *argv[], FILE *out, FILE *err)
{
    struct command_line line = { .action = ACTION_RUN };
    AUTO_MEM struct override *overrides = calloc((size_t)argc + 1, sizeof *overrides);
    int status;

    if (!overrides) {
        fprintf(err, "ptoolsd: %s\n", strerror(ENOMEM));
        return EXIT_FAILURE;
    }
    line.overrides = overrides;
    status = command_line_read(c, &line, argc, argv, err);
    if (status == CONFIG_RUN)
        status = act(c, &line, out, err);
    for (size_t i = 0; i < line.n; i++)
        free(line.overrides[i].own);
    return status;
}
