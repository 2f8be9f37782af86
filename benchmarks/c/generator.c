/* The load generator: opens streams, sends messages, and checks what every stream got.
 *
 * Theory of operation
 * -------------------
 * One thread, one epoll. Streams are connections that only listen; senders have at most one message under way each, so
 * there are as many in flight as there are senders. How a server is spoken to is its dialect's matter (`-d`): what a
 * connection says first, when it is ready, how a send looks, and where deliveries and answers are in what comes.
 * Everything else is the same for all servers, above all what is checked and what is timed: see checks.c.
 *
 * Servers that answer no sends (NATS, IRC) have 64 in flight as well: a sender goes on when the first stream got its
 * message. That costs such a server nothing. Where its clients send everything through one connection (NATS), so do we.
 *
 * CPU is that of the processes named with `-i`, between the first send and the last delivery, from /proc.
 * The result is one line of JSON on stdout. generator.py says what its members mean and does the same, slower, for the
 * dialects of D-Chat.
 */
#define _GNU_SOURCE
#include "generator.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <time.h>

static struct connection *all; /* the streams, and behind them the senders */

uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

void die(const char *format, ...) {
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(2);
}

void *room_for(long many, size_t size) {
    void *memory = calloc(many + 1, size);
    if (!memory) die("out of memory");
    return memory;
}

/* --- the phases of a run ------------------------------------------------------------------------------------------ */

static void open_streams(void) {
    int opened = 0;
    progress = now();
    while (count.ready < opt.streams) {
        while (opened < opt.streams && opened - count.ready < opt.window) {
            open_connection(&all[opened], opened, STREAM);
            opened++;
        }
        turn(100);
        if (count.closed) die("a stream was closed while opening, after %ld", count.ready);
        if (stalled()) die("only %ld of %d streams opened", count.ready, opt.streams);
    }
}

static void open_senders(void) {
    struct connection *first = &all[opt.streams];
    int connections = opt.dialect->one_connection && opt.senders ? 1 : opt.senders, opened = 0;
    progress = now();
    while (count.senders_ready < connections) {
        while (opened < connections && opened - count.senders_ready < opt.window) {
            open_connection(&first[opened], opened, SENDER);
            opened++;
        }
        turn(count.senders_ready < opened ? 100 : 0);
        if (count.closed || stalled()) die("only %ld of %d senders are ready", count.senders_ready, connections);
    }
    for (int i = connections; i < opt.senders; i++) {
        first[i] = (struct connection){.fd = first->fd, .number = i, .kind = SENDER};
        is_ready(&first[i]);
    }
}

static void send_all(void) {
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    if (opt.rate > 0) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = 0};
        epoll_ctl(poller, EPOLL_CTL_ADD, timer, &event);
    }
    uint64_t start = now(), interval = opt.rate > 0 ? 1e9 / opt.rate : 0;
    long expected = deliveries_due();
    int starved = 0;
    progress = start;
    while (count.acked + count.refused < opt.messages || count.delivered < expected) {
        uint64_t at = now(), due = start;
        while (idle_count && count.sent < opt.messages) {
            due = start + count.sent * interval;
            if (interval && due > at) {
                struct itimerspec when = {.it_value = {due / 1000000000, due % 1000000000}};
                timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, 0);
                break;
            }
            /* A message that had to wait for a free sender counts from when it was due. */
            send_message(idle[--idle_count], count.sent++, interval && starved ? due : now());
        }
        starved = interval && !idle_count && start + count.sent * interval <= at;
        turn(100);
        if (count.closed || stalled() || (count.refused && !opt.dialect->answers)) break;
    }
    if (last_delivery < progress) last_delivery = progress;
}

