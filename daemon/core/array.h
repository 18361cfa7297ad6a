/* SPDX-License-Identifier: MIT */
/*
 * array -- shared arrays: who owns one, what it is, who maps it, and when it ends.
 *
 *     MAKING --made--> READY --end--> ENDED, and gone once no task needs its bytes and no client has it mapped
 *
 * An array has one owner: the client that created it, or the server tasks that it was created for, or nobody
 * (kept: then its name, its lease and the daemon's life decide). It ends with its owner. ENDED ones have no
 * name; only the task whose arguments or value lie in one still finds it. Its memory is the program's (memory.c),
 * until ACT_ARRAY_DROP. The core charges it to the user from the moment it is asked for until nobody has it any more.
 *
 * A hold says that a client or a process was handed the array and maps it. It keeps no memory alive, the kernel does
 * that: it is there to be shown, to tell processes to unmap what has ended, and to charge for what clients still map.
 */
#ifndef CORE_ARRAY_H
#define CORE_ARRAY_H

#include "proto/array.h"

enum array_state { ARRAY_MAKING, ARRAY_READY, ARRAY_ENDED };

struct array_key {
    uint32_t uid;
    char prefix[NAME_BYTES_MAX + 2], name[NAME_BYTES_MAX + 2]; /* zero to their ends: the key is its bytes */
};
_Static_assert(sizeof(struct array_key) == 4 + 2 * (NAME_BYTES_MAX + 2), "a key has no padding");

struct hold {
    struct array *array;
    enum core_holder kind;
    uint32_t id;       /* of the client, or of the process */
    uint32_t count;    /* how often it was handed out and not given back */
    struct hold **list; /* of the holder */
    struct hold *array_prev, *array_next, *holder_prev, *holder_next;
};

struct array {
    uint64_t id;
    enum array_state state;
    struct user *user;
    struct client *owner;   /* it ends with this one; NULL: it is kept, or of server tasks */
    struct stasks *stasks;  /* it ends with these; NULL */
    struct layout layout;
    struct array_key key;   /* name "": it has none */
    bool in_names;
    bool replaces;          /* while MAKING: another has the name until it is there */
    bool keep, everywhere, populate, file;
    struct core_memory memory;
    uint64_t offset;
    uint64_t charged;       /* bytes; 0: a file's */
    uint64_t keep_ms;
    struct heap_node lease; /* in core.leases */
    uint32_t n_share;
    uint32_t share[SHARE_MAX];
    uint32_t asked_client;  /* while MAKING: who is answered; 0: nobody, or asked_process */
    uint64_t asked_request;
    uint64_t for_task;      /* made for its value, and not delivered; 0 */
    uint32_t asked_process; /* while MAKING for a value: the process that waits for it; 0 */
    uint32_t for_process;   /* made for a value of this server task's process, and not yet the caller's; 0 */
    uint64_t for_call;      /* and of this call */
    bool untaken;           /* it was delivered as a value, and its client has not come for it yet */
    uint32_t uses;          /* tasks whose args, room or made it is */
    bool dropped;           /* ENDED, and its memory is no more the program's: clients have it mapped */
    struct hold *holds;     /* by array_next */
    struct array *owner_prev, *owner_next; /* in client.arrays */
    UT_hash_handle hh, hh_name;
};

struct array *array_find(const struct core *core, uint64_t id);
/* MAKING or READY, and of that name; NULL. Does not look who may see it. */
struct array *array_named(const struct core *core, uint32_t uid, struct text prefix, struct text name);
bool array_allows(const struct array *a, uint32_t uid);
/* A task is given the use of it, or no longer needs it: ENDED ones go with their last use. */
void array_use(struct array *a);
void array_unuse(struct core *core, struct array *a, struct actions *out);
/* It ends, for whatever reason; processes are told. It may be gone afterwards. */
void array_end(struct core *core, struct array *a, const char *why, struct actions *out);
/* It belongs to these from now on. */
void array_adopt(struct array *a, struct stasks *s);
/* Its client leaves. */
void arrays_of_client_end(struct core *core, struct client *c, struct actions *out);
/* The value that a task has put into an array, if it may be there; the array is the client's from now on. */
bool array_deliver(struct core *core, struct task *t, const struct core_value *value);
/* Its client has come for it. */
void array_is_taken(struct core *core, struct array *a);
/* A process is ready: what all are to map. */
void arrays_map_everywhere(struct core *core, uint32_t worker, struct actions *out);
/* A server task's process is gone: so is what was just being made for it. A value that is there may have been
 * answered: its caller comes for it, or asks for the fate of the call. */
void arrays_of_process_end(struct core *core, uint32_t process, struct actions *out);
/* This call of the process has no answer for its client: nobody will come for its value. */
void array_of_call_end(struct core *core, uint32_t client, uint32_t process, uint64_t call, struct actions *out);
/* What the leases say. */
void arrays_due(struct core *core, uint64_t now_us, struct actions *out);
void arrays_deinit(struct core *core);

/* 0 or -ENOMEM. */
int hold_add(struct array *a, enum core_holder kind, uint32_t id, struct hold **list);
/* The holder gives it back, once for all times that it was handed out. The array may be gone afterwards. */
void hold_drop(struct core *core, struct hold *h);
/* The holder is gone. */
void holds_drop(struct core *core, struct hold **list);
/* Hands it to whoever asked: fills in *ret. */
void array_describe(const struct array *a, struct fds_answer *ret);

#endif
