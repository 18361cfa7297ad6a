/* SPDX-License-Identifier: MIT */
/*
 * queued_list -- looks at queued tasks: from the daemon's documents to structs with texts of their own.
 *
 * A document is {"tasks": [{...}, ...], "next": id}. What a task's map lacks is 0, false or empty; keys that are not
 * known are skipped. A daemon writes them in one order, so each key is looked for behind the last one first.
 *
 * The texts of a list lie in one zone. Arguments are taken apart when somebody looks at their task: they are foreign
 * bytes that the daemon has never opened, and what is no value reads as nil.
 */
#include "client/lib/handle.h"

#include <inttypes.h>
#include <string.h>

/* -- one look ------------------------------------------------------------------------------------------ */

/* clang-format off */
enum key_type {
    KEY_U32, KEY_U64, KEY_I64, KEY_F64, KEY_BOOL, KEY_CODE, KEY_TEXT, KEY_STATE, KEY_DURABILITY, KEY_BYTES, KEY_TAGS,
    KEY_IDS, KEY_ARGS
};
/* A key is called as its member. */
#define KEY(name, type) { #name, sizeof #name - 1, type, offsetof(ptools_queued_info, name) }
static const struct key {
    const char *name;
    size_t n;
    enum key_type type;
    size_t at;
} keys[] = {
    KEY(id, KEY_U64),
    KEY(parent, KEY_U64),
    KEY(parts, KEY_U32),
    KEY(state, KEY_STATE),
    KEY(function, KEY_TEXT),
    KEY(target, KEY_TEXT),
    KEY(priority, KEY_F64),
    KEY(durability, KEY_DURABILITY),
    KEY(attempt, KEY_U32),
    KEY(attempts, KEY_U32),
    KEY(kills, KEY_U32),
    KEY(worker, KEY_U32),
    KEY(hold, KEY_BOOL),
    KEY(paused, KEY_BOOL),
    KEY(idempotent, KEY_BOOL),
    KEY(queued_ms, KEY_I64),
    KEY(due_ms, KEY_I64),
    KEY(started_ms, KEY_I64),
    KEY(ended_ms, KEY_I64),
    KEY(run_us, KEY_U64),
    KEY(cpu_us, KEY_U64),
    KEY(peak_bytes, KEY_U64),
    KEY(args_bytes, KEY_U64),
    KEY(value_bytes, KEY_U64),
    KEY(code, KEY_CODE),
    KEY(message, KEY_TEXT),
    KEY(maybe_executed, KEY_BOOL),
    KEY(phase, KEY_TEXT),
    KEY(log, KEY_TEXT),
    KEY(output, KEY_TEXT),
    KEY(progress, KEY_U64),
    KEY(progress_of, KEY_U64),
    KEY(key, KEY_BYTES),
    KEY(tags, KEY_TAGS),
    KEY(after, KEY_IDS),
    KEY(args, KEY_ARGS),
};
/* clang-format on */

/* NULL: no memory. Of n bytes there are n + 1, the last is 0. */
static char *copy(msgpack_zone *zone, const void *data, size_t n)
{
    char *p = msgpack_zone_malloc_no_align(zone, n + 1);

    if (!p)
        return NULL;
    if (n > 0)
        memcpy(p, data, n);
    p[n] = '\0';
    return p;
}

/* What reading a value comes to. */
enum outcome { READ, WRONG, NO_MEMORY };

static enum outcome read_u32(ptools_value v, uint32_t *ret)
{
    uint64_t n;

    if (ptools_get_u64(v, &n) != PTOOLS_OK || n > UINT32_MAX)
        return WRONG;
    *ret = (uint32_t)n;
    return READ;
}

static enum outcome read_text(ptools_value v, msgpack_zone *zone, const char **ret)
{
    const char *text;
    size_t n;

    if (ptools_get_str(v, &text, &n) != PTOOLS_OK)
        return WRONG;
    *ret = copy(zone, text, n);
    return *ret ? READ : NO_MEMORY;
}

static bool is_word(const char *word, const char *text, size_t n)
{
    return strlen(word) == n && memcmp(word, text, n) == 0;
}

/* A word: its number, from 1. */
static enum outcome read_word(ptools_value v, const char *(*word)(uint32_t), uint32_t words, uint32_t *ret)
{
    const char *text;
    size_t n;

    if (ptools_get_str(v, &text, &n) != PTOOLS_OK)
        return WRONG;
    for (uint32_t i = 1; i <= words; i++) {
        if (is_word(word(i), text, n)) {
            *ret = i;
            return READ;
        }
    }
    return WRONG;
}

