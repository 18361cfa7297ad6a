/* SPDX-License-Identifier: MIT */
/*
 * where -- see where.h. A parser by descent, one function for each strength of operators, which makes a tree of nodes
 * and knows the type of each as soon as it is made; where_words.c finds its words, and where_walk.c walks over the
 * tree.
 *
 * Pure: no clock, no locale, no daemon. Bounded: the text by WHERE_TEXT_BYTES, what is within another by DEPTH_MAX;
 * each node takes at least one byte of the text, so there are no more nodes than bytes.
 */
#include "client/cli/where.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/where_tree.h"
#include "client/cli/words.h"

enum { DEPTH_MAX = 50, NONE = WHERE_NONE };

static int wrong_token(struct parser *p, const char *what)
{
    return where_wrong(p, p->token.at, p->token.n, "%s", what);
}

static int wrong_node(struct parser *p, int node, const char *what)
{
    const struct node *n = &p->where->nodes[node];
    static const char *const kinds[] = { "a condition", "a number", "a string", "a list of strings", "a list of ids" };

    return where_wrong(p, n->at, n->n, "%s; this is %s", what, kinds[n->kind]);
}

static bool is(const struct parser *p, enum operator_kind op)
{
    return p->token.kind == TOKEN_OPERATOR && p->token.op == op;
}

/* -- nodes ---------------------------------------------------------------------------------------------- */

static int add(struct parser *p, struct node node)
{
    p->where->nodes[p->where->n] = node;
    return p->where->n++;
}

static int add_binary(struct parser *p, enum operator_kind op, enum node_kind kind, int a, int b)
{
    const struct node *left = &p->where->nodes[a], *right = &p->where->nodes[b];

    return add(p, (struct node){ .what = NODE_OPERATOR,
                                 .kind = kind,
                                 .op = op,
                                 .a = a,
                                 .b = b,
                                 .at = left->at,
                                 .n = right->at + right->n - left->at,
                                 .scale_a = 1,
                                 .scale_b = 1 });
}

static const double us_of[] = { [UNIT_NONE] = 1, [UNIT_MS] = 1e3, [UNIT_US] = 1, [UNIT_TIME] = 1 };

/* Two numbers that are added or compared come to one unit; *ret is it. false: they have none in common. */
static bool agree(struct parser *p, int a, int b, struct node *op, enum field_unit *ret)
{
    enum field_unit left = p->where->nodes[a].unit, right = p->where->nodes[b].unit;

    if (left == right || left == UNIT_NONE || right == UNIT_NONE) {
        int bare = left == UNIT_NONE ? a : b, other = left == UNIT_NONE ? b : a;

        *ret = left == UNIT_NONE ? right : left;
        if (left == right || *ret != UNIT_TIME)
            return true;
        where_wrong(p, p->where->nodes[bare].at, p->where->nodes[bare].n,
                    "%.*s is a duration, and this is a number without a unit: 10s, 5m, 1h are durations",
                    (int)(p->where->nodes[other].n < 40 ? p->where->nodes[other].n : 40),
                    p->text + p->where->nodes[other].at);
        return false;
    }
    op->scale_a = us_of[left];
    op->scale_b = us_of[right];
    *ret = UNIT_TIME;
    return true;
}

static bool is_number(struct parser *p, int node, const char *what)
{
    if (p->where->nodes[node].kind == KIND_NUMBER)
        return true;
    wrong_node(p, node, what);
    return false;
}

static int add_sum(struct parser *p, enum operator_kind op, int a, int b)
{
    static const char what[] = "+ and - take numbers";
    enum field_unit unit;
    int sum;

    if (!is_number(p, a, what) || !is_number(p, b, what))
        return NONE;
    sum = add_binary(p, op, KIND_NUMBER, a, b);
    if (!agree(p, a, b, &p->where->nodes[sum], &unit))
        return NONE;
    p->where->nodes[sum].unit = unit;
    return sum;
}

