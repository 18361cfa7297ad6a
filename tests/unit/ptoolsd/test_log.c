/* SPDX-License-Identifier: MIT */
/* Tests of daemon/ptoolsd/log.c: what a line looks like, and that nothing outside can make it wait or flood. */
#include "daemon/ptoolsd/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/util.h"
#include "tests/support/suite.h"

enum { SECOND = 1000000 };

static int ends[2]; /* of a pipe: the log writes to [1] */
static char text[1 << 20];

static void begin(void)
{
    signal(SIGPIPE, SIG_IGN);
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    log_init(LOG_LEVEL_INFO, ends[1], "/nowhere");
}

static void end(void)
{
    close(ends[0]);
    close(ends[1]);
}

/* All that was written since the last look. */
static const char *written(void)
{
    size_t n = 0;
    ssize_t r;

    while ((r = read(ends[0], text + n, sizeof text - 1 - n)) > 0)
        n += (size_t)r;
    text[n] = '\0';
    return text;
}

static size_t count(const char *in, const char *what)
{
    size_t n = 0;

    for (in = strstr(in, what); in; in = strstr(in + 1, what))
        n++;
    return n;
}

static void say(uint64_t now_us, const char *event, uint64_t n)
{
    log_line(now_us, LOG_LEVEL_INFO, event, (struct log_field[]){ LOG_U64("n", n), LOG_END });
}

START_TEST(line_has_level_event_and_fields_in_order)
{
    begin();
    log_info("worker-died", LOG_U64("worker", UINT64_MAX), LOG_I64("status", INT64_MIN), LOG_STR("signal", "SEGV"));
    ck_assert_str_eq(written(), "level=info event=worker-died worker=18446744073709551615 "
                                "status=-9223372036854775808 signal=SEGV\n");
    log_error("bare");
    ck_assert_str_eq(written(), "level=error event=bare\n");
    end();
}
END_TEST

START_TEST(levels_that_are_off_evaluate_nothing)
{
    uint64_t calls = 0;

    begin();
    log_debug("x", LOG_U64("n", ++calls));
    log_info("y", LOG_U64("n", ++calls));
    ck_assert_str_eq(written(), "level=info event=y n=1\n");
    log_init(LOG_LEVEL_ERROR, ends[1], "/nowhere");
    log_warning("x");
    log_info("x");
    ck_assert_str_eq(written(), "");
    log_init(LOG_LEVEL_DEBUG, ends[1], "/nowhere");
    log_debug("x");
    ck_assert_str_eq(written(), "level=debug event=x\n");
    end();
}
END_TEST

START_TEST(foreign_values_stay_inside_their_quotes)
{
    static const struct {
        const char *value, *shown;
    } rows[] = {
        { "plain-1.5/x:y", "plain-1.5/x:y" },
        { "", "\"\"" },
        { NULL, "\"\"" },
        { "two words", "\"two words\"" },
        { "a=b", "\"a=b\"" },
        { "say \"hi\"", "\"say \\\"hi\\\"\"" },
        { "back\\slash", "\"back\\\\slash\"" },
        { "line\nlevel=error event=forged", "\"line\\nlevel=error event=forged\"" },
        { "\t\r", "\"\\t\\r\"" },
        { "\x1b[2J\x07\x7f", "\"\\x1b[2J\\x07\\x7f\"" },
        { "\xc3\xa9\xff", "\"\\xc3\\xa9\\xff\"" },
    };
    char expected[200];

    begin();
    for (size_t i = 0; i < ELEMENTS(rows); i++) {
        log_info("e", LOG_STR("msg", rows[i].value), LOG_U64("after", 1));
        snprintf(expected, sizeof expected, "level=info event=e msg=%s after=1\n", rows[i].shown);
        ck_assert_str_eq(written(), expected);
    }
    end();
}
END_TEST

