/* SPDX-License-Identifier: MIT */
/*
 * zmtp -- see zmtp.h.
 *
 *   GREETING --64 good bytes--> HANDSHAKE --a good READY--> OPEN        any --error--> FAILED
 *
 * All checks of a frame are made on its header, before its body has come (frame_begin); a body that is
 * there is only stored (message frames) or parsed (commands). A header is taken from the intake as
 * soon as it is whole.
 *
 * The frames of one message are handed out together, but small bodies are looks into the intake's
 * buffer, which moves with the next read. So before zmtp_next() asks for more, it copies those that it
 * holds into blobs (keep_frames). That happens to a message that a read has cut in two, at most one of
 * a whole buffer; all the others are never copied and cost no allocation.
 *
 * PING and PONG are taken between the frames of a message too: libzmq sends them there when its timer
 * fires while a long message is on its way.
 */
#include "proto/zmtp.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "proto/text.h"

enum { FLAG_MORE = 1, FLAG_LONG = 2, FLAG_COMMAND = 4, FLAGS_KNOWN = 7 };
enum { HEAD_SHORT = 2, HEAD_LONG = 9, SHORT_MAX = 255 };

_Static_assert((int)ZMTP_COMMAND_BYTES < (int)INTAKE_BLOB_BYTES, "a command's body is never a blob");

static const char greeting[ZMTP_GREETING_BYTES] = "\xff\0\0\0\0\0\0\0\0\x7f"
                                                  "\3\1"
                                                  "NULL";
enum { AT_SIGNATURE_END = 9, AT_MAJOR = 10, AT_MINOR = 11, AT_MECHANISM = 12, AT_AS_SERVER = 32 };

/* The one property of our READY. */
static const char metadata_router[] = "\x0bSocket-Type\0\0\0\x06ROUTER";
static const char metadata_dealer[] = "\x0bSocket-Type\0\0\0\x06"
                                      "DEALER";

/* -- failing ------------------------------------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) static void fail(struct zmtp *z, enum zmtp_error error, const char *format, ...)
{
    va_list ap;

    z->state = ZMTP_FAILED;
    z->error = error;
    va_start(ap, format);
    vsnprintf(z->problem, sizeof z->problem, format, ap);
    va_end(ap);
    text_clean(z->problem, strlen(z->problem), false); /* what was cut off may have been half a character */
    zmtp_message_deinit(&z->message);
}

static void fail_memory(struct zmtp *z)
{
    fail(z, ZMTP_NO_MEMORY, "out of memory");
}

/* A peer's word, short and fit to be shown. */
struct word {
    char text[33];
};
static struct word word_of(const uint8_t *data, size_t n)
{
    struct word w;

    n = MIN(n, sizeof w.text - 1);
    memcpy(w.text, data, n);
    text_clean(w.text, n, false);
    w.text[n] = '\0';
    return w;
}

/* -- frames out ---------------------------------------------------------------------------------- */

static uint64_t be_get(const uint8_t *p, unsigned bytes)
{
    uint64_t v = 0;

    while (bytes-- > 0)
        v = v << 8 | *p++;
    return v;
}

/* Writes the header of a frame of n bytes; returns what follows it. */
static uint8_t *head_put(uint8_t *p, uint8_t flags, uint64_t n)
{
    if (n <= SHORT_MAX) {
        *p++ = flags;
        *p++ = (uint8_t)n;
        return p;
    }
    *p++ = flags | FLAG_LONG;
    for (int shift = 56; shift >= 0; shift -= 8)
        *p++ = (uint8_t)(n >> shift);
    return p;
}

static int command_put(struct chain *out, const char *name, const void *data, size_t n)
{
    size_t name_n = strlen(name);
    size_t body = 1 + name_n + n;
    uint8_t *p = chain_extend(out, (body > SHORT_MAX ? HEAD_LONG : HEAD_SHORT) + body);

    if (!p)
        return -ENOMEM;
    p = head_put(p, FLAG_COMMAND, body);
    *p++ = (uint8_t)name_n;
    memcpy(p, name, name_n);
    if (n > 0)
        memcpy(p + name_n, data, n);
    return 0;
}

