/* SPDX-License-Identifier: MIT */
/*
 * top_live -- see top_live.h: keys, signals, looks at the daemon, and the drawing of what top_picture.c wrote.
 *
 * All signals come through descriptors, also those of the window and of ^Z, which ncurses would handle itself: so
 * nothing happens in the midst of drawing, and none is lost between a look and a sleep. While a request is under way
 * they wait: no longer than the connect timeout, by which the library bounds each round trip.
 */
#include "client/cli/top_live.h"

#include <inttypes.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "client/cli/colour.h"
#include "client/cli/failure.h"
#include "client/cli/session.h"
#include "client/cli/signals.h"
#include "client/cli/waiting.h"

enum { NOTE_BYTES = 200, RECONNECT_MS = 1000, GOES_ON = -1, PAIR_BUSY = 1, PAIR_WARNING };

static const char *const help_lines[] = {
    "q          quit",
    "arrows     move the cursor; PgUp, PgDn, Home, End by more",
    "space      look at once",
    "s          change the order of the tasks",
    "k          cancel the task under the cursor, after a question",
    "p          pause the queue, or resume it",
    "h          this help, and back",
    NULL,
};

struct live {
    const struct command_line *line;
    const struct lazy_curses *curses;
    WINDOW *window;
    int signals, window_signals;
    bool colours, here;

    ptools *pt; /* NULL: the daemon is gone */
    char gone[NOTE_BYTES];
    struct top_found *found; /* the last look; NULL: none yet */
    struct top_rates rates;
    uint64_t next_us;
    int64_t interval_ms;

    enum top_order order;
    struct top_picture picture;
    size_t cursor, first; /* lines, without the fixed ones */
    uint64_t task;        /* under the cursor; 0: none */
    uint64_t asked;       /* that is to be cancelled, if the answer is y; 0: nothing was asked */
    bool help;
    char note[NOTE_BYTES];
};

bool top_is_here(const struct command_line *line)
{
    const char *address = line->address ? line->address : line->dir ? NULL : getenv("PTOOLS_ADDRESS");

    return !address || strncmp(address, "tcp://", 6) != 0;
}

/* -- the daemon ------------------------------------------------------------------------------------------- */

static void lose(struct live *live, ptools_err r)
{
    snprintf(live->gone, sizeof live->gone, "%s", ptools_strerror(r));
    ptools_close(live->pt);
    live->pt = NULL;
}

static bool is_lost(ptools_err r)
{
    return r == PTOOLS_ERR_LOST || r == PTOOLS_ERR_NO_DAEMON || r == PTOOLS_ERR_TRANSPORT || r == PTOOLS_ERR_TIMEOUT;
}

static void look(struct live *live)
{
    struct top_found *found;
    ptools_err r = PTOOLS_OK;

    live->next_us = waiting_now_us() + (uint64_t)live->interval_ms * 1000;
    if (!live->pt)
        r = session_try(live->line, RECONNECT_MS, &live->pt);
    if (r == PTOOLS_OK)
        r = top_look(live->pt, live->here, live->found, &found);
    if (r != PTOOLS_OK) {
        lose(live, r);
        return;
    }
    live->gone[0] = '\0';
    top_found_free(live->found);
    live->found = found;
    top_rates_add(&live->rates, found->look.now_us, &found->look.daemon);
}

/* What a request came to, for the last line; all is looked at anew. */
static void tell(struct live *live, ptools_err r, const char *done)
{
    const ptools_failure *f = r == PTOOLS_OK ? NULL : ptools_last_failure(live->pt);

    snprintf(live->note, sizeof live->note, "%s", r == PTOOLS_OK ? done : f->message);
    if (is_lost(r))
        lose(live, r);
    look(live);
}

static void cancel(struct live *live)
{
    const uint64_t task = live->asked;
    char done[60];
    uint64_t changed;

    live->asked = 0;
    if (!live->pt)
        return;
    snprintf(done, sizeof done, "task %" PRIu64 " is cancelled", task);
    tell(live, ptools_queued_change(live->pt, &task, 1, PTOOLS_CHANGE_CANCEL, &changed), done);
}

static void pause_or_resume(struct live *live)
{
    if (!live->pt || !live->found)
        return;
    if (live->found->look.daemon.paused)
        tell(live, ptools_queue_resume(live->pt, NULL, NULL), "the queue is resumed");
    else
        tell(live, ptools_queue_pause(live->pt, NULL, NULL), "the queue is paused");
}

/* -- drawing ---------------------------------------------------------------------------------------------- */

