/* SPDX-License-Identifier: MIT */
/*
 * qtask_keys -- which task has a key: so that one that is submitted twice is one.
 *
 * A key that a user chose is in a table of the user's. A key that a library made, so that it can send a submission once
 * more (key_passing), is 16 bytes: a number, and the name of a session; numbers of a session rise by one. There is
 * one for nearly every task, so they take eight bytes each: a session has a list of its tasks from the first number on
 * that is still known. (Other passing keys work as well, each as a session of its own.) Of each user so many
 * are kept; beyond it the one that was used least lately goes: nobody sends anything of it again. One of whose tasks
 * none is known any more tells nothing, and goes when others come.
 */
#include <errno.h>
#include <string.h>

#include "daemon/core/state.h"

enum { USER_SESSIONS_MAX = 16384, EMPTY_LOOKS = 2, GAP_MAX = 64, PASSING_BYTES = 16 };

struct qkey {
    struct qtask *task;
    UT_hash_handle hh; /* in user.keys; the bytes are those in the task's spec */
};

struct session_name {
    uint64_t uid;
    uint8_t name[PASSING_BYTES];
};
struct qsession {
    struct session_name name;
    uint64_t first;  /* the number of tasks[start] */
    uint64_t *tasks; /* by number; 0: none */
    size_t start, n, cap;
    struct user *user;
    struct qsession *prev, *next; /* in user.sessions */
    UT_hash_handle hh; /* in core.queue_sessions */
};

/* -- chosen by users ---------------------------------------------------------------------------------------- */

static struct qkey *find_chosen(const struct user *user, struct text key)
{
    struct qkey *k;

    HASH_FIND(hh, user->keys, key.data, key.n, k);
    return k;
}

static int add_chosen(struct core *core, struct qtask *q, struct text key)
{
    struct qkey *k = find_chosen(q->user, key);
    struct msg_submit spec;

    if (k)
        return 0; /* from a journal: the first has it */
    k = qtask_extra(q) ? calloc(1, sizeof *k) : NULL;
    if (!k)
        return -ENOMEM;
    k->task = q;
    qtask_spec(core, q, &spec);
    HASH_ADD_KEYPTR(hh, q->user->keys, spec.key.data, spec.key.n, k);
    if (!k->hh.tbl) {
        free(k);
        return -ENOMEM;
    }
    q->x->key = k;
    return 0;
}

void qtask_drop_key(struct qtask *q)
{
    if (!q->x || !q->x->key)
        return;
    HASH_DELETE(hh, q->user->keys, q->x->key);
    free(q->x->key);
    q->x->key = NULL;
}

/* -- made to be sent once more ---------------------------------------------------------------------------------- */

static uint64_t name_session(const struct user *user, struct text key, struct session_name *ret)
{
    uint64_t number = 0;

    memset(ret, 0, sizeof *ret);
    ret->uid = user->uid;
    if (key.n == PASSING_BYTES) {
        for (size_t i = 8; i-- > 0;)
            number = number << 8 | (uint8_t)key.data[i];
        memcpy(ret->name, key.data + 8, 8);
    } else { /* of another length: all of it is the name, as far as there is room; what is found is compared */
        memcpy(ret->name, key.data, MIN(key.n, sizeof ret->name));
        ret->name[0] = (uint8_t)(ret->name[0] ^ key.n);
    }
    return number;
}

static void session_free(struct core *core, struct qsession *s)
{
    HASH_DELETE(hh, core->queue_sessions, s);
    DL_DELETE(s->user->sessions, s);
    s->user->n_sessions--;
    user_release(core, s->user);
    free(s->tasks);
    free(s);
}

void user_drop_sessions(struct core *core, struct user *user)
{
    while (user->sessions) {
        user->n_pins++; /* session_free() shall not free it */
        session_free(core, user->sessions);
        user->n_pins--;
    }
}

/* Those at the front that are not known any more are not looked for. */
static void trim(struct core *core, struct qsession *s)
{
    while (s->n > 0 && (s->tasks[s->start] == 0 || !qtask_find(core, s->tasks[s->start]))) {
        s->start++;
        s->first++;
        s->n--;
    }
    if (s->start > s->cap / 2) {
        memmove(s->tasks, s->tasks + s->start, s->n * sizeof *s->tasks);
        s->start = 0;
    }
}