static int ready_put(enum zmtp_side side, struct chain *out)
{
    const char *metadata = side == ZMTP_SERVER ? metadata_router : metadata_dealer;

    return command_put(out, "READY", metadata, sizeof metadata_router - 1);
}
_Static_assert(sizeof metadata_router == sizeof metadata_dealer, "one size for both");

/* Tells the peer why its handshake fails. If there is no memory for it, the peer sees the end only. */
static void error_put(const struct zmtp *z, struct chain *out)
{
    char reason[1 + sizeof z->problem];
    size_t n = strlen(z->problem);

    reason[0] = (char)n;
    memcpy(reason + 1, z->problem, n);
    (void)command_put(out, "ERROR", reason, 1 + n);
}
_Static_assert(sizeof(((struct zmtp *)0)->problem) <= SHORT_MAX, "a reason has a length of one byte");

int zmtp_refuse(struct chain *out, const char *reason)
{
    const struct zmtp_limits limits = { 0 };
    struct zmtp z;
    int r = zmtp_init(&z, ZMTP_SERVER, &limits, out);

    snprintf(z.problem, sizeof z.problem, "%s", reason);
    if (r == 0)
        error_put(&z, out);
    zmtp_deinit(&z);
    return r;
}

static int frame_put(struct chain *out, const struct span *f, uint8_t flags)
{
    size_t head = f->n > SHORT_MAX ? HEAD_LONG : HEAD_SHORT;
    bool refer = f->blob && f->n >= CHAIN_COPY_BYTES && f->data + f->n == f->blob->data + f->blob->n;
    uint8_t *p = chain_extend(out, refer ? head : head + f->n);

    if (!p)
        return -ENOMEM;
    p = head_put(p, flags, f->n);
    if (refer)
        return chain_append_blob(out, f->blob, (size_t)(f->data - f->blob->data));
    if (f->n > 0)
        memcpy(p, f->data, f->n);
    return 0;
}

int zmtp_send(const struct zmtp *z, struct chain *out, const struct span *frames, unsigned n)
{
    static const struct span delimiter;
    size_t before = out->n;
    int r = 0;

    assert(n > 0 && z->state >= ZMTP_OPEN);
    if (z->peer_is_req)
        r = frame_put(out, &delimiter, FLAG_MORE);
    for (unsigned i = 0; i < n && r == 0; i++)
        r = frame_put(out, &frames[i], i + 1 < n ? FLAG_MORE : 0);
    if (r < 0)
        chain_truncate(out, before);
    return r;
}

/* -- greeting ------------------------------------------------------------------------------------ */

/* Judges the first n bytes of the greeting, in order: the first wrong byte decides. The padding and the
 * filler have no meaning (RFC 37) and are not looked at. */
static void greeting_check(struct zmtp *z, const uint8_t *g, size_t n)
{
    if (g[0] == 1) {
        fail(z, ZMTP_BAD_VERSION, "the peer speaks ZMTP 1, this side needs 3");
        return;
    }
    if (g[0] != (uint8_t)greeting[0]) {
        fail(z, ZMTP_BAD_SIGNATURE, "not ZMTP: the first byte is 0x%02x, not 0xff", g[0]);
        return;
    }
    if (n > AT_SIGNATURE_END && g[AT_SIGNATURE_END] != (uint8_t)greeting[AT_SIGNATURE_END]) {
        fail(z, ZMTP_BAD_SIGNATURE, "not ZMTP: the tenth byte is 0x%02x, not 0x7f", g[AT_SIGNATURE_END]);
        return;
    }
    if (n > AT_MAJOR && g[AT_MAJOR] < greeting[AT_MAJOR]) {
        fail(z, ZMTP_BAD_VERSION, "the peer speaks ZMTP 2, this side needs 3");
        return;
    }
    for (size_t i = AT_MECHANISM; i < MIN(n, (size_t)AT_AS_SERVER); i++) {
        if (g[i] != (uint8_t)greeting[i]) {
            fail(z, ZMTP_BAD_MECHANISM, "the peer asks for another security mechanism than NULL");
            return;
        }
    }
    if (n > AT_AS_SERVER && g[AT_AS_SERVER] != 0)
        fail(z, ZMTP_BAD_ROLE, "the greeting sets as-server, which NULL does not have");
}