static int add_product(struct parser *p, enum operator_kind op, int a, int b)
{
    static const char what[] = "* and / take numbers";
    struct node *node;
    enum field_unit left, right;
    int product;

    if (!is_number(p, a, what) || !is_number(p, b, what))
        return NONE;
    left = p->where->nodes[a].unit;
    right = p->where->nodes[b].unit;
    product = add_binary(p, op, KIND_NUMBER, a, b);
    node = &p->where->nodes[product];
    if (right == UNIT_NONE || (op == OP_TIMES && left == UNIT_NONE)) {
        node->unit = right == UNIT_NONE ? left : right;
        return product;
    }
    if (op == OP_BY && left != UNIT_NONE) { /* how often the one is in the other */
        node->scale_a = left == right ? 1 : us_of[left];
        node->scale_b = left == right ? 1 : us_of[right];
        return product;
    }
    return where_wrong(p, node->at, node->n,
                       "a time is multiplied by a number, and divided by a number or another time");
}

/* A text that is compared with a field of few values must be one of them. */
static bool check_choice(struct parser *p, int field, int text)
{
    const struct node *f = &p->where->nodes[field], *t = &p->where->nodes[text];
    char all[200] = "";
    size_t n = 0;

    if (f->what != NODE_FIELD || t->what != NODE_STRING || f->field->last == 0)
        return true;
    for (int i = f->field->first; i <= f->field->last; i++) {
        const char *name = f->field->value_name(i);

        if (strlen(name) == t->bytes && memcmp(name, p->where->strings + t->string, t->bytes) == 0)
            return true;
        n += (size_t)snprintf(all + n, sizeof all - n, "%s%s", n ? ", " : "", name);
    }
    where_wrong(p, t->at, t->n, "no %s is called so; there are %s", f->field->name, all);
    return false;
}

static int add_comparison(struct parser *p, enum operator_kind op, int a, int b)
{
    const enum node_kind left = p->where->nodes[a].kind, right = p->where->nodes[b].kind;
    const bool same = op == OP_EQUAL || op == OP_UNEQUAL;
    enum field_unit unit;
    int node;

    if (right == KIND_TEXTS || right == KIND_IDS)
        return wrong_node(p, b, "a list stands on the left of a comparison");
    if (op == OP_LIKE && left != KIND_TEXT && left != KIND_TEXTS)
        return wrong_node(p, a, "~ compares a string with a pattern, which is a string, too");
    if (op == OP_LIKE && right != KIND_TEXT)
        return wrong_node(p, b, "~ compares a string with a pattern, which is a string, too");
    if (op != OP_LIKE && !same && left != KIND_NUMBER)
        return wrong_node(p, a, "< <= > >= compare numbers");
    if ((left == KIND_TEXTS ? KIND_TEXT : left == KIND_IDS ? KIND_NUMBER : left) != right)
        return wrong_node(p, b,
                          left == KIND_NUMBER || left == KIND_IDS ? "what stands before it is compared with a number"
                          : left == KIND_CONDITION                ? "what stands before it is compared with a condition"
                                                                  : "what stands before it is compared with a string");
    if (same && (!check_choice(p, a, b) || !check_choice(p, b, a)))
        return NONE;
    node = add_binary(p, op, KIND_CONDITION, a, b);
    if (right == KIND_NUMBER && !agree(p, a, b, &p->where->nodes[node], &unit))
        return NONE;
    return node;
}

static int add_logic(struct parser *p, enum operator_kind op, int a, int b)
{
    const char *what = op == OP_NOT   ? "! takes a condition"
                       : op == OP_AND ? "&& takes conditions"
                                      : "|| takes conditions";

    if (p->where->nodes[a].kind != KIND_CONDITION)
        return wrong_node(p, a, what);
    if (p->where->nodes[b].kind != KIND_CONDITION)
        return wrong_node(p, b, what);
    return add_binary(p, op, KIND_CONDITION, a, b);
}

/* -- the grammar ---------------------------------------------------------------------------------------- */

static int parse_or(struct parser *p);

static int unknown_name(struct parser *p)
{
    char name[41], all[500] = "";
    struct nearest near;
    size_t n = 0;

    snprintf(name, sizeof name, "%.*s", (int)(p->token.n < 40 ? p->token.n : 40), p->text + p->token.at);
    nearest_init(&near, name);
    for (const struct task_field *f = task_fields; f->name; f++) {
        const char *known = f->one ? f->one : f->name;

        nearest_offer(&near, known);
        n += (size_t)snprintf(all + n, sizeof all - n, "%s%s", n ? ", " : "", known);
    }
    if (near.best)
        return where_wrong(p, p->token.at, p->token.n,
                           "there is no such field; the nearest is %s (a string is in quotes)", near.best);
    return where_wrong(p, p->token.at, p->token.n,
                       "there is no such field (a string is in quotes); there are %s, and now", all);
}