static const char *durability_word(uint32_t durability)
{
    static const char *const words[] = {
        [TASK_VOLATILE] = "volatile", [TASK_CRASHSAFE] = "crashsafe", [TASK_DURABLE] = "durable"
    };

    return words[durability];
}

static enum outcome read_tags(ptools_value v, msgpack_zone *zone, ptools_queued_info *ret)
{
    enum outcome r = READ;
    const char **tags;
    uint32_t n;

    if (ptools_value_kind(v) != PTOOLS_LIST || ptools_get_count(v, &n) != PTOOLS_OK || n > TAGS_MAX)
        return WRONG;
    tags = msgpack_zone_malloc(zone, (n + 1) * sizeof *tags);
    if (!tags)
        return NO_MEMORY;
    for (uint32_t i = 0; i < n && r == READ; i++) {
        ptools_value item;

        (void)ptools_get_item(v, i, &item);
        r = read_text(item, zone, &tags[i]);
    }
    ret->tags = tags;
    ret->n_tags = n;
    return r;
}

static enum outcome read_ids(ptools_value v, msgpack_zone *zone, ptools_queued_info *ret)
{
    uint64_t *ids;
    uint32_t n;

    if (ptools_value_kind(v) != PTOOLS_LIST || ptools_get_count(v, &n) != PTOOLS_OK || n > TASK_AFTER_MAX)
        return WRONG;
    ids = msgpack_zone_malloc(zone, (n + 1) * sizeof *ids);
    if (!ids)
        return NO_MEMORY;
    for (uint32_t i = 0; i < n; i++) {
        ptools_value item;

        (void)ptools_get_item(v, i, &item);
        if (ptools_get_u64(item, &ids[i]) != PTOOLS_OK)
            return WRONG;
    }
    ret->after = ids;
    ret->n_after = n;
    return READ;
}

static enum outcome read_bytes(ptools_value v, msgpack_zone *zone, const void **ret, size_t *ret_n)
{
    const void *data;
    size_t n;

    if (ptools_get_bytes(v, &data, &n) != PTOOLS_OK)
        return WRONG;
    *ret = copy(zone, data, n);
    *ret_n = n;
    return *ret ? READ : NO_MEMORY;
}

static enum outcome read_key(const struct key *key, ptools_value v, msgpack_zone *zone, ptools_queued_info *ret,
                             struct span *ret_args)
{
    void *at = (char *)ret + key->at;
    const void *data;

    switch (key->type) {
    case KEY_U32:
    case KEY_CODE:
        return read_u32(v, at);
    case KEY_U64:
        return ptools_get_u64(v, at) == PTOOLS_OK ? READ : WRONG;
    case KEY_I64:
        return ptools_get_i64(v, at) == PTOOLS_OK ? READ : WRONG;
    case KEY_F64:
        return ptools_get_f64(v, at) == PTOOLS_OK ? READ : WRONG;
    case KEY_BOOL:
        return ptools_get_bool(v, at) == PTOOLS_OK ? READ : WRONG;
    case KEY_TEXT:
        return read_text(v, zone, at);
    case KEY_STATE:
        return read_word(v, task_shown_name, SHOWN_STATES - 1, at);
    case KEY_DURABILITY:
        return read_word(v, durability_word, TASK_DURABLE, at);
    case KEY_BYTES:
        return read_bytes(v, zone, at, &ret->key_bytes);
    case KEY_TAGS:
        return read_tags(v, zone, ret);
    case KEY_IDS:
        return read_ids(v, zone, ret);
    case KEY_ARGS:
        if (read_bytes(v, zone, &data, &ret_args->n) != READ)
            return ptools_value_kind(v) == PTOOLS_BYTES ? NO_MEMORY : WRONG;
        ret_args->data = data;
        return READ;
    }
    return WRONG;
}

/* The key of this name, looked for from *hint on; NULL: it is not known. */
static const struct key *find_key(const char *name, size_t n, size_t *hint)
{
    for (size_t i = 0; i < ELEMENTS(keys); i++) {
        const struct key *key = &keys[*hint];

        *hint = (*hint + 1) % ELEMENTS(keys);
        if (key->n == n && memcmp(key->name, name, n) == 0)
            return key;
    }
    return NULL;
}

static ptools_err malformed(struct ptools *pt, const char *what)
{
    return fail(pt, PTOOLS_ERR_PROTOCOL, "the daemon's list of tasks is not what the protocol says: %s", what);
}