static int attributes(const struct live *live, enum top_kind kind)
{
    switch (kind) {
    case TOP_HEAD:
        return (int)A_BOLD;
    case TOP_TITLE:
        return (int)A_REVERSE;
    case TOP_BUSY:
        return live->colours ? live->curses->COLOR_PAIR(PAIR_BUSY) : (int)A_NORMAL;
    case TOP_WARNING:
        return live->colours ? (int)A_BOLD | live->curses->COLOR_PAIR(PAIR_WARNING) : (int)A_BOLD;
    case TOP_PLAIN:
        break;
    }
    return (int)A_NORMAL;
}

/* So many bytes as are never wider than the columns: a character has at least as many bytes as columns. */
static void draw(struct live *live, int row, const char *text, int attribute)
{
    const size_t columns = (size_t)live->curses->getmaxx(live->window);
    size_t n = strlen(text);

    if (n > columns)
        for (n = columns; n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80;)
            n--;
    live->curses->wattrset(live->window, attribute);
    live->curses->wmove(live->window, row, 0);
    live->curses->waddnstr(live->window, text, (int)n);
    live->curses->wattrset(live->window, (int)A_NORMAL);
}

static void draw_body(struct live *live, size_t top, size_t rows)
{
    const struct top_picture *p = &live->picture;
    const size_t n = p->n - p->fixed;

    live->first = top_scroll(live->first, live->cursor, rows, n);
    for (size_t i = 0; i < rows && live->first + i < n; i++) {
        const struct top_line *l = &p->lines[p->fixed + live->first + i];
        const bool chosen = live->first + i == live->cursor;

        draw(live, (int)(top + i), chosen && !*l->text ? " " : l->text,
             attributes(live, l->kind) ^ (chosen ? (int)A_REVERSE : 0)); /* also of a title */
    }
}

static void picture(struct live *live)
{
    if (live->found)
        top_sort(live->found->look.tasks, live->found->look.n_tasks, live->order);
    top_picture_deinit(&live->picture);
    top_picture_make(&live->picture, live->found ? &live->found->look : NULL, &live->rates, live->order,
                     live->gone[0] ? live->gone : NULL);
    live->cursor = top_follow(&live->picture, live->task, live->cursor);
}

static void redraw(struct live *live)
{
    const size_t height = (size_t)live->curses->getmaxy(live->window);
    const struct top_picture *p = &live->picture;
    char question[80];

    picture(live);
    live->curses->werase(live->window);
    for (size_t i = 0; i < p->fixed && i < height; i++)
        draw(live, (int)i, p->lines[i].text, attributes(live, p->lines[i].kind));
    for (size_t i = 0; live->help && help_lines[i] && p->fixed + i + 1 < height; i++)
        draw(live, (int)(p->fixed + i), help_lines[i], (int)A_NORMAL);
    if (!live->help && height > p->fixed + 1)
        draw_body(live, p->fixed, height - p->fixed - 1);
    if (live->asked != 0)
        snprintf(question, sizeof question, "Cancel task %" PRIu64 "? y/n", live->asked);
    if (height > p->fixed)
        draw(live, (int)height - 1,
             live->asked     ? question
             : live->note[0] ? live->note
                             : "q quit  h help",
             live->asked || live->note[0] ? (int)A_BOLD : (int)A_NORMAL);
    live->curses->wrefresh(live->window);
}

/* -- keys ------------------------------------------------------------------------------------------------- */

static void move_cursor(struct live *live, int64_t by)
{
    const int64_t n = (int64_t)(live->picture.n - live->picture.fixed), to = (int64_t)live->cursor + by;

    if (n == 0)
        return;
    live->cursor = (size_t)(to < 0 ? 0 : to >= n ? n - 1 : to);
    live->task = live->picture.lines[live->picture.fixed + live->cursor].task;
}

static int take_key(struct live *live, int key)
{
    const int page = live->curses->getmaxy(live->window) / 2;

    if (live->asked != 0) {
        if (key == 'y' || key == 'Y')
            cancel(live);
        live->asked = 0;
        return GOES_ON;
    }
    live->note[0] = '\0';
    switch (key) {
    case 'q':
        return EXIT_VALUE;
    case KEY_UP:
        move_cursor(live, -1);
        break;
    case KEY_DOWN:
        move_cursor(live, 1);
        break;
    case KEY_PPAGE:
        move_cursor(live, -page);
        break;
    case KEY_NPAGE:
        move_cursor(live, page);
        break;
    case KEY_HOME:
        move_cursor(live, INT32_MIN);
        break;
    case KEY_END:
        move_cursor(live, INT32_MAX);
        break;
    case ' ':
        look(live);
        break;
    case 's':
        live->order = (live->order + 1) % TOP_ORDERS;
        break;
    case 'p':
        pause_or_resume(live);
        break;
    case 'k':
        live->asked = live->help ? 0 : live->task;
        if (live->asked == 0)
            snprintf(live->note, sizeof live->note, "no task is under the cursor: the arrows move it");
        break;
    case 'h':
    case '?':
        live->help = !live->help;
        break;
    default:
        break;
    }
    return GOES_ON;
}

