/* SPDX-License-Identifier: MIT */
/*
 * kill -9 of clients, workers, server tasks, the template and the daemon at random, a thousand times with 200 shared
 * arrays alive. Afterwards no process is left, no descriptor, and no array, and there was never a name in /dev/shm.
 * The memory of an array has no other holder than those: it is gone with them. What all of the machine has in shared
 * memory says nothing, for others change it, too.
 *
 * Four clients, each a process of its own, keep 50 arrays each: five of two server tasks, which they call, and 45 of
 * their own. When something of theirs is killed they make it anew, and say so by a byte on a pipe. The seed is fixed.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/integration/server.h"
#include "tests/support/suite.h"

#if defined(__SANITIZE_ADDRESS__)
enum { KILLS = 150 };
#else
enum { KILLS = 1000 };
#endif
enum {
    CLIENTS = 4, OWN = 45, SHARED = 5, EACH = OWN + SHARED, ELEMENTS_EACH = 32768, /* 256 KiB each, 50 MiB in all */
    WORKERS = 2, WHOLE_EVERY = 5, WAIT_MS = 60000
};

static struct server server;
static struct crew { pid_t pid; int pipe; } crew[CLIENTS];
static uint64_t random_state = 20261126;

static unsigned pick(unsigned below)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(random_state >> 33) % below;
}

/* -- a client -------------------------------------------------------------------------------------------- */

static ptools *own_open(void)
{
    ptools_options options = PTOOLS_OPTIONS_INIT;
    ptools *own = NULL;

    options.address = server.dir;
    return ptools_open(&options, &own, NULL) == PTOOLS_OK ? own : NULL;
}

/* Everything that this client shall have; NULL: something was killed meanwhile. */
static ptools_stasks *own_all(ptools *own, unsigned number, ptools_array *arrays[OWN])
{
    ptools_stasks_options options = PTOOLS_STASKS_OPTIONS_INIT;
    char names[SHARED][16], prefix[16], name[16];
    ptools_shmcfg cfgs[SHARED];
    ptools_shm_options shm = PTOOLS_SHM_OPTIONS_INIT;
    ptools_stasks *h = NULL;

    snprintf(prefix, sizeof prefix, "client%u", number);
    for (int i = 0; i < SHARED; i++) {
        snprintf(names[i], sizeof names[i], "s%d", i);
        cfgs[i] = (ptools_shmcfg)PTOOLS_SHMCFG(names[i], PTOOLS_FLOAT64, ELEMENTS_EACH);
    }
    options.count = 2;
    if (ptools_start_stasks(own, cfgs, SHARED, prefix, &options, &h) != PTOOLS_OK)
        return NULL;
    shm.prefix = prefix;
    for (int i = 0; i < OWN; i++) {
        ptools_shmcfg cfg = PTOOLS_SHMCFG(name, PTOOLS_FLOAT64, ELEMENTS_EACH);

        snprintf(name, sizeof name, "a%d", i);
        if (ptools_shm_create(own, &cfg, &shm, &arrays[i]) != PTOOLS_OK)
            return NULL; /* what there is goes with the connection */
        ((double *)ptools_array_data(arrays[i]))[ELEMENTS_EACH - 1] = i;
    }
    return h;
}

/* Uses what it has until something fails. */
static void own_work(ptools *own, ptools_stasks *h, ptools_array *arrays[OWN])
{
    PTOOLS_AUTO(ptools_pack) names = ptools_pack_new();
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    const ptools_pack *lists[] = { names };

    ptools_pack_str(names, "s0");
    ptools_pack_str(names, "s0");
    ptools_pack_array(args, arrays[0]);
    for (;;) {
        ptools_outcomes *o = NULL;
        ptools_err err = ptools_pmap_stasks(h, "a.part", lists, 1, WAIT_MS, &o);

        ptools_outcomes_free(o);
        if (err != PTOOLS_OK && ptools_restart_stasks(h, NULL, NULL) != PTOOLS_OK)
            return;
        err = ptools_remotecall_fetch(own, NULL, "a.sum", args, NULL, WAIT_MS, NULL, NULL);
        if (err != PTOOLS_OK && err != PTOOLS_ERR_WORKER_DIED)
            return;
    }
}

static void client_main(unsigned number, int pipe)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        ptools_array *arrays[OWN] = { NULL };
        ptools *own = own_open();
        ptools_stasks *h = own ? own_all(own, number, arrays) : NULL;

        if (h && write(pipe, "x", 1) == 1)
            own_work(own, h, arrays);
        ptools_stasks_free(h);
        for (int i = 0; i < OWN; i++)
            ptools_array_free(arrays[i]);
        ptools_close(own);
    }
}

static void client_start(unsigned number)
{
    int ends[2];

    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    crew[number].pid = fork();
    if (crew[number].pid == 0) {
        client_main(number, ends[1]);
        _exit(0);
    }
    close(ends[1]);
    crew[number].pipe = ends[0];
}

static void client_kill(unsigned number)
{
    ck_assert_int_eq(kill(crew[number].pid, SIGKILL), 0);
    ck_assert_int_eq(waitpid(crew[number].pid, NULL, 0), crew[number].pid);
    close(crew[number].pipe);
}

/* -- looking --------------------------------------------------------------------------------------------- */