ptools_err queued_read(struct ptools *pt, const struct queued_page *page, uint32_t i, msgpack_zone *zone,
                       ptools_queued_info *ret, struct span *ret_args)
{
    ptools_value row, name, value;
    const char *text;
    size_t hint = 0, n;

    *ret = (ptools_queued_info){
        .function = "", .target = "", .priority = PTOOLS_PRIORITY_LAST, .message = "", .phase = "", .log = "", .output = ""
    };
    *ret_args = (struct span){ 0 };
    (void)ptools_get_item(page->tasks, i, &row);
    if (ptools_value_kind(row) != PTOOLS_MAP)
        return malformed(pt, "a task is no map");
    for (uint32_t k = 0; ptools_get_pair(row, k, &name, &value) == PTOOLS_OK; k++) {
        const struct key *key;

        if (ptools_get_str(name, &text, &n) != PTOOLS_OK)
            return malformed(pt, "a key is no string");
        key = find_key(text, n, &hint);
        switch (key ? read_key(key, value, zone, ret, ret_args) : READ) {
        case READ:
            break;
        case WRONG:
            return malformed(pt, key->name);
        case NO_MEMORY:
            return fail_no_memory(pt);
        }
    }
    if (ret->id == 0 || ret->state == 0)
        return malformed(pt, "a task lacks its id or its state");
    return PTOOLS_OK;
}

bool queued_read_args(const struct span *args, msgpack_zone *zone, msgpack_object *room, ptools_value *ret)
{
    static const struct scan_limits limits = { PAYLOAD_DEPTH_MAX, UINT64_MAX };
    size_t off = 0;

    *ret = (ptools_value){ NULL };
    if (args->n == 0 || scan_value(args->data, args->n, &limits) != SCAN_OK)
        return true;
    /* What the scan let pass is well-formed: memory is all that can be missing. */
    if (msgpack_unpack((const char *)args->data, args->n, &off, zone, room) != MSGPACK_UNPACK_SUCCESS)
        return false;
    *ret = (ptools_value){ room };
    return true;
}

/* -- a page -------------------------------------------------------------------------------------------- */

void queued_page_free(struct queued_page *page)
{
    ptools_future_free(page->f);
}

ptools_err queued_page_ask(struct ptools *pt, struct msg_request *request, struct queued_page *ret)
{
    struct queued_page page = { 0 };
    ptools_value document, next;
    ptools_err err = request_round_trip(pt, request, NULL, &page.f);

    if (err != PTOOLS_OK)
        return err;
    err = future_value(page.f, &document);
    if (err == PTOOLS_OK &&
        (ptools_get_field(document, "tasks", &page.tasks) != PTOOLS_OK ||
         ptools_value_kind(page.tasks) != PTOOLS_LIST || ptools_get_count(page.tasks, &page.n) != PTOOLS_OK))
        err = malformed(pt, "tasks");
    if (err == PTOOLS_OK && ptools_get_field(document, "next", &next) == PTOOLS_OK &&
        (ptools_get_u64(next, &page.next) != PTOOLS_OK || (page.next > 0 && page.next <= request->task.after)))
        err = malformed(pt, "next");
    if (err == PTOOLS_OK)
        *ret = page;
    else
        queued_page_free(&page);
    return err;
}

/* -- a list -------------------------------------------------------------------------------------------- */

struct arguments { /* in the zone of the list */
    struct span raw;
    msgpack_object value;
    bool parsed;
};

struct ptools_queued {
    msgpack_zone *zone;
    size_t n;
    ptools_queued_info *infos;
    struct arguments *args; /* as many; NULL: nobody asked for them */
};

static struct ptools_queued *queued_new(void)
{
    struct ptools_queued *list = calloc(1, sizeof *list);

    if (list)
        list->zone = msgpack_zone_new(MSGPACK_ZONE_CHUNK_SIZE);
    if (list && !list->zone)
        free(TAKE(list));
    return list;
}

ptools_queued *ptools_queued_free(ptools_queued *list)
{
    if (!list)
        return NULL;
    free(list->args);
    free(list->infos);
    msgpack_zone_free(list->zone);
    free(list);
    return NULL;
}

static ptools_err append(struct ptools *pt, struct ptools_queued *list, const struct queued_page *page, bool args)
{
    const size_t n = list->n + page->n;
    ptools_queued_info *infos = realloc(list->infos, (n + 1) * sizeof *infos);
    struct arguments *arguments;

    if (!infos)
        return fail_no_memory(pt);
    list->infos = infos;
    if (args) {
        arguments = realloc(list->args, (n + 1) * sizeof *arguments);
        if (!arguments)
            return fail_no_memory(pt);
        list->args = arguments;
    }
    for (uint32_t i = 0; i < page->n; i++) {
        struct span raw;
        ptools_err err = queued_read(pt, page, i, list->zone, &list->infos[list->n], &raw);

        if (err != PTOOLS_OK)
            return err;
        if (args)
            list->args[list->n] = (struct arguments){ .raw = raw };
        list->n++;
    }
    return PTOOLS_OK;
}

