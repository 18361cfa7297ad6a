/* SPDX-License-Identifier: MIT */
/*
 * where_walk -- what an expression says of a task. All types were checked when it was read (where.c): nothing here can
 * fail. A division by zero is what it is for floating-point numbers.
 */
#include <math.h>
#include <string.h>

#include "client/cli/where.h"
#include "client/cli/where_tree.h"

struct walk {
    const struct where *where;
    const ptools_queued_info *task;
    int64_t now_ms;
};
struct text {
    const char *s;
    size_t n;
};

static double number(const struct walk *w, int index)
{
    const struct node *node = &w->where->nodes[index];
    double a, b;

    if (node->what == NODE_NUMBER)
        return node->number;
    if (node->what == NODE_NOW)
        return (double)w->now_ms;
    if (node->what == NODE_FIELD)
        return task_field_number(node->field, w->task, w->now_ms);
    a = number(w, node->a) * node->scale_a;
    if (node->op == OP_NEGATIVE)
        return -a;
    b = number(w, node->b) * node->scale_b;
    return node->op == OP_PLUS ? a + b : node->op == OP_MINUS ? a - b : node->op == OP_TIMES ? a * b : a / b;
}

static struct text text(const struct walk *w, int index)
{
    const struct node *node = &w->where->nodes[index];
    struct text t = { w->where->strings + node->string, node->bytes };

    if (node->what == NODE_FIELD)
        t.s = task_field_text(node->field, w->task, &t.n);
    return t;
}

/* How many bytes the character at s has; one, if it is none of UTF-8. */
static size_t character(struct text t, size_t at)
{
    size_t n = 1;

    while (at + n < t.n && ((unsigned char)t.s[at + n] & 0xc0) == 0x80)
        n++;
    return n;
}

/* When it goes wrong behind a *, that one takes a character more; an earlier one need not be tried again. */
static bool like(struct text t, struct text pattern)
{
    size_t at = 0, in = 0, star = SIZE_MAX, from = 0;

    while (at < t.n) {
        if (in < pattern.n && pattern.s[in] == '*') {
            star = in++;
            from = at;
        } else if (in < pattern.n && pattern.s[in] == '?') {
            in++;
            at += character(t, at);
        } else if (in < pattern.n && pattern.s[in] == t.s[at]) {
            in++;
            at++;
        } else if (star != SIZE_MAX) {
            in = star + 1;
            at = from += character(t, from);
        } else {
            return false;
        }
    }
    while (in < pattern.n && pattern.s[in] == '*')
        in++;
    return in == pattern.n;
}

static bool compare_texts(struct text a, struct text b, enum operator_kind op)
{
    return op == OP_LIKE ? like(a, b) : a.n == b.n && (a.n == 0 || memcmp(a.s, b.s, a.n) == 0);
}

static bool compare_numbers(double a, double b, enum operator_kind op)
{
    switch (op) {
    case OP_LESS:
        return a < b;
    case OP_AT_MOST:
        return a <= b;
    case OP_MORE:
        return a > b;
    case OP_AT_LEAST:
        return a >= b;
    default:
        return !(a < b) && !(a > b) && !isnan(a) && !isnan(b);
    }
}

static bool holds(const struct walk *w, int index);

/* As if it were ==, for !=. */
static bool compare(const struct walk *w, const struct node *node)
{
    const ptools_queued_info *task = w->task;
    bool found = false;

    switch (w->where->nodes[node->a].kind) {
    case KIND_CONDITION:
        return holds(w, node->a) == holds(w, node->b);
    case KIND_NUMBER:
        return compare_numbers(number(w, node->a) * node->scale_a, number(w, node->b) * node->scale_b, node->op);
    case KIND_TEXT:
        return compare_texts(text(w, node->a), text(w, node->b), node->op);
    case KIND_TEXTS:
        for (uint32_t i = 0; i < task->n_tags && !found; i++)
            found = compare_texts((struct text){ task->tags[i], strlen(task->tags[i]) }, text(w, node->b), node->op);
        return found;
    case KIND_IDS:
        for (uint32_t i = 0; i < task->n_after && !found; i++)
            found = compare_numbers((double)task->after[i], number(w, node->b), OP_EQUAL);
        return found;
    }
    return false;
}

static bool holds(const struct walk *w, int index)
{
    const struct node *node = &w->where->nodes[index];

    if (node->what == NODE_TRUTH)
        return node->number != 0.0;
    if (node->what == NODE_FIELD)
        return task_field_bool(node->field, w->task);
    switch (node->op) {
    case OP_OR:
        return holds(w, node->a) || holds(w, node->b);
    case OP_AND:
        return holds(w, node->a) && holds(w, node->b);
    case OP_NOT:
        return !holds(w, node->a);
    case OP_UNEQUAL:
        return !compare(w, node);
    default:
        return compare(w, node);
    }
}

bool where_holds(const struct where *where, const ptools_queued_info *task, int64_t now_ms)
{
    return holds(&(struct walk){ where, task, now_ms }, where->root);
}

double where_number(const struct where *where, const ptools_queued_info *task, int64_t now_ms)
{
    return number(&(struct walk){ where, task, now_ms }, where->root);
}

bool where_is_constant(const struct where *where)
{
    return !where->varies;
}