/* -- signals ---------------------------------------------------------------------------------------------- */

static int open_window_signals(void)
{
    struct sigaction action;
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGWINCH);
    if (sigaction(SIGTSTP, NULL, &action) == 0 && action.sa_handler != SIG_IGN)
        sigaddset(&set, SIGTSTP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* ^Z: the terminal is given back as it was, and taken again by the next drawing. */
static void stop(struct live *live)
{
    struct sigaction standard = { .sa_handler = SIG_DFL }, old;
    sigset_t set;

    live->curses->endwin();
    sigaction(SIGTSTP, &standard, &old);
    raise(SIGTSTP);
    sigemptyset(&set);
    sigaddset(&set, SIGTSTP);
    sigprocmask(SIG_UNBLOCK, &set, NULL); /* here it stands still */
    sigprocmask(SIG_BLOCK, &set, NULL);
    sigaction(SIGTSTP, &old, NULL);
    live->curses->clearok(live->window, true);
    look(live);
}

static void resize(struct live *live)
{
    struct winsize size;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0)
        live->curses->resizeterm(size.ws_row, size.ws_col);
    live->curses->clearok(live->window, true);
}

static int turn(struct live *live)
{
    struct pollfd fds[] = { { .fd = STDIN_FILENO, .events = POLLIN },
                            { .fd = live->signals, .events = POLLIN },
                            { .fd = live->window_signals, .events = POLLIN } };
    const uint64_t now_us = waiting_now_us();
    int key, number, status = GOES_ON;

    poll(fds, 3, now_us >= live->next_us ? 0 : (int)((live->next_us - now_us) / 1000 + 1));
    if (signals_take(live->signals) != 0 || (fds[0].revents & (POLLHUP | POLLERR | POLLNVAL)))
        return EXIT_CANCELLED;
    while ((number = signals_take(live->window_signals)) != 0) {
        if (number == SIGTSTP)
            stop(live);
        resize(live); /* it may have changed while this stood still */
    }
    while (status == GOES_ON && (key = live->curses->wgetch(live->window)) != ERR)
        status = take_key(live, key);
    if (status == GOES_ON && waiting_now_us() >= live->next_us)
        look(live);
    return status;
}

/* -- from the first drawing to the last ------------------------------------------------------------------- */

static void set_up(struct live *live)
{
    const struct lazy_curses *c = live->curses;

    c->cbreak();
    c->noecho();
    c->curs_set(0);
    live->window = c->newwin(0, 0, 0, 0);
    c->keypad(live->window, true);
    c->nodelay(live->window, true);
    live->colours = colour_on(STDOUT_FILENO) && c->has_colors() && c->start_color() == OK;
    if (live->colours) {
        c->use_default_colors();
        c->init_pair(PAIR_BUSY, COLOR_GREEN, -1);
        c->init_pair(PAIR_WARNING, COLOR_RED, -1);
    }
}

static SCREEN *open_terminal(const struct command_line *line, const struct lazy_curses **ret, int *ret_status)
{
    const char *name = getenv("TERM"), *why = NULL;
    SCREEN *screen = NULL;

    *ret = lazy_curses_load(&why);
    if (!*ret) {
        fprintf(stderr, "ptools top: cannot load ncurses (%s); --once shows one picture without\n", why);
        *ret_status = EXIT_PTOOLS;
        return NULL;
    }
    setlocale(LC_CTYPE, "");
    if (name && *name && strcmp(name, "dumb") != 0)
        screen = (*ret)->newterm(NULL, stdout, stdin);
    if (!screen)
        *ret_status = command_line_wrong(line,
                                         "nothing can be drawn on a terminal of the kind \"%.60s\" (TERM); --once "
                                         "shows one picture as text",
                                         name ? name : "");
    return screen;
}

int top_live(const struct command_line *line, ptools *take_pt, int64_t interval_ms)
{
    struct live live = { .line = line, .pt = take_pt, .interval_ms = interval_ms, .here = top_is_here(line) };
    int status = EXIT_PTOOLS;
    SCREEN *screen = open_terminal(line, &live.curses, &status);

    if (screen) {
        live.signals = signals_open(NULL);
        live.window_signals = open_window_signals();
        set_up(&live);
        look(&live);
        do
            redraw(&live);
        while ((status = turn(&live)) == GOES_ON);
        live.curses->endwin();
        live.curses->delscreen(screen);
        close(live.signals);
        close(live.window_signals);
    }
    top_picture_deinit(&live.picture);
    top_found_free(live.found);
    ptools_close(live.pt);
    return status;
}
