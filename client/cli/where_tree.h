/* SPDX-License-Identifier: MIT */
/*
 * where_tree -- what where_words.c, where.c and where_walk.c have in common: the words of an expression, and the tree
 * that is made of them.
 */
#ifndef CLI_WHERE_TREE_H
#define CLI_WHERE_TREE_H

#include "client/cli/task_field.h"

enum operator_kind {
    OP_OR,
    OP_AND,
    OP_NOT,   /* a and b are the same */
    OP_EQUAL, /* from here ... */
    OP_UNEQUAL,
    OP_LESS,
    OP_AT_MOST,
    OP_MORE,
    OP_AT_LEAST,
    OP_LIKE, /* ... to here they compare */
    OP_PLUS,
    OP_MINUS,
    OP_TIMES,
    OP_BY,
    OP_NEGATIVE, /* a and b are the same */
    OP_OPEN,     /* no node is one of these */
    OP_CLOSE
};
enum node_kind { KIND_CONDITION, KIND_NUMBER, KIND_TEXT, KIND_TEXTS, KIND_IDS };
struct node {
    enum { NODE_OPERATOR, NODE_NUMBER, NODE_STRING, NODE_TRUTH, NODE_FIELD, NODE_NOW } what;
    enum node_kind kind;
    enum field_unit unit; /* of a number */
    enum operator_kind op;
    int a, b;
    double scale_a, scale_b; /* by what the numbers are multiplied first, to be of one unit */
    double number;           /* NODE_NUMBER; NODE_TRUTH: 0 or 1 */
    size_t string, bytes;    /* NODE_STRING: in strings */
    const struct task_field *field;
    size_t at, n; /* in the text */
};
struct where {
    struct node *nodes;
    char *strings;
    size_t strings_used;
    int n, root;
    bool varies; /* from task to task, or with time */
};

enum token_kind { TOKEN_END, TOKEN_NUMBER, TOKEN_STRING, TOKEN_NAME, TOKEN_OPERATOR };
struct token {
    enum token_kind kind;
    size_t at, n;         /* in the text */
    double number;        /* TOKEN_NUMBER ... */
    enum field_unit unit; /* ... UNIT_TIME: in microseconds */
    size_t string, bytes; /* TOKEN_STRING: in where->strings */
    enum operator_kind op;
};

struct parser {
    struct where *where;
    const char *text;
    struct token token; /* the next one */
    unsigned depth;
    char *why;
    bool wrong; /* it sticks, and why tells of the first */
};

enum { WHERE_NONE = -1 };
/* Notes a mistake at n bytes from at on (n 0: at the end), if it is the first. WHERE_NONE. */
int where_wrong(struct parser *p, size_t at, size_t n, const char *format, ...)
    __attribute__((__format__(__printf__, 4, 5)));
void where_next(struct parser *p);

#endif