START_TEST(long_lines_are_cut_and_say_so)
{
    char value[3 * LOG_LINE_BYTES];
    size_t n;

    begin();
    for (size_t length = LOG_LINE_BYTES - 100; length < sizeof value; length += length < LOG_LINE_BYTES ? 1 : 97) {
        for (int kind = 0; kind < 3; kind++) { /* plain, quoted, escaped to four bytes each */
            memset(value, "x \x01"[kind], length);
            value[length] = '\0';
            log_init(LOG_LEVEL_INFO, ends[1], "/nowhere");
            log_info("e", LOG_STR("msg", value), LOG_U64("after", 7));
            n = strlen(written());
            ck_assert_uint_le(n, LOG_LINE_BYTES);
            ck_assert_int_eq(text[n - 1], '\n');
            ck_assert_uint_eq(count(text, "\n"), 1);
            ck_assert_uint_eq(count(text, "\""), kind ? 2 : 0);
            ck_assert(strstr(text, " after=7\n") || strstr(text, " cut=yes\n"));
            if (length > LOG_LINE_BYTES)
                ck_assert_ptr_null(strstr(text, "after"));
        }
    }
    end();
}
END_TEST

START_TEST(full_pipe_drops_lines_and_the_next_one_tells_how_many)
{
    uint64_t n = 0, now = 0, seen;
    const char *dropped;

    begin();
    for (n = 0; n < 5000; n++) /* 64 KiB of room; the time passes fast enough for the rate */
        say(now += SECOND, "e", n);
    seen = count(written(), "\n");
    ck_assert_uint_gt(seen, 100);
    ck_assert_uint_lt(seen, n);
    ck_assert_ptr_null(strstr(text, "lines_dropped"));
    ck_assert_int_eq(text[strlen(text) - 1], '\n');
    say(now += SECOND, "e", n);
    dropped = strstr(written(), "lines_dropped=");
    ck_assert_ptr_nonnull(dropped);
    ck_assert_uint_eq(strtoull(dropped + strlen("lines_dropped="), NULL, 10), n - seen);
    say(now += SECOND, "e", 1);
    ck_assert_str_eq(written(), "level=info event=e n=1\n");
    end();
}
END_TEST

START_TEST(blocking_pipe_that_is_full_does_not_block)
{
    char page[4096] = { 0 };

    begin();
    while (write(ends[1], page, sizeof page) > 0)
        ;
    ck_assert_int_eq(fcntl(ends[1], F_SETFL, 0), 0); /* a write would wait now: the test would time out */
    log_info("e");
    log_info("e");
    written();
    log_info("e");
    ck_assert_str_eq(written(), "level=info event=e lines_dropped=2\n");
    end();
}
END_TEST

START_TEST(reader_that_is_gone_and_closed_descriptor_are_survived)
{
    begin();
    close(ends[0]);
    log_info("e");
    close(ends[1]);
    log_info("e");
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    ck_assert_int_eq(fcntl(ends[1], F_GETFD), FD_CLOEXEC);
    log_init(LOG_LEVEL_INFO, ends[1], "/nowhere");
    log_info("e");
    ck_assert_str_eq(written(), "level=info event=e\n");
    end();
}
END_TEST

START_TEST(full_disk_is_survived_and_told)
{
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

    ck_assert_int_ge(full, 0);
    begin();
    log_init(LOG_LEVEL_INFO, full, "/nowhere");
    log_info("e");
    log_info("e");
    ck_assert_int_eq(dup3(ends[1], full, O_CLOEXEC), full); /* there is room again */
    log_info("e");
    ck_assert_str_eq(written(), "level=info event=e lines_dropped=2\n");
    close(full);
    end();
}
END_TEST

START_TEST(line_that_the_disk_cut_is_not_continued)
{
    char path[] = "/tmp/ptools-log-XXXXXX";
    int file = mkostemp(path, O_CLOEXEC | O_APPEND);
    struct rlimit limit = { 30, RLIM_INFINITY };
    ssize_t n;

    ck_assert_int_ge(file, 0);
    unlink(path);
    signal(SIGXFSZ, SIG_IGN);
    log_init(LOG_LEVEL_INFO, file, "/nowhere");
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    log_info("first-event", LOG_STR("a", "b"));
    limit.rlim_cur = RLIM_INFINITY;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    log_info("second");
    n = pread(file, text, sizeof text - 1, 0);
    ck_assert_int_gt(n, 0);
    text[n] = '\0';
    ck_assert_str_eq(text, "level=info event=first-event a\nlevel=info event=second lines_dropped=1\n");
    close(file);
}
END_TEST