static int parse_name(struct parser *p)
{
    static const struct {
        const char *name;
        struct node node;
    } words[] = {
        { "true", { .what = NODE_TRUTH, .kind = KIND_CONDITION, .number = 1 } },
        { "false", { .what = NODE_TRUTH, .kind = KIND_CONDITION, .number = 0 } },
        { "inf", { .what = NODE_NUMBER, .kind = KIND_NUMBER, .number = HUGE_VAL } },
        { "now", { .what = NODE_NOW, .kind = KIND_NUMBER, .unit = UNIT_MS } },
    };
    const char *name = p->text + p->token.at;
    const struct task_field *field = task_field_find_one(name, p->token.n);
    struct node node = { .what = NODE_FIELD, .field = field };
    bool known = field;

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strlen(words[i].name) == p->token.n && memcmp(words[i].name, name, p->token.n) == 0) {
            node = words[i].node;
            known = true;
        }
    }
    if (!known)
        return unknown_name(p);
    if (node.what == NODE_FIELD) {
        node.unit = field->unit;
        node.kind = field->kind == FIELD_BOOL ? KIND_CONDITION
                    : field->kind == FIELD_TEXT || field->kind == FIELD_NAMED || field->kind == FIELD_KEY ? KIND_TEXT
                    : field->kind == FIELD_TAGS                                                           ? KIND_TEXTS
                    : field->kind == FIELD_AFTER                                                          ? KIND_IDS
                                                                                                          : KIND_NUMBER;
    }
    p->where->varies = p->where->varies || node.what == NODE_FIELD || node.what == NODE_NOW;
    node.at = p->token.at;
    node.n = p->token.n;
    return add(p, node);
}

static int parse_value(struct parser *p)
{
    const struct token t = p->token;
    int node = NONE;

    if (is(p, OP_OPEN)) {
        where_next(p);
        node = parse_or(p);
        if (!p->wrong && !is(p, OP_CLOSE))
            return wrong_token(p, "a ) is missing before this");
        if (!p->wrong) { /* messages show it with its parentheses */
            p->where->nodes[node].at = t.at;
            p->where->nodes[node].n = p->token.at + 1 - t.at;
        }
    } else if (t.kind == TOKEN_NUMBER) {
        node = add(
            p,
            (struct node){
                .what = NODE_NUMBER, .kind = KIND_NUMBER, .number = t.number, .unit = t.unit, .at = t.at, .n = t.n });
    } else if (t.kind == TOKEN_STRING) {
        node = add(
            p,
            (struct node){
                .what = NODE_STRING, .kind = KIND_TEXT, .string = t.string, .bytes = t.bytes, .at = t.at, .n = t.n });
    } else if (t.kind == TOKEN_NAME) {
        node = parse_name(p);
    } else {
        return wrong_token(p, "here a field, a number or a string is missing");
    }
    if (!p->wrong)
        where_next(p);
    return node;
}

static int parse_sign(struct parser *p)
{
    const size_t at = p->token.at;
    int node, sign;

    if (!is(p, OP_MINUS))
        return parse_value(p);
    if (++p->depth > DEPTH_MAX)
        return wrong_token(p, "this is nested too deeply");
    where_next(p);
    node = p->wrong ? NONE : parse_sign(p);
    p->depth--;
    if (p->wrong || !is_number(p, node, "- takes a number"))
        return NONE;
    sign = add_binary(p, OP_NEGATIVE, KIND_NUMBER, node, node);
    p->where->nodes[sign].unit = p->where->nodes[node].unit;
    p->where->nodes[sign].n += p->where->nodes[sign].at - at;
    p->where->nodes[sign].at = at;
    return sign;
}

static int parse_product(struct parser *p)
{
    int node = p->wrong ? NONE : parse_sign(p);

    while (!p->wrong && (is(p, OP_TIMES) || is(p, OP_BY))) {
        enum operator_kind op = p->token.op;
        int right;

        where_next(p);
        right = p->wrong ? NONE : parse_sign(p);
        node = p->wrong ? NONE : add_product(p, op, node, right);
    }
    return node;
}

