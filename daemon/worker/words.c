/* SPDX-License-Identifier: MIT */
/*
 * words -- see words.h. A frame is one line:
 *
 *     #2 0x00007f1b2c3d4e5f count_words+0x12 (text.so)
 *
 * libunwind walks (its steps neither allocate nor lock what a function could hold), symbols.c names. The
 * handlers block all signals, so a second fault inside one ends the process by the kernel's hand.
 *
 * UNW_LOCAL_ONLY opens a pipe when it first checks an address; words_init() walks once, so that the two
 * descriptors are among those that the worker is born with.
 */
#define UNW_LOCAL_ONLY
#include "daemon/worker/words.h"

#include <errno.h>
#include <libunwind.h>
#include <link.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "daemon/worker/symbols.h"
#include "proto/util.h"

enum { FRAMES_MAX = 48, OBJECTS_MAX = 128, STACK_BYTES = 128 << 10, GUARD_BYTES = 64 << 10 };

static const int fatal_signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS };

/* A loaded object. Strings are never freed: objects are never unloaded. */
struct object {
    uintptr_t begin, end, bias;
    const char *name; /* "text.so" */
    const char *path;
};

static struct {
    struct page *page;
    void (*before_death)(void);
    const void *base;
    stack_t stack;
    struct object objects[OBJECTS_MAX];
    size_t n_objects;
    volatile sig_atomic_t dying, role; /* enum words_role */
} self;

/* -- text, without stdio --------------------------------------------------------------------- */

struct sink {
    char *text;
    size_t n, cap;
};

/* The terminator is written first: whatever happens, what is there can be read. */
static void put_char(struct sink *s, char c)
{
    if (s->n + 1 >= s->cap)
        return;
    s->text[s->n + 1] = '\0';
    s->text[s->n++] = c;
}

static void put_str(struct sink *s, const char *text)
{
    while (*text)
        put_char(s, *text++);
}

static void put_number(struct sink *s, uint64_t v, unsigned base, unsigned digits)
{
    char reversed[24];
    unsigned n = 0;

    do {
        reversed[n++] = "0123456789abcdef"[v % base];
        v /= base;
    } while (v || n < digits);
    while (n)
        put_char(s, reversed[--n]);
}

static void put_hex(struct sink *s, uint64_t v, unsigned digits)
{
    put_str(s, "0x");
    put_number(s, v, 16, digits);
}

/* -- loaded objects -------------------------------------------------------------------------- */

static const struct object *object_at(uintptr_t address)
{
    for (size_t i = 0; i < self.n_objects; i++)
        if (address >= self.objects[i].begin && address < self.objects[i].end)
            return &self.objects[i];
    return NULL;
}

struct learning {
    const char *module, *path;
};

static int learn_one(struct dl_phdr_info *info, size_t size, void *userdata)
{
    const struct learning *learning = userdata;
    struct object o = { .begin = UINTPTR_MAX, .bias = info->dlpi_addr };
    const char *slash;

    (void)size;
    if (self.n_objects == OBJECTS_MAX)
        return 1;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];

        if (p->p_type != PT_LOAD)
            continue;
        o.begin = MIN(o.begin, info->dlpi_addr + p->p_vaddr);
        o.end = MAX(o.end, info->dlpi_addr + p->p_vaddr + p->p_memsz);
    }
    if (o.end == 0 || object_at(o.begin))
        return 0;
    if (!info->dlpi_name[0]) {
        o.path = "/proc/self/exe";
        o.name = program_invocation_short_name;
    } else if (strncmp(info->dlpi_name, "/proc/self/fd/", 14) == 0) {
        char *name = malloc(strlen(learning->module) + sizeof ".so"), *path = strdup(learning->path);

        if (!name || !path) { /* its frames stay without a name */
            free(name);
            free(path);
            return 0;
        }
        o.path = path;
        o.name = strcat(strcpy(name, learning->module), ".so");
    } else {
        o.path = strdup(info->dlpi_name);
        slash = o.path ? strrchr(o.path, '/') : NULL;
        o.name = slash ? slash + 1 : o.path;
    }
    if (o.path) /* no memory: as above */
        self.objects[self.n_objects++] = o;
    return 0;
}

void words_learn(const char *module, const char *path)
{
    struct learning learning = { module, path };

    dl_iterate_phdr(learn_one, &learning);
}

/* -- the walk -------------------------------------------------------------------------------- */

static void put_frame(struct sink *s, unsigned i, uintptr_t ip)
{
    /* A return address belongs to the call before it, which may be the last thing in its function. */
    uintptr_t look = ip - (i > 0 && ip > 0);
    const struct object *o = object_at(look);
    uint64_t offset;
    char name[128];

    put_char(s, '#');
    put_number(s, i, 10, 1);
    put_char(s, ' ');
    put_hex(s, ip, 16);
    if (o && symbols_find(o->path, look - o->bias, name, sizeof name, &offset)) {
        put_char(s, ' ');
        put_str(s, name);
        put_char(s, '+');
        put_hex(s, offset + (ip - look), 1);
        put_str(s, " (");
        put_str(s, o->name);
        put_char(s, ')');
    } else if (o) {
        put_str(s, " (");
        put_str(s, o->name);
        put_char(s, '+');
        put_hex(s, ip - o->bias, 1);
        put_char(s, ')');
    }
    put_char(s, '\n');
}