/* Judges what has come of the greeting, and takes it when it is whole. False: it is not, or is bad. */
static bool greeting_take(struct zmtp *z, struct intake *in)
{
    size_t n = MIN(intake_pending(in), (size_t)ZMTP_GREETING_BYTES);
    const uint8_t *g;

    if (n == 0)
        return false;
    g = intake_peek(in, n);
    greeting_check(z, g, n);
    if (z->state == ZMTP_FAILED || n < ZMTP_GREETING_BYTES)
        return false;
    z->peer_minor = g[AT_MAJOR] == (uint8_t)greeting[AT_MAJOR] ? g[AT_MINOR] : (uint8_t)greeting[AT_MINOR];
    intake_drop(in, ZMTP_GREETING_BYTES);
    z->state = ZMTP_HANDSHAKE;
    return true;
}

/* -- commands ------------------------------------------------------------------------------------ */

static bool is_name_char(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c && strchr("-_.+", c));
}

static bool span_is(const uint8_t *data, size_t n, const char *text)
{
    return n == strlen(text) && memcmp(data, text, n) == 0;
}

static void socket_type_take(struct zmtp *z, const uint8_t *type, size_t n)
{
    bool req = span_is(type, n, "REQ");

    if (z->side == ZMTP_SERVER && !req && !span_is(type, n, "DEALER"))
        fail(z, ZMTP_BAD_SOCKET_TYPE, "the peer's socket is a %s; a ROUTER takes DEALER and REQ",
             word_of(type, n).text);
    else if (z->side == ZMTP_CLIENT && !span_is(type, n, "ROUTER"))
        fail(z, ZMTP_BAD_SOCKET_TYPE, "the peer's socket is a %s; this DEALER takes ROUTER", word_of(type, n).text);
    else
        z->peer_is_req = req;
}

/* READY: properties, each a name (a byte of length) and a value (four). All are walked, whoever knows them. */
static void on_ready(struct zmtp *z, const uint8_t *data, size_t n, struct chain *out)
{
    bool typed = false;

    while (n > 0) {
        size_t name_n = data[0];
        const uint8_t *name = data + 1;
        const uint8_t *value;
        uint64_t value_n;

        if (name_n == 0 || n < 1 + name_n + 4) {
            fail(z, ZMTP_BAD_COMMAND, "READY: a property's name is empty or cut off");
            return;
        }
        for (size_t i = 0; i < name_n; i++) {
            if (!is_name_char(name[i])) {
                fail(z, ZMTP_BAD_COMMAND, "READY: byte 0x%02x in a property's name", name[i]);
                return;
            }
        }
        value_n = be_get(name + name_n, 4);
        value = name + name_n + 4;
        n -= 1 + name_n + 4;
        if (value_n > n) {
            fail(z, ZMTP_BAD_COMMAND, "READY: the value of %s is cut off", word_of(name, name_n).text);
            return;
        }
        data = value + value_n;
        n -= value_n;
        if (name_n != strlen("Socket-Type") || strncasecmp((const char *)name, "Socket-Type", name_n) != 0)
            continue;
        if (typed) {
            fail(z, ZMTP_BAD_COMMAND, "READY: Socket-Type is there twice");
            return;
        }
        typed = true;
        socket_type_take(z, value, value_n);
        if (z->state == ZMTP_FAILED)
            return;
    }
    if (!typed) {
        fail(z, ZMTP_BAD_SOCKET_TYPE, "READY: Socket-Type is missing");
        return;
    }
    if (z->side == ZMTP_SERVER && ready_put(z->side, out) < 0) {
        fail_memory(z);
        return;
    }
    z->state = ZMTP_OPEN;
}

static void on_ping(struct zmtp *z, const uint8_t *data, size_t n, struct chain *out)
{
    enum { TTL_BYTES = 2, CONTEXT_MAX = 16 };

    if (n < TTL_BYTES || n > TTL_BYTES + CONTEXT_MAX)
        fail(z, ZMTP_BAD_COMMAND, "PING of %zu bytes; it has 2 of time to live and up to 16 of context", n);
    else if (command_put(out, "PONG", data + TTL_BYTES, n - TTL_BYTES) < 0)
        fail_memory(z);
}

static void on_pong(struct zmtp *z, const uint8_t *data, size_t n, struct chain *out)
{
    /* This side never asks, so there is nothing that it could answer. */
    (void)z;
    (void)data;
    (void)n;
    (void)out;
}