/* Names in /dev/shm that could be ours: directories are of tests beside this one. */
static unsigned names_in_shm(void)
{
    DIR *dir = opendir("/dev/shm");
    struct dirent *entry;
    unsigned n = 0;

    while (dir && (entry = readdir(dir)))
        n += strstr(entry->d_name, "ptools") && entry->d_type != DT_DIR;
    if (dir)
        closedir(dir);
    return n;
}

/* A process whose parent is pid and whose name begins so; 0: none. */
static pid_t child_named(pid_t parent, const char *name)
{
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    pid_t found = 0;

    while (!found && (entry = readdir(proc))) {
        char path[300], comm[64], line[400];
        int of;
        FILE *f;

        snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
        if (entry->d_name[0] < '0' || entry->d_name[0] > '9' || !(f = fopen(path, "re")))
            continue;
        if (fgets(line, sizeof line, f) && sscanf(line, "%*d (%63[^)]) %*c %d", comm, &of) == 2 && of == (int)parent &&
            strncmp(comm, name, strlen(name)) == 0)
            found = (pid_t)atoi(entry->d_name);
        fclose(f);
    }
    closedir(proc);
    return found;
}

static uint32_t count(ptools *pt, const char *what)
{
    PTOOLS_AUTO(ptools_future) f = NULL;
    ptools_value v;
    uint32_t n = 0;

    if (ptools_inspect(pt, what, &f, &v) == PTOOLS_OK)
        ck_assert_ptools(ptools_get_count(v, &n));
    return n;
}

/* All clients have all that they shall have. */
static void whole(ptools *pt)
{
    uint64_t until = now_ms() + WAIT_MS;
    uint32_t n;

    while ((n = count(pt, "arrays")) < CLIENTS * EACH)
        ck_assert_msg(now_ms() < until, "%u arrays instead of %u", n, CLIENTS * EACH);
}

/* What all arrays have in memory. */
static uint64_t resident_bytes(ptools *pt)
{
    PTOOLS_AUTO(ptools_future) f = NULL;
    ptools_value list, v;
    uint64_t sum = 0, bytes;
    uint32_t n;

    ck_assert_ptools(ptools_inspect(pt, "arrays", &f, &list));
    ck_assert_ptools(ptools_get_count(list, &n));
    for (uint32_t i = 0; i < n; i++) {
        ck_assert_ptools(ptools_get_item(list, i, &v));
        ck_assert_ptools(ptools_get_field(v, "resident_bytes", &v));
        ck_assert_ptools(ptools_get_u64(v, &bytes));
        sum += bytes;
    }
    return sum;
}

/* Every process that anybody left behind has ended: orphans are the test's own. */
static void nobody_is_left(void)
{
    uint64_t until = now_ms() + WAIT_MS;
    pid_t pid;

    while ((pid = waitpid(-1, NULL, WNOHANG)) >= 0)
        ck_assert_msg(now_ms() < until, "a process outlives its daemon");
}

/* -- the storm ------------------------------------------------------------------------------------------- */

static ptools *revive(ptools *pt)
{
    char dir[sizeof server.dir];

    memcpy(dir, server.dir, sizeof dir);
    ptools_close(pt);
    ck_assert_int_eq(kill(server.pid, SIGKILL), 0);
    ck_assert_int_eq(waitpid(server.pid, NULL, 0), server.pid);
    close(server.pidfd);
    server_start_in(&server, dir, WORKERS, NULL);
    return server_open(&server);
}

/* false: there was none of that kind just now. */
static bool strike(ptools **pt)
{
    unsigned which = pick(100), number = pick(CLIENTS);
    pid_t victim = 0;

    if (which < 3) {
        *pt = revive(*pt);
        return true;
    }
    if (which < 25) {
        client_kill(number);
        client_start(number);
        return true;
    }
    if (which < 35)
        victim = child_named(server.pid, "ptools-template");
    else if (which < 65)
        victim = child_named(server.pid, "ptools-w");
    else
        victim = child_named(server.pid, pick(2) ? "ptools-s0" : "ptools-s1");
    return victim > 0 && kill(victim, SIGKILL) == 0;
}

START_TEST(a_thousand_kills_leave_nothing)
{
    unsigned in_shm = names_in_shm();
    uint64_t until;
    ptools *pt;

    ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1L), 0);
    server_start(&server, WORKERS, NULL);
    pt = server_open(&server);
    for (unsigned i = 0; i < CLIENTS; i++)
        client_start(i);
    whole(pt);
    ck_assert_uint_ge(resident_bytes(pt), 40000 << 10); /* they are really there */
    for (unsigned kills = 0; kills < KILLS;) {
        kills += strike(&pt);
        if (kills % WHOLE_EVERY == 0)
            whole(pt);
        ck_assert_uint_eq(names_in_shm(), in_shm);
    }
    whole(pt);
    for (unsigned i = 0; i < CLIENTS; i++)
        client_kill(i);
    until = now_ms() + WAIT_MS;
    while (count(pt, "arrays") > 0 || count(pt, "stasks") > 0)
        ck_assert_msg(now_ms() < until, "arrays or server tasks are left");
    pt = ptools_close(pt);
    server_clean(&server, 0);
    server_stop(&server);
    nobody_is_left();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("storm");
    TCase *tc = suite_case(suite, "storm");

    tcase_set_timeout(tc, 900);
    tcase_add_test(tc, a_thousand_kills_leave_nothing);
    return suite_run(suite);
}