static int by_value(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void print_quantiles(const char *name, uint32_t *values, long many) {
    qsort(values, many, sizeof *values, by_value);
    printf(",\"%s\":{", name);
    static const double parts[] = {0.5, 0.9, 0.99, 1};
    static const char *names[] = {"p50", "p90", "p99", "max"};
    for (int i = 0; i < 4; i++) {
        long at = (long)(parts[i] * many);
        printf("%s\"%s\":%u", i ? "," : "", names[i], many ? values[at < many ? at : many - 1] : 0);
    }
    printf("}");
}

static void print_each(const char *name, double *values) {
    printf(",\"%s\":[", name);
    for (int i = 0; i < opt.pid_count; i++) printf("%s%.6f", i ? "," : "", values[i]);
    printf("]");
}

static double used_s(const struct rusage *usage) {
    return usage->ru_utime.tv_sec + usage->ru_stime.tv_sec + (usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) / 1e6;
}

int main(int argc, char **argv) {
    double cpu_idle[MOST_PIDS], cpu_open[MOST_PIDS], cpu_sent[MOST_PIDS], pss_idle[MOST_PIDS], pss_open[MOST_PIDS];
    struct rlimit files;
    read_options(argc, argv);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if ((rlim_t)(opt.streams + opt.senders + 16) > files.rlim_cur)
        die("%d streams need more open files than the %ld allowed here", opt.streams, (long)files.rlim_cur);
    if (!opt.dialect->answers && opt.messages && !opt.streams) die("without a stream nothing tells that a send arrived");
    all = room_for(opt.streams + opt.senders, sizeof *all);
    prepare_rooms();
    prepare_connections();
    prepare_checks();

    for (int i = 0; i < opt.pid_count; i++) pss_idle[i] = pss_kb(opt.pids[i]), cpu_idle[i] = cpu_s(opt.pids[i]);
    uint64_t begun = now();
    open_streams();
    uint64_t opened = now();
    for (int i = 0; i < opt.pid_count; i++) cpu_open[i] = cpu_s(opt.pids[i]) - cpu_idle[i];
    if (opt.streams && opt.messages) turn_for(opt.settle_ms * 1000000ull);
    turn_for(opt.idle_s * 1000000000ull);
    for (int i = 0; i < opt.pid_count; i++) pss_open[i] = pss_kb(opt.pids[i]);
    if (opt.messages) open_senders();

    struct rusage own[2];
    for (int i = 0; i < opt.pid_count; i++) cpu_idle[i] = cpu_s(opt.pids[i]);
    getrusage(RUSAGE_SELF, &own[0]);
    uint64_t start = now();
    if (opt.messages) send_all();
    getrusage(RUSAGE_SELF, &own[1]);
    for (int i = 0; i < opt.pid_count; i++) cpu_sent[i] = cpu_s(opt.pids[i]) - cpu_idle[i];
    double seconds = opt.messages ? (last_delivery - start) / 1e9 : 0;
    /* Whatever comes beyond what was expected shows itself now. */
    if (opt.messages && opt.streams) turn_for(100000000);

    long expected = deliveries_due(), wrong = count.wrong + wrong_in_the_end();
    long faults = wrong + count.out_of_order + count.interrupted + count.closed + count.refused +
                  (count.delivered != expected) + (count.acked != opt.messages);
    printf("{\"generator\":\"c\",\"streams\":%ld,\"sent\":%ld,\"acked\":%ld,\"refused\":%ld,\"delivered\":%ld,"
           "\"expected\":%ld,\"out_of_order\":%ld,\"wrong\":%ld,\"interrupted\":%ld,\"closed\":%ld,\"faults\":%ld,"
           "\"seconds\":%.6f,\"open_s\":%.6f,\"own_cpu_s\":%.3f",
           count.ready, count.sent, count.acked, count.refused, count.delivered, expected, count.out_of_order, wrong,
           count.interrupted, count.closed, faults, seconds, (opened - begun) / 1e9, used_s(&own[1]) - used_s(&own[0]));
    print_each("cpu_s", cpu_sent);
    print_each("open_cpu_s", cpu_open);
    print_each("pss_idle_kb", pss_idle);
    print_each("pss_open_kb", pss_open);
    print_quantiles("delivery_us", latency, latencies);
    print_quantiles("answer_us", answer_times(), count.sent);
    printf("}\n");
    return faults ? 1 : 0;
}
