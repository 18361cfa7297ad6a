/* SPDX-License-Identifier: MIT */
/*
 * journal_row -- see journal_row.h.
 *
 * SQLite checks the frames of its log, but not the pages of its database. So each row carries a checksum over all of
 * its columns, its key included: a bit that flips anywhere in it is found when it is read. What is summed is a fixed
 * order of little-endian numbers; a blob is its length, or all ones where there is none, and its bytes.
 */
#include "daemon/ptoolsd/journal_row.h"

#include <string.h>

/* -- CRC-32C ------------------------------------------------------------------------------------------------ */

uint32_t crc32c_portable(uint32_t crc, const void *data, size_t n)
{
    static const uint32_t nibbles[16] = {
        /* of the reversed polynomial 0x82f63b78 */
        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
        0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
    };
    const uint8_t *p = data;

    for (crc = ~crc; n > 0; n--, p++) {
        crc = crc >> 4 ^ nibbles[(crc ^ *p) & 15];
        crc = crc >> 4 ^ nibbles[(crc ^ *p >> 4) & 15];
    }
    return ~crc;
}

#ifdef __x86_64__
__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(uint32_t crc, const void *data, size_t n)
{
    const uint8_t *p = data;
    uint64_t c = ~crc, word;

    for (; n >= sizeof word; n -= sizeof word, p += sizeof word) {
        memcpy(&word, p, sizeof word);
        c = __builtin_ia32_crc32di(c, word);
    }
    for (; n > 0; n--, p++)
        c = __builtin_ia32_crc32qi((uint32_t)c, *p);
    return ~(uint32_t)c;
}
#endif

uint32_t crc32c(uint32_t crc, const void *data, size_t n)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("sse4.2"))
        return crc32c_sse42(crc, data, n);
#endif
    return crc32c_portable(crc, data, n);
}

/* -- rows ------------------------------------------------------------------------------------------------------ */

static void put(uint8_t **p, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        *(*p)++ = (uint8_t)(v >> 8 * i);
}

static uint64_t length(const struct blob *blob)
{
    return blob ? blob->n : UINT64_MAX;
}

static uint32_t with_blob(uint32_t crc, const struct blob *blob)
{
    return blob ? crc32c(crc, blob->data, blob->n) : crc;
}

uint32_t journal_row_task_crc(const struct core_row *row)
{
    uint8_t numbers[6 * 8], *p = numbers;

    put(&p, row->task);
    put(&p, row->uid);
    put(&p, row->parent);
    put(&p, row->queued_ms);
    put(&p, length(row->spec));
    put(&p, length(row->args));
    return with_blob(with_blob(crc32c(0, numbers, sizeof numbers), row->spec), row->args);
}

uint32_t journal_row_life_crc(const struct core_row *row)
{
    const struct core_life *l = &row->life;
    uint8_t numbers[14 * 8], *p = numbers;
    uint64_t priority;

    memcpy(&priority, &l->priority, sizeof priority);
    put(&p, row->task);
    put(&p, l->state);
    put(&p, l->attempt);
    put(&p, l->kills);
    put(&p, l->losses);
    put(&p, l->worker);
    put(&p, l->flags);
    put(&p, priority);
    put(&p, l->due_ms);
    put(&p, l->started_ms);
    put(&p, l->ended_ms);
    put(&p, l->detail);
    put(&p, length(row->outcome));
    put(&p, length(row->value));
    return with_blob(with_blob(crc32c(0, numbers, sizeof numbers), row->outcome), row->value);
}

uint64_t journal_row_bytes(const struct core_row *row)
{
    const struct blob *const blobs[] = { row->spec, row->args, row->outcome, row->value };
    uint64_t n = 0;

    for (size_t i = 0; i < ELEMENTS(blobs); i++)
        n += blobs[i] ? blobs[i]->n : 0;
    return n;
}

/* -- lists ----------------------------------------------------------------------------------------------------- */

void row_list_push(struct row_list *list, struct core_row *take)
{
    if (!list->head)
        list->tail = &list->head;
    take->next = NULL;
    *list->tail = take;
    list->tail = &take->next;
}

struct core_row *row_list_pop(struct row_list *list)
{
    struct core_row *row = list->head;

    if (row)
        list->head = row->next;
    return row;
}

void row_list_move(struct row_list *from, struct row_list *to)
{
    if (!from->head)
        return;
    if (!to->head)
        to->tail = &to->head;
    *to->tail = from->head;
    to->tail = from->tail;
    from->head = NULL;
}

void row_list_clear(struct row_list *list)
{
    struct core_row *row;

    while ((row = row_list_pop(list)))
        core_row_free(row);
}