/* libunwind's context is the kernel's on x86 and on 64-bit ARM; elsewhere the walk begins here, in the
 * handler, and passes through the signal's frame. */
static int cursor_init(unw_cursor_t *cursor, unw_context_t *here, const void *ucontext)
{
#if defined(__x86_64__) || defined(__i386__) || defined(__aarch64__)
    if (ucontext)
        return unw_init_local2(cursor, (unw_context_t *)(uintptr_t)ucontext, UNW_INIT_SIGNAL_FRAME);
#else
    (void)ucontext;
#endif
    return unw_init_local(cursor, here);
}

void words_backtrace(const void *ucontext, char *ret, size_t cap)
{
    struct sink sink = { .text = ret, .cap = cap };
    unw_context_t here;
    unw_cursor_t cursor;
    unw_word_t ip, sp;

    ret[0] = '\0';
    unw_getcontext(&here);
    if (cursor_init(&cursor, &here, ucontext) < 0)
        return;
    for (unsigned i = 0; i < FRAMES_MAX; i++) {
        if (unw_get_reg(&cursor, UNW_REG_IP, &ip) < 0 || unw_get_reg(&cursor, UNW_REG_SP, &sp) < 0)
            return;
        if ((self.base && sp >= (uintptr_t)self.base) || (ip == 0 && i > 0))
            return;
        put_frame(&sink, i, (uintptr_t)ip);
        if (unw_step(&cursor) <= 0)
            return;
    }
    put_str(&sink, "...\n");
}

/* -- handlers -------------------------------------------------------------------------------- */

static void note_peak(void)
{
    struct rusage usage;

    if (getrusage(RUSAGE_SELF, &usage) == 0)
        atomic_store(&self.page->peak_kb, (uint64_t)usage.ru_maxrss);
}

static void die_of(int signal)
{
    struct sigaction dfl = { .sa_handler = SIG_DFL };

    sigaction(signal, &dfl, NULL);
    syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), signal); /* taken when the handler returns */
}

static void on_fatal(int signal, siginfo_t *info, void *ucontext)
{
    int saved = errno;

    if (!self.dying) {
        self.dying = 1;
        atomic_store(&self.page->fault_address, (uint64_t)(uintptr_t)info->si_addr);
        atomic_store(&self.page->fault_signal, (uint32_t)signal);
        note_peak();
        self.before_death();
        words_backtrace(ucontext, self.page->backtrace, sizeof self.page->backtrace);
    }
    errno = saved;
    die_of(signal);
}

/* Only if the task that runs is the one that shall stop: a signal may come late. */
static void on_stop(int signal, siginfo_t *info, void *ucontext)
{
    struct page *page = self.page;
    uint64_t task = atomic_load(&page->task);
    int saved = errno;

    (void)info;
    if (self.role != WORDS_WATCHING && task != 0 && task == atomic_load(&page->cancel) &&
        atomic_load(&page->process_phase) == PAGE_RUNNING) {
        note_peak();
        words_backtrace(ucontext, page->backtrace, sizeof page->backtrace);
        atomic_store(&page->fault_signal, (uint32_t)signal);
        if (self.role == WORDS_ITEM)
            _exit(0);
    }
    errno = saved;
}

/* -- life ------------------------------------------------------------------------------------ */

void words_set_base(const void *frame)
{
    self.base = frame;
}

enum words_role words_set_role(enum words_role role)
{
    const enum words_role before = (enum words_role)self.role;

    self.role = role;
    return before;
}

void words_arm(void)
{
    struct sigaction fatal = { .sa_sigaction = on_fatal, .sa_flags = SA_SIGINFO | SA_ONSTACK };
    /* no SA_RESTART: a function that sleeps in a system call comes back and can look whether to stop */
    struct sigaction stop = { .sa_sigaction = on_stop, .sa_flags = SA_SIGINFO | SA_ONSTACK };

    sigfillset(&fatal.sa_mask);
    sigfillset(&stop.sa_mask);
    sigaltstack(&self.stack, NULL);
    for (size_t i = 0; i < ELEMENTS(fatal_signals); i++)
        sigaction(fatal_signals[i], &fatal, NULL);
    sigaction(SIGTERM, &stop, NULL);
}

void words_disarm(void)
{
    struct sigaction dfl = { .sa_handler = SIG_DFL };

    for (size_t i = 0; i < ELEMENTS(fatal_signals); i++)
        sigaction(fatal_signals[i], &dfl, NULL);
    sigaction(SIGTERM, &dfl, NULL);
}

int words_init(struct page *page, void (*before_death)(void))
{
    uint8_t *room = mmap(NULL, GUARD_BYTES + STACK_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    char warm_up[256];

    if (room == MAP_FAILED)
        return -errno;
    if (mprotect(room + GUARD_BYTES, STACK_BYTES, PROT_READ | PROT_WRITE) < 0)
        return -errno;
    self.page = page;
    self.before_death = before_death;
    self.stack = (stack_t){ .ss_sp = room + GUARD_BYTES, .ss_size = STACK_BYTES };
    words_learn("", "");
    words_backtrace(NULL, warm_up, sizeof warm_up);
    words_arm();
    return 0;
}