/* All that request asks for, page after page. */
static ptools_err ask_list(struct ptools *pt, struct msg_request *request, uint32_t flags, ptools_queued **ret_list)
{
    const uint32_t known = PTOOLS_LIST_ARGS | (request->kind == MSG_TASK_LIST ? PTOOLS_LIST_NEWEST : 0u);
    struct ptools_queued *list;
    ptools_err err;

    if (!ret_list)
        return fail_static(pt, PTOOLS_ERR_INVALID, "ret_list is NULL");
    if (flags & ~known)
        return fail(pt, PTOOLS_ERR_INVALID, "unknown bits 0x%x in flags", flags & ~known);
    list = queued_new();
    if (!list)
        return fail_no_memory(pt);
    request->task.args = flags & PTOOLS_LIST_ARGS;
    request->task.newest = flags & PTOOLS_LIST_NEWEST;
    do {
        struct queued_page page;

        err = queued_page_ask(pt, request, &page);
        if (err != PTOOLS_OK)
            break;
        err = append(pt, list, &page, request->task.args);
        request->task.after = page.next;
        queued_page_free(&page);
    } while (err == PTOOLS_OK && request->task.after > 0);
    if (err == PTOOLS_OK)
        *ret_list = list;
    else
        ptools_queued_free(list);
    return err;
}

ptools_err ptools_queued_get(ptools *pt, uint64_t task, uint32_t flags, ptools_queued **ret_list)
{
    struct msg_request request = { .kind = MSG_TASK_GET, .task = { .task = task } };
    ptools_err err = handle_check(pt);

    if (err == PTOOLS_OK && task == 0)
        return fail_static(pt, PTOOLS_ERR_INVALID, "task is 0: ids are from 1");
    return err == PTOOLS_OK ? ask_list(pt, &request, flags, ret_list) : err;
}

ptools_err ptools_queued_find(ptools *pt, const void *key, size_t key_bytes, uint32_t flags, ptools_queued **ret_list)
{
    struct msg_request request = { .kind = MSG_TASK_GET, .task = { .key = { key, key_bytes } } };
    ptools_err err = handle_check(pt);

    if (err == PTOOLS_OK && (!key || key_bytes == 0 || key_bytes > KEY_BYTES_MAX))
        return fail(pt, PTOOLS_ERR_INVALID, "key_bytes is %zu%s: 1 to %u", key_bytes, key ? "" : ", and key is NULL",
                    KEY_BYTES_MAX);
    return err == PTOOLS_OK ? ask_list(pt, &request, flags, ret_list) : err;
}

ptools_err ptools_queued_list(ptools *pt, uint32_t states, const char *tag, uint32_t flags, ptools_queued **ret_list)
{
    struct msg_request request = { .kind = MSG_TASK_LIST, .task = { .states = states } };
    const uint32_t known = (1u << SHOWN_STATES) - (1u << SHOWN_WAITING);
    ptools_err err = handle_check(pt);

    if (err != PTOOLS_OK)
        return err;
    if (states & ~known)
        return fail(pt, PTOOLS_ERR_INVALID, "unknown bits 0x%x in states: 1 << PTOOLS_QUEUED_... of each, or 0 for all",
                    states & ~known);
    if (tag && !name_ok_tag(tag, strlen(tag)))
        return fail(pt, PTOOLS_ERR_INVALID,
                    "tag is \"%.80s\": 1 to %u of A-Z a-z 0-9 _ - . : / = @ + are allowed, or NULL for all", tag,
                    NAME_BYTES_MAX);
    request.task.tag = (struct text){ tag, tag ? strlen(tag) : 0 };
    return ask_list(pt, &request, flags, ret_list);
}

size_t ptools_queued_count(const ptools_queued *list)
{
    return list ? list->n : 0;
}

/* Arguments are taken apart here: the list is the same for who looks at it. */
const ptools_queued_info *ptools_queued_at(const ptools_queued *list, size_t i)
{
    struct arguments *args;

    if (!list || i >= list->n)
        return NULL;
    args = list->args ? &list->args[i] : NULL;
    if (args && !args->parsed) /* what there is no memory for is nil until there is some */
        args->parsed = queued_read_args(&args->raw, list->zone, &args->value, &list->infos[i].args);
    return &list->infos[i];
}