static int parse_sum(struct parser *p)
{
    int node = parse_product(p);

    while (!p->wrong && (is(p, OP_PLUS) || is(p, OP_MINUS))) {
        enum operator_kind op = p->token.op;
        int right;

        where_next(p);
        right = parse_product(p);
        node = p->wrong ? NONE : add_sum(p, op, node, right);
    }
    return node;
}

static bool compares(const struct parser *p)
{
    return p->token.kind == TOKEN_OPERATOR && p->token.op >= OP_EQUAL && p->token.op <= OP_LIKE;
}

static int parse_comparison(struct parser *p)
{
    int node = parse_sum(p), right;
    enum operator_kind op;

    if (p->wrong || !compares(p))
        return node;
    op = p->token.op;
    where_next(p);
    right = parse_sum(p);
    node = p->wrong ? NONE : add_comparison(p, op, node, right);
    if (!p->wrong && compares(p))
        return wrong_token(p, "one comparison is not compared with another; join them by &&");
    return node;
}

static int parse_not(struct parser *p)
{
    const size_t at = p->token.at;
    int node;

    if (++p->depth > DEPTH_MAX)
        return wrong_token(p, "this is nested too deeply");
    if (is(p, OP_NOT)) {
        where_next(p);
        node = p->wrong ? NONE : parse_not(p);
        node = p->wrong ? NONE : add_logic(p, OP_NOT, node, node);
        if (!p->wrong) {
            p->where->nodes[node].n += p->where->nodes[node].at - at;
            p->where->nodes[node].at = at;
        }
    } else {
        node = parse_comparison(p);
    }
    p->depth--;
    return node;
}

static int parse_and(struct parser *p)
{
    int node = p->wrong ? NONE : parse_not(p);

    while (!p->wrong && is(p, OP_AND)) {
        int right;

        where_next(p);
        right = p->wrong ? NONE : parse_not(p);
        node = p->wrong ? NONE : add_logic(p, OP_AND, node, right);
    }
    return node;
}

static int parse_or(struct parser *p)
{
    int node = parse_and(p);

    while (!p->wrong && is(p, OP_OR)) {
        int right;

        where_next(p);
        right = parse_and(p);
        node = p->wrong ? NONE : add_logic(p, OP_OR, node, right);
    }
    return node;
}

static int parse(struct parser *p, enum where_kind kind)
{
    int node;

    where_next(p);
    node = parse_or(p);
    if (!p->wrong && p->token.kind != TOKEN_END)
        wrong_token(p, is(p, OP_CLOSE) ? "no ( stands before it" : "an operator is missing before this");
    if (p->wrong)
        return NONE;
    if (kind == WHERE_CONDITION && p->where->nodes[node].kind != KIND_CONDITION)
        return wrong_node(p, node, "a condition is wanted, such as state == \"queued\"");
    if (kind == WHERE_NUMBER && p->where->nodes[node].kind != KIND_NUMBER)
        return wrong_node(p, node, "a number is wanted");
    if (kind == WHERE_NUMBER && p->where->nodes[node].unit == UNIT_TIME)
        return where_wrong(p, p->where->nodes[node].at, p->where->nodes[node].n,
                           "a number is wanted, and this is a duration: divide it by one, as in age / 1s");
    return node;
}

int where_new(const char *text, enum where_kind kind, struct where **ret, char why[WHERE_WHY_BYTES])
{
    size_t n = strlen(text);
    struct where *w;
    struct parser p = { .text = text, .why = why };

    if (n > WHERE_TEXT_BYTES) {
        snprintf(why, WHERE_WHY_BYTES, "an expression has at most %d bytes; this one has %zu", WHERE_TEXT_BYTES, n);
        return 1;
    }
    w = calloc(1, sizeof *w);
    if (!w)
        return -ENOMEM;
    w->nodes = calloc(n + 1, sizeof *w->nodes);
    w->strings = malloc(n + 1);
    if (!w->nodes || !w->strings) {
        where_free(w);
        return -ENOMEM;
    }
    p.where = w;
    w->root = parse(&p, kind);
    if (p.wrong) {
        where_free(w);
        return 1;
    }
    *ret = w;
    return 0;
}

struct where *where_free(struct where *w)
{
    if (w) {
        free(w->nodes);
        free(w->strings);
        free(w);
    }
    return NULL;
}
