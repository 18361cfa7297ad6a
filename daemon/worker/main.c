/* SPDX-License-Identifier: MIT */
/*
 * ptools-worker -- started by ptoolsd, never by hand: descriptor 3 is the link to it (proto/link.h).
 *
 * Reads the command line, makes the process what template and workers need (own process group, end with
 * the daemon, malloc that keeps its memory), and becomes the template.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/worker/log.h"
#include "daemon/worker/template.h"
#include "proto/limits.h"
#include "proto/output.h"

enum { LINK_FD = 3, FENCE_FD, EXIT_USAGE = 2, LOAD_MAX_MS = 10000 };

enum {
    OPT_TEMPLATE = 1, OPT_PARENT, OPT_MODULE_PATH, OPT_LOG_LEVEL, OPT_MEMORY_MAX, OPT_MESSAGE_MAX, OPT_LOAD_MAX_MS,
    OPT_FENCE, OPT_OUTPUT_DIR, OPT_OUTPUT_MAX, OPT_NICE
};

static const struct option options[] = {
    { "template", no_argument, NULL, OPT_TEMPLATE },
    { "parent", required_argument, NULL, OPT_PARENT },           /* pid of the daemon */
    { "module-path", required_argument, NULL, OPT_MODULE_PATH }, /* absolute directories, ':' between */
    { "log-level", required_argument, NULL, OPT_LOG_LEVEL },     /* error, warning, info, debug */
    { "memory-max", required_argument, NULL, OPT_MEMORY_MAX },   /* bytes a worker may have; 0: no limit */
    { "message-max", required_argument, NULL, OPT_MESSAGE_MAX }, /* bytes of a message to a client */
    { "load-max-ms", required_argument, NULL, OPT_LOAD_MAX_MS }, /* a module may take to load */
    { "output-dir", required_argument, NULL, OPT_OUTPUT_DIR },   /* of commands */
    { "output-max", required_argument, NULL, OPT_OUTPUT_MAX },   /* bytes of one stream of a command */
    { "nice", required_argument, NULL, OPT_NICE },               /* 0 to 19 more than the daemon's */
    { "fence", no_argument, NULL, OPT_FENCE },                   /* descriptor 4 is the daemon's fence */
    { 0 }
};

struct arguments {
    bool template;
    uint64_t parent, load_max_ms;
    struct template_options template_options;
};

static bool parse_number(const char *text, uint64_t *ret)
{
    unsigned long long v;
    char *end;

    errno = 0;
    v = strtoull(text, &end, 10);
    if (errno || end == text || *end || text[0] < '0' || text[0] > '9')
        return false;
    *ret = v;
    return true;
}

static bool parse_option(int which, const char *value, struct arguments *ret)
{
    enum log_level level;
    uint64_t more;

    switch (which) {
    case OPT_TEMPLATE:
        ret->template = true;
        return true;
    case OPT_PARENT:
        return parse_number(value, &ret->parent);
    case OPT_MODULE_PATH:
        ret->template_options.module_path = value;
        return true;
    case OPT_LOG_LEVEL:
        if (!log_level_parse(value, &level))
            return false;
        log_set_level(level);
        return true;
    case OPT_MEMORY_MAX:
        return parse_number(value, &ret->template_options.worker.memory_max_bytes);
    case OPT_MESSAGE_MAX:
        return parse_number(value, &ret->template_options.worker.message_max_bytes);
    case OPT_LOAD_MAX_MS:
        return parse_number(value, &ret->load_max_ms) && ret->load_max_ms <= 3600000;
    case OPT_OUTPUT_DIR:
        ret->template_options.worker.output_dir = value;
        return value[0] == '/' && strlen(value) < OUTPUT_DIR_BYTES_MAX;
    case OPT_OUTPUT_MAX:
        return parse_number(value, &ret->template_options.worker.output_max_bytes);
    case OPT_NICE:
        if (!parse_number(value, &more) || more > 19)
            return false;
        errno = 0;
        return nice((int)more) != -1 || errno == 0; /* what is forked from here on has it, too */
    case OPT_FENCE:
        ret->template_options.worker.fence_fd = FENCE_FD;
        return fcntl(FENCE_FD, F_SETFD, FD_CLOEXEC) == 0;
    default:
        return false;
    }
}

static bool is_template_link(int fd)
{
    socklen_t n = sizeof(int);
    int type;

    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0 && type == SOCK_SEQPACKET;
}

/* Blocks up to 32 MiB, malloc's largest such limit, stay with the process when they are freed, for faulting
 * memory in again costs more than most functions; larger ones go back to the kernel. */
static void keep_memory(void)
{
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
    mallopt(M_TOP_PAD, 1 << 20);
}

int main(int argc, char *argv[])
{
    struct arguments a = {
        .load_max_ms = LOAD_MAX_MS,
        .template_options = { .module_path = "",
                              .worker = { .message_max_bytes = MESSAGE_BYTES_DEFAULT,
                                          .output_dir = "",
                                          .output_max_bytes = OUTPUT_BYTES_DEFAULT } },
    };
    bool good = true;
    int which;

    while (good && (which = getopt_long(argc, argv, "", options, NULL)) != -1)
        good = parse_option(which, optarg, &a);
    if (!good || !a.template || optind != argc || a.parent == 0 || !is_template_link(LINK_FD)) {
        fprintf(stderr, "ptools-worker is a part of ptoolsd, which starts it with --template --parent PID "
                        "[--module-path DIR:...] [--log-level LEVEL] [--memory-max BYTES] [--message-max BYTES] "
                        "[--load-max-ms MS] [--output-dir DIR] [--output-max BYTES] [--fence] and its link as descriptor "
                        "3\n");
        return EXIT_USAGE;
    }
    a.template_options.load_max_us = a.load_max_ms * 1000;

    fcntl(LINK_FD, F_SETFD, FD_CLOEXEC);
    setpgid(0, 0); /* ^C in the daemon's terminal is the daemon's to understand */
    prctl(PR_SET_NAME, "ptools-template");
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if ((uint64_t)getppid() != a.parent)
        return EXIT_SUCCESS; /* it died before it could be watched */
    keep_memory();
    setvbuf(stdout, NULL, _IOLBF, 0); /* what functions print is seen line by line in the daemon's log */
    return template_main(LINK_FD, &a.template_options);
}
