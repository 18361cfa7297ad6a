/* SPDX-License-Identifier: MIT */
/*
 * front_as -- see front_as.h. The directory `as` belongs to the group of users.admins and is closed to others: who can
 * connect to a socket in it is let in as the user whose number it has. A pair is there for each user whose daemon was
 * ever wanted. Its sockets cost two descriptors, so there are users.max of them: with one more, one goes whose user has no
 * daemon. Numbers that no user has are wanted too, by who may take many of them (subuid(5)).
 */
#include "daemon/ptoolsd/front_as.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/ptoolsd/log.h"
#include "daemon/ptoolsd/table.h"
#include "proto/limits.h"
#include "proto/util.h"

enum { BACKLOG = 64, DOORS = 2 };
#define MARK "up"

struct pair {
    struct front_as *a;
    uint32_t uid;
    int fds[DOORS];
    sd_event_source *sources[DOORS];
    UT_hash_handle hh;
};

struct front_as {
    sd_event *event;
    struct front_users *users;
    struct pair *pairs;
    uint64_t max; /* of them: what they cost in descriptors is not for users to say */
    char *dir;
    bool made; /* the directory is ours to remove */
};

static const struct {
    const char *name;
    int type;
    enum front_kind kind;
} doors[DOORS] = { { FDS_SOCKET_NAME, SOCK_SEQPACKET, FRONT_ARRAYS }, { SOCKET_NAME, SOCK_STREAM, FRONT_CLIENT } };

static int on_listen(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
    struct pair *p = userdata;
    int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct ucred who = { 0 };
    socklen_t n = sizeof who;

    (void)revents;
    if (peer < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
        log_warning("listening-ended", LOG_U64("as", p->uid), LOG_STR("why", strerror(errno)));
        return sd_event_source_set_enabled(s, SD_EVENT_OFF); /* out of descriptors: not to be asked again at once, and for ever */
    }
    if (peer < 0)
        return 0;
    (void)getsockopt(peer, SOL_SOCKET, SO_PEERCRED, &who, &n);
    log_info("admin-let-in", LOG_U64("uid", who.uid), LOG_U64("as", p->uid));
    (void)front_users_give(p->a->users, p->uid, fd == p->fds[0] ? doors[0].kind : doors[1].kind, peer);
    return 0;
}

/* The socket is made with the mode that it shall have: nobody comes in before that. */
static int listen_at(const char *path, int type)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd, r;
    mode_t mask;

    if ((size_t)snprintf(address.sun_path, sizeof address.sun_path, "%s", path) >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    if (unlink(path) < 0 && errno != ENOENT)
        return -errno;
    fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    mask = umask(0117);
    r = bind(fd, (const struct sockaddr *)&address, sizeof address) < 0 || listen(fd, BACKLOG) < 0 ? -errno : 0;
    umask(mask);
    if (r < 0)
        close(fd);
    return r < 0 ? r : fd;
}

static void remove_pair(const struct front_as *a, const char *uid)
{
    AUTO_MEM char *path = NULL;

    for (size_t i = 0; i < DOORS; i++) {
        if (asprintf(&path, "%s/%s/%s", a->dir, uid, doors[i].name) < 0)
            path = NULL;
        if (path)
            unlink(path);
        free(TAKE(path));
    }
    if (asprintf(&path, "%s/%s/" MARK, a->dir, uid) < 0)
        path = NULL;
    if (path)
        unlink(path);
    free(TAKE(path));
    if (asprintf(&path, "%s/%s", a->dir, uid) < 0)
        path = NULL;
    if (path)
        rmdir(path);
}

static void pair_free(struct pair *p)
{
    char uid[16];

    for (size_t i = 0; i < DOORS; i++) {
        sd_event_source_disable_unref(p->sources[i]);
        if (p->fds[i] >= 0)
            close(p->fds[i]);
    }
    snprintf(uid, sizeof uid, "%" PRIu32, p->uid);
    remove_pair(p->a, uid);
    HASH_DEL(p->a->pairs, p);
    free(p);
}