/* For each that comes two are looked at: so there are never many more than have tasks that are known. */
static void drop_empty(struct core *core, struct user *user)
{
    for (unsigned i = 0; i < EMPTY_LOOKS && user->n_sessions > 1; i++) {
        struct qsession *s = user->sessions;

        trim(core, s);
        if (s->n > 0) {
            DL_DELETE(user->sessions, s);
            DL_APPEND(user->sessions, s);
        } else {
            session_free(core, s);
        }
    }
}

static struct qsession *session_get(struct core *core, struct user *user, const struct session_name *name,
                                    uint64_t number)
{
    struct qsession *s;

    HASH_FIND(hh, core->queue_sessions, name, sizeof *name, s);
    if (s) { /* the one used last is at the end */
        DL_DELETE(user->sessions, s);
        DL_APPEND(user->sessions, s);
        return s;
    }
    drop_empty(core, user);
    if (user->n_sessions >= USER_SESSIONS_MAX)
        session_free(core, user->sessions);
    s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->name = *name;
    s->user = user;
    s->first = number;
    HASH_ADD(hh, core->queue_sessions, name, sizeof s->name, s);
    if (!s->hh.tbl) {
        free(s);
        return NULL;
    }
    DL_APPEND(user->sessions, s);
    user->n_sessions++;
    return s;
}

static int make_room(struct qsession *s, size_t n)
{
    size_t cap = s->cap ? s->cap : 4;
    uint64_t *v;

    if (s->start + n <= s->cap)
        return 0;
    while (cap < s->start + n)
        cap += cap / 2;
    v = realloc(s->tasks, cap * sizeof *v);
    if (!v)
        return -ENOMEM;
    s->tasks = v;
    s->cap = cap;
    return 0;
}

static int add_passing(struct core *core, struct qtask *q, struct text key)
{
    struct session_name name;
    const uint64_t number = name_session(q->user, key, &name);
    struct qsession *s = session_get(core, q->user, &name, number);

    if (!s)
        return -ENOMEM;
    if ((s->n & (s->n - 1)) == 0) /* now and then */
        trim(core, s);
    if (s->n > 0 && number < s->first && s->first - number <= GAP_MAX) { /* they may have changed places on the way */
        const size_t more = (size_t)(s->first - number);

        if (make_room(s, s->n + more) < 0)
            return -ENOMEM;
        memmove(s->tasks + s->start + more, s->tasks + s->start, s->n * sizeof *s->tasks);
        memset(s->tasks + s->start, 0, more * sizeof *s->tasks);
        s->first = number;
        s->n += more;
    }
    if (s->n > 0 && number < s->first)
        return 0; /* older than all that is kept: it will not come again */
    if (s->n == 0 || number - s->first > s->n + GAP_MAX) { /* those before are not sent again */
        s->first = number;
        s->start = s->n = 0;
    }
    if (make_room(s, (size_t)(number - s->first) + 1) < 0)
        return -ENOMEM;
    while (s->n <= number - s->first)
        s->tasks[s->start + s->n++] = 0;
    s->tasks[s->start + (size_t)(number - s->first)] = q->id;
    return 0;
}

static bool has_key(struct core *core, const struct qtask *q, struct text key)
{
    struct msg_submit spec;

    qtask_spec(core, q, &spec);
    return spec.key.n == key.n && memcmp(spec.key.data, key.data, key.n) == 0;
}

static struct qtask *find_passing(struct core *core, const struct user *user, struct text key)
{
    struct session_name name;
    const uint64_t number = name_session(user, key, &name);
    struct qsession *s;
    struct qtask *q;

    HASH_FIND(hh, core->queue_sessions, &name, sizeof name, s);
    if (!s || number < s->first || number - s->first >= s->n)
        return NULL;
    q = qtask_find(core, s->tasks[s->start + (size_t)(number - s->first)]);
    return q && q->user == user && has_key(core, q, key) ? q : NULL;
}

void sessions_deinit(struct core *core)
{
    for (struct user *u = core->users; u; u = u->hh.next)
        user_drop_sessions(core, u);
}

/* -- both ---------------------------------------------------------------------------------------------------------- */

struct qtask *qtask_by_key(struct core *core, const struct user *user, struct text key, bool passing)
{
    const struct qkey *k;

    if (passing)
        return find_passing(core, user, key);
    k = find_chosen(user, key);
    return k ? k->task : NULL;
}

int qtask_add_key(struct core *core, struct qtask *q, struct text key, bool passing)
{
    return passing ? add_passing(core, q, key) : add_chosen(core, q, key);
}

uint64_t qtask_keys(const struct core *core)
{
    uint64_t n = 0;

    for (const struct user *u = core->users; u; u = u->hh.next)
        n += HASH_COUNT(u->keys);
    return n;
}