static void on_error(struct zmtp *z, const uint8_t *data, size_t n, struct chain *out)
{
    (void)out;
    if (n == 0 || data[0] != n - 1) {
        fail(z, ZMTP_BAD_COMMAND, "ERROR: the reason's length is wrong");
        return;
    }
    memcpy(z->peer_text, data + 1, n - 1);
    z->peer_text[n - 1] = '\0';
    text_clean(z->peer_text, n - 1, false);
    fail(z, ZMTP_PEER_ERROR, "the peer refuses: %.220s", z->peer_text);
}
_Static_assert(sizeof(((struct zmtp *)0)->peer_text) > SHORT_MAX, "any reason fits, terminated");

static const struct command {
    const char *name;
    bool in_handshake, when_open;
    void (*on)(struct zmtp *z, const uint8_t *data, size_t n, struct chain *out);
} commands[] = {
    { "READY", true, false, on_ready },
    { "PING", false, true, on_ping },
    { "PONG", false, true, on_pong },
    { "ERROR", true, true, on_error },
};

/* A command's body: a name (a byte of length), and what the command makes of the rest. */
static void command_take(struct zmtp *z, const struct span *body, struct chain *out)
{
    const uint8_t *name = body->data + 1;
    size_t name_n = body->n > 0 ? body->data[0] : 0;

    if (name_n == 0 || name_n > body->n - 1) {
        fail(z, ZMTP_BAD_COMMAND, "a command's name is empty or cut off");
        return;
    }
    for (size_t i = 0; i < ELEMENTS(commands); i++) {
        const struct command *c = &commands[i];

        if (!span_is(name, name_n, c->name))
            continue;
        if (z->state == ZMTP_OPEN ? c->when_open : c->in_handshake)
            c->on(z, name + name_n, body->n - 1 - name_n, out);
        else
            fail(z, ZMTP_BAD_COMMAND, "%s is not expected now", c->name);
        return;
    }
    fail(z, ZMTP_BAD_COMMAND, "the command %s is not known here", word_of(name, name_n).text);
}

/* -- frames in ----------------------------------------------------------------------------------- */

static void command_check(struct zmtp *z)
{
    if (z->flags & FLAG_MORE)
        fail(z, ZMTP_BAD_FRAME, "a command says that more frames follow");
    else if (z->body_bytes > ZMTP_COMMAND_BYTES)
        fail(z, ZMTP_BAD_COMMAND, "a command of %llu bytes; the limit is %d", (unsigned long long)z->body_bytes,
             (int)ZMTP_COMMAND_BYTES);
}

static void message_check(struct zmtp *z)
{
    bool more = z->flags & FLAG_MORE;

    if (z->state != ZMTP_OPEN)
        fail(z, ZMTP_BAD_FRAME, "a message before READY");
    else if (z->body_bytes > z->limits.message_bytes - z->message_sum)
        fail(z, ZMTP_TOO_LARGE, "a message with a frame of %llu bytes; the limit of a message is %llu",
             (unsigned long long)z->body_bytes, (unsigned long long)z->limits.message_bytes);
    else if (z->peer_is_req && z->frames == 0 && (z->body_bytes > 0 || !more))
        fail(z, ZMTP_BAD_FRAME, "a REQ peer's message does not begin with an empty frame before its content");
    else if (z->frames + 1 + more > ZMTP_FRAMES_MAX)
        fail(z, ZMTP_TOO_MANY_FRAMES, "a message of more than %d frames", (int)ZMTP_FRAMES_MAX);
    else {
        z->frames++;
        z->message_sum += z->body_bytes;
    }
}

/* Takes the header of the next frame, and makes all checks on it. False: it has not come, or is bad. */
static bool frame_begin(struct zmtp *z, struct intake *in)
{
    const uint8_t *head = intake_peek(in, HEAD_SHORT);

    if (!head)
        return false;
    z->flags = head[0];
    if (z->flags & ~FLAGS_KNOWN) {
        fail(z, ZMTP_BAD_FRAME, "a frame with reserved flags: 0x%02x", z->flags);
        return false;
    }
    if (z->flags & FLAG_LONG) {
        head = intake_peek(in, HEAD_LONG);
        if (!head)
            return false;
        z->body_bytes = be_get(head + 1, 8);
        intake_drop(in, HEAD_LONG);
    } else {
        z->body_bytes = head[1];
        intake_drop(in, HEAD_SHORT);
    }
    if (z->flags & FLAG_COMMAND)
        command_check(z);
    else
        message_check(z);
    z->in_body = z->state != ZMTP_FAILED;
    return z->in_body;
}