START_TEST(flood_of_one_event_is_limited_and_counted)
{
    uint64_t n, now = 5 * SECOND;

    begin();
    for (n = 0; n < 1000; n++)
        say(now, "flood", n);
    ck_assert_uint_eq(count(written(), "\n"), 200);
    say(now, "other", 1); /* not held up by it */
    ck_assert_str_eq(written(), "level=info event=other n=1\n");
    say(now + SECOND, "other", 2);
    ck_assert_str_eq(written(), "level=info event=flood suppressed=800\nlevel=info event=other n=2\n");
    for (n = 0; n < 1000; n++)
        say(now + SECOND, "flood", n);
    ck_assert_uint_eq(count(written(), "\n"), 50);
    end();
}
END_TEST

START_TEST(lasting_flood_keeps_its_rate_and_tells_once_a_second)
{
    uint64_t now;

    begin();
    for (now = SECOND; now < 11 * (uint64_t)SECOND; now += 1000)
        say(now, "flood", 1);
    written();
    ck_assert_uint_ge(count(text, " n=1\n"), 200 + 10 * 50 - 1);
    ck_assert_uint_le(count(text, " n=1\n"), 200 + 10 * 50 + 1);
    ck_assert_uint_ge(count(text, "suppressed="), 3);
    ck_assert_uint_le(count(text, "suppressed="), 10);
    end();
}
END_TEST

START_TEST(flush_tells_what_is_left)
{
    begin();
    for (uint64_t n = 0; n < 203; n++)
        say(SECOND, "flood", n);
    written();
    log_flush();
    ck_assert_str_eq(written(), "level=info event=flood suppressed=3\n");
    log_flush();
    ck_assert_str_eq(written(), "");
    end();
}
END_TEST

START_TEST(names_beyond_the_table_share_a_bucket)
{
    static char names[300][16];
    size_t lines;

    begin();
    for (size_t i = 0; i < ELEMENTS(names); i++) {
        snprintf(names[i], sizeof names[i], "event-%zu", i);
        say(SECOND, names[i], i);
    }
    lines = count(written(), "\n");
    ck_assert_uint_eq(lines, 63 + 200);
    end();
}
END_TEST

static int journal_open(struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    *address = (struct sockaddr_un){ .sun_family = AF_UNIX };
    snprintf(address->sun_path, sizeof address->sun_path, "/tmp/ptools-journal-%d", (int)getpid());
    ck_assert_int_eq(bind(fd, (struct sockaddr *)address, sizeof *address), 0);
    return fd;
}

static void journal_stream_is(int fd, int off_by)
{
    struct stat st;
    char value[64];

    ck_assert_int_eq(fstat(fd, &st), 0);
    snprintf(value, sizeof value, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino + (uintmax_t)off_by);
    setenv("JOURNAL_STREAM", value, 1);
}

START_TEST(journal_gets_fields)
{
    struct sockaddr_un address;
    int journal = journal_open(&address);
    ssize_t n;

    begin();
    journal_stream_is(ends[1], 0);
    log_init(LOG_LEVEL_INFO, ends[1], address.sun_path);
    log_warning("worker-died", LOG_U64("worker", 3), LOG_U64("task", 12), LOG_U64("uid", 1000), LOG_STR("msg", "a\nb"));
    n = recv(journal, text, sizeof text - 1, 0);
    ck_assert_int_gt(n, 0);
    text[n] = '\0';
    ck_assert_str_eq(text, "PRIORITY=4\nSYSLOG_IDENTIFIER=ptoolsd\nPTOOLS_EVENT=worker-died\n"
                           "MESSAGE=level=warning event=worker-died worker=3 task=12 uid=1000 msg=\"a\\nb\"\n"
                           "MESSAGE_ID=041c347728ec4456ad8a2cc9ff5fbff4\nWORKER=3\nTASK_ID=12\nUID=1000\n");
    ck_assert_str_eq(written(), "");

    close(journal); /* the journal restarts: nobody waits, nothing is forgotten */
    unlink(address.sun_path);
    log_info("e");
    journal = journal_open(&address);
    log_info("e");
    n = recv(journal, text, sizeof text - 1, 0);
    ck_assert_int_gt(n, 0);
    text[n] = '\0';
    ck_assert_ptr_nonnull(strstr(text, "MESSAGE=level=info event=e lines_dropped=1\n"));

    for (uint64_t i = 1; i <= 1000; i++) /* its queue is full after some: still nobody waits */
        say(i * SECOND, "e", i);
    for (n = 0; recv(journal, text, sizeof text, 0) > 0; n++)
        ;
    ck_assert_int_gt(n, 0);
    ck_assert_int_lt(n, 1000);
    unsetenv("JOURNAL_STREAM");
    log_init(LOG_LEVEL_INFO, ends[1], address.sun_path);
    close(journal);
    unlink(address.sun_path);
    end();
}
END_TEST