static int pair_open(struct pair *p)
{
    AUTO_MEM char *dir = NULL, *path = NULL;
    mode_t mask;
    int r = 0;

    if (asprintf(&dir, "%s/%" PRIu32, p->a->dir, p->uid) < 0) {
        dir = NULL;
        return -ENOMEM;
    }
    mask = umask(0027);
    r = mkdir(dir, 0750) < 0 && errno != EEXIST ? -errno : 0;
    umask(mask);
    for (size_t i = 0; i < DOORS && r >= 0; i++) {
        if (asprintf(&path, "%s/%s", dir, doors[i].name) < 0) {
            path = NULL;
            return -ENOMEM;
        }
        p->fds[i] = listen_at(path, doors[i].type);
        free(TAKE(path));
        r = p->fds[i] < 0 ? p->fds[i]
                          : sd_event_add_io(p->a->event, &p->sources[i], p->fds[i], EPOLLIN, on_listen, p);
    }
    return r < 0 ? r : 0;
}

static void make_room(const struct front_as *a)
{
    struct pair *p, *next;

    HASH_ITER(hh, a->pairs, p, next) { /* oldest first */
        if (HASH_COUNT(a->pairs) < a->max)
            return;
        if (!front_users_has(a->users, p->uid))
            pair_free(p);
    }
}

void front_as_open(struct front_as *a, uint32_t uid)
{
    struct pair *p = NULL;
    int r;

    if (!a)
        return;
    HASH_FIND(hh, a->pairs, &uid, sizeof uid, p);
    if (p)
        return;
    make_room(a);
    if (HASH_COUNT(a->pairs) >= a->max || !(p = calloc(1, sizeof *p)))
        return;
    *p = (struct pair){ .a = a, .uid = uid, .fds = { -1, -1 } };
    HASH_ADD(hh, a->pairs, uid, sizeof p->uid, p);
    r = pair_open(p);
    if (r < 0) {
        log_warning("no-door-for-admins", LOG_U64("uid", uid), LOG_STR("why", strerror(-r)));
        pair_free(p);
    }
}

void front_as_mark(struct front_as *a, uint32_t uid, bool up)
{
    AUTO_MEM char *path = NULL;
    int fd;

    if (!a)
        return;
    front_as_open(a, uid);
    if (asprintf(&path, "%s/%" PRIu32 "/" MARK, a->dir, uid) < 0) {
        path = NULL;
        return;
    }
    fd = up ? open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0640) : -1; /* it only tells: without it less is seen */
    if (fd >= 0)
        close(fd);
    if (!up)
        unlink(path);
}

/* What a front that was killed has left. */
static void sweep(const struct front_as *a)
{
    DIR *dir = opendir(a->dir);
    const struct dirent *e;

    while (dir && (e = readdir(dir)))
        if (e->d_name[0] >= '0' && e->d_name[0] <= '9')
            remove_pair(a, e->d_name);
    if (dir)
        closedir(dir);
}

static bool is_for(const char *dir, gid_t group)
{
    struct stat st;

    return lstat(dir, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() && st.st_gid == group &&
           (st.st_mode & 07777) == 02750;
}

int front_as_new(sd_event *event, const struct config *config, struct front_users *users, struct front_as **ret)
{
    const struct group *group = *config->users_admins ? getgrnam(config->users_admins) : NULL;
    struct front_as *a;

    *ret = NULL;
    if (!group) {
        log_info("no-admins", LOG_STR("group", config->users_admins));
        return 0;
    }
    a = calloc(1, sizeof *a);
    if (!a || asprintf(&a->dir, "%s/as", config->dir) < 0) {
        free(a);
        return -ENOMEM;
    }
    a->event = event;
    a->users = users;
    a->max = config->users_max;
    /* The sockets in it are of this group because the directory hands it on (the mode's first digit). An installed
     * service finds it, and may not be allowed to make one. */
    a->made = mkdir(a->dir, 0700) == 0;
    if (!is_for(a->dir, group->gr_gid) &&
        (chown(a->dir, (uid_t)-1, group->gr_gid) < 0 || chmod(a->dir, 02750) < 0 || !is_for(a->dir, group->gr_gid))) {
        log_warning("no-admins", LOG_STR("dir", a->dir), LOG_STR("why", strerror(errno)));
        if (a->made)
            rmdir(a->dir);
        free(a->dir);
        free(a);
        return 0;
    }
    sweep(a);
    *ret = a;
    return 0;
}

struct front_as *front_as_free(struct front_as *a)
{
    struct pair *p, *next;

    if (!a)
        return NULL;
    HASH_ITER(hh, a->pairs, p, next)
        pair_free(p);
    if (a->made)
        rmdir(a->dir);
    free(a->dir);
    free(a);
    return NULL;
}