/* Stores a message's frame. True: it was the last one. */
static bool message_take(struct zmtp *z, const struct span *body)
{
    if (!z->peer_is_req || z->frames > 1)
        z->message.frame[z->message.n++] = *body;
    return !(z->flags & FLAG_MORE);
}

/* The frames so far outlive the buffer's next move. */
static void keep_frames(struct zmtp *z)
{
    for (unsigned i = 0; i < z->message.n; i++) {
        struct span *f = &z->message.frame[i];

        if (f->blob || f->n == 0)
            continue;
        f->blob = blob_new(f->data, f->n);
        if (!f->blob) {
            fail_memory(z);
            return;
        }
        f->data = f->blob->data;
    }
}

/* -- the machine --------------------------------------------------------------------------------- */

int zmtp_init(struct zmtp *z, enum zmtp_side side, const struct zmtp_limits *limits, struct chain *out)
{
    size_t before = out->n;
    int r = chain_append(out, greeting, sizeof greeting);

    *z = (struct zmtp){ .side = side, .limits = { MIN(limits->message_bytes, (uint64_t)SIZE_MAX) } };
    if (r == 0 && side == ZMTP_CLIENT)
        r = ready_put(side, out);
    if (r < 0)
        chain_truncate(out, before);
    return r;
}

void zmtp_deinit(struct zmtp *z)
{
    zmtp_message_deinit(&z->message);
}

void zmtp_message_deinit(struct zmtp_message *m)
{
    for (unsigned i = 0; i < m->n; i++)
        blob_free(m->frame[i].blob);
    m->n = 0;
}

/* The next thing after the greeting. ZMTP_NEED_MORE also when it failed. */
static enum zmtp_event frames_take(struct zmtp *z, struct intake *in, struct chain *out,
                                   struct zmtp_message *ret_message)
{
    while (z->in_body || frame_begin(z, in)) {
        enum zmtp_state before = z->state;
        struct span body;
        int r = intake_body(in, z->body_bytes, &body);

        if (r < 0)
            fail_memory(z);
        if (r <= 0)
            break;
        z->in_body = false;
        if (z->flags & FLAG_COMMAND) {
            command_take(z, &body, out);
            if (z->state == ZMTP_FAILED)
                break;
            if (z->state != before)
                return ZMTP_OPENED;
        } else if (message_take(z, &body)) {
            *ret_message = z->message;
            z->message.n = 0;
            z->message_sum = 0;
            z->frames = 0;
            return ZMTP_MESSAGE;
        }
    }
    if (z->state != ZMTP_FAILED)
        keep_frames(z);
    return ZMTP_NEED_MORE;
}

enum zmtp_event zmtp_next(struct zmtp *z, struct intake *in, struct chain *out, struct zmtp_message *ret_message)
{
    bool handshake;
    enum zmtp_event event = ZMTP_NEED_MORE;

    if (z->state == ZMTP_FAILED)
        return ZMTP_ERROR;
    if (z->state != ZMTP_GREETING || greeting_take(z, in)) {
        handshake = z->state == ZMTP_HANDSHAKE;
        event = frames_take(z, in, out, ret_message);
        if (handshake && z->state == ZMTP_FAILED && z->error != ZMTP_PEER_ERROR && z->error != ZMTP_NO_MEMORY)
            error_put(z, out);
    }
    return z->state == ZMTP_FAILED ? ZMTP_ERROR : event;
}

bool zmtp_midway(const struct zmtp *z, const struct intake *in)
{
    if (z->state == ZMTP_FAILED)
        return false;
    return z->state != ZMTP_OPEN || z->in_body || z->frames > 0 || intake_pending(in) > 0;
}

const char *zmtp_problem(const struct zmtp *z)
{
    return z->error == ZMTP_OK ? "no problem" : z->problem;
}