/* The catalogue explains exactly the events that have an id: "# EVENT", "-- ID". */
START_TEST(catalogue_explains_what_has_an_id)
{
    FILE *file = fopen(PACKAGING "/systemd/ptools.catalog", "re");
    char line[300], event[300] = "";
    unsigned n = 0;

    ck_assert_msg(file, "%s/systemd/ptools.catalog: %s", PACKAGING, strerror(errno));
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "# ", 2) == 0)
            strcpy(event, line + 2);
        if (strncmp(line, "-- ", 3) != 0)
            continue;
        ck_assert_ptr_nonnull(log_message_id(event));
        ck_assert_str_eq(log_message_id(event), line + 3);
        n++;
    }
    fclose(file);
    ck_assert_uint_eq(n, 10);
    ck_assert_ptr_null(log_message_id("ready"));
}
END_TEST

START_TEST(stream_that_is_not_the_journal_gets_lines)
{
    static const char *const values[] = { "", "garbage", "1:", ":", "1:2:3", "99999999999999999999999:1" };

    begin();
    journal_stream_is(ends[1], 1); /* stderr was redirected since */
    log_init(LOG_LEVEL_INFO, ends[1], LOG_JOURNAL_SOCKET);
    log_info("e");
    ck_assert_str_eq(written(), "level=info event=e\n");
    for (size_t i = 0; i < ELEMENTS(values); i++) {
        setenv("JOURNAL_STREAM", values[i], 1);
        log_init(LOG_LEVEL_INFO, ends[1], LOG_JOURNAL_SOCKET);
        log_info("e");
        ck_assert_str_eq(written(), "level=info event=e\n");
    }
    unsetenv("JOURNAL_STREAM");
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("log");
    TCase *tc = suite_case(suite, "log");

    tcase_add_test(tc, line_has_level_event_and_fields_in_order);
    tcase_add_test(tc, levels_that_are_off_evaluate_nothing);
    tcase_add_test(tc, foreign_values_stay_inside_their_quotes);
    tcase_add_test(tc, long_lines_are_cut_and_say_so);
    tcase_add_test(tc, full_pipe_drops_lines_and_the_next_one_tells_how_many);
    tcase_add_test(tc, blocking_pipe_that_is_full_does_not_block);
    tcase_add_test(tc, reader_that_is_gone_and_closed_descriptor_are_survived);
    tcase_add_test(tc, full_disk_is_survived_and_told);
    tcase_add_test(tc, line_that_the_disk_cut_is_not_continued);
    tcase_add_test(tc, flood_of_one_event_is_limited_and_counted);
    tcase_add_test(tc, lasting_flood_keeps_its_rate_and_tells_once_a_second);
    tcase_add_test(tc, flush_tells_what_is_left);
    tcase_add_test(tc, names_beyond_the_table_share_a_bucket);
    tcase_add_test(tc, journal_gets_fields);
    tcase_add_test(tc, catalogue_explains_what_has_an_id);
    tcase_add_test(tc, stream_that_is_not_the_journal_gets_lines);
    return suite_run(suite);
}
