/* The load generator: opens streams, sends messages, and checks what every stream got.
 *
 * Theory of operation
 * -------------------
 * One thread, one epoll. Streams are GET requests whose answers never end; senders are keep-alive connections with at
 * most one POST under way each. A message's text begins with `#<10 digits>#`, the number of the message, so a delivery
 * can be told from another and its time looked up.
 *
 * Speed alone proves nothing, so every delivery is checked: each stream must get every `seq` from `-f` on, in order,
 * without hole or repeat; a seq must carry the same message on all streams and be the one its sender was told.
 * Anything else is counted as a fault, and the run fails.
 *
 * CPU is that of the processes named with `-i`, between the first send and the last delivery, from /proc.
 * The result is one line of JSON on stdout. generator.py says what its members mean and does the same, slower.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define BUFFER (1 << 18)
#define MOST_PIDS 16
#define MOST_LATENCIES 8000000L
#define STREAMS_AN_ADDRESS 20000

enum { STREAM, SENDER };
enum { IDLE, HEAD, OPEN, BUSY };

struct connection {
    int fd, kind, state;
    long next;     /* stream: the seq that must come now */
    long message;  /* sender: the message under way */
    char *kept;    /* the beginning of a line or an answer whose end has not come yet */
    int kept_size, kept_room;
};

static struct {
    const char *path, *post, *room, *tokens;
    int port, streams, senders, bytes, window, idle_s, stall_s, plain;
    long messages, first;
    double rate;
    int pids[MOST_PIDS], pid_count;
} opt = {.path = "/v1/events", .post = "/", .room = "", .port = 5000, .window = 64, .bytes = 200, .stall_s = 15, .first = 1};

static struct {
    long ready, sent, acked, refused, delivered, out_of_order, wrong, interrupted, closed, others;
} count;

static int poller;
static struct connection *all;
static char *buffer, **token, *padding, prefix[160];
static int tokens, prefix_size;
static uint64_t *due_at;   /* by message: when it was sent, or should have been */
static uint64_t *acked_in; /* by message: ns from then to the answer */
static long *seq_of;       /* by message: what its sender was told */
static long *message_at;   /* by seq - first: message + 1, as the first stream to get it saw it */
static uint32_t *latency;
static long latencies;
static uint64_t last_delivery, progress;

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void die(const char *format, ...) {
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(2);
}

static double cpu_s(int pid) {
    char name[300], line[256];
    snprintf(name, sizeof name, "/proc/%d/task", pid);
    DIR *tasks = opendir(name);
    double ns = 0;
    if (!tasks) return 0;
    for (struct dirent *task; (task = readdir(tasks));) {
        if (task->d_name[0] == '.') continue;
        snprintf(name, sizeof name, "/proc/%d/task/%.20s/schedstat", pid, task->d_name);
        FILE *file = fopen(name, "r");
        if (!file) continue;
        if (fgets(line, sizeof line, file)) ns += strtod(line, 0);
        fclose(file);
    }
    closedir(tasks);
    return ns / 1e9;
}

static long pss_kb(int pid) {
    char name[64], line[256];
    long kb = 0;
    snprintf(name, sizeof name, "/proc/%d/smaps_rollup", pid);
    FILE *file = fopen(name, "r");
    if (!file) return 0;
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "Pss: %ld", &kb) == 1) break;
    fclose(file);
    return kb;
}

static void keep(struct connection *c, const char *data, int size) {
    if (size > c->kept_room) {
        c->kept_room = size + 256;
        c->kept = realloc(c->kept, c->kept_room);
        if (!c->kept) die("out of memory");
    }
    if (size) memcpy(c->kept, data, size);
    c->kept_size = size;
}

static void write_all(struct connection *c, const char *data, int size) {
    while (size > 0) {
        ssize_t n = write(c->fd, data, size);
        if (n > 0) data += n, size -= n;
        else if (errno != EAGAIN) die("write: %s", strerror(errno));
    }
}

static const char *bearer(int number) { return tokens ? token[number % tokens] : "none"; }

static void open_connection(struct connection *c, int number, int kind) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(opt.port)};
    int one = 1;
    c->kind = kind;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0) die("socket: %s", strerror(errno));
    if (number / STREAMS_AN_ADDRESS) { /* one address has too few ports */
        struct sockaddr_in from = {.sin_family = AF_INET};
        from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + number / STREAMS_AN_ADDRESS);
        if (bind(c->fd, (void *)&from, sizeof from)) die("bind: %s", strerror(errno));
    }
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(c->fd, (void *)&to, sizeof to)) die("connect: %s", strerror(errno));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event);
    if (kind == STREAM) {
        char request[2048];
        int size = snprintf(request, sizeof request,
                            "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n"
                            "Authorization: Bearer %s\r\n\r\n",
                            opt.path, bearer(number));
        c->state = HEAD;
        c->next = opt.first;
        write_all(c, request, size);
    }
}

/* Nothing has come for longer than a server that works would take. */
static int stalled(void) { return now() - progress > opt.stall_s * 1000000000ull; }

/* --- what a stream gets ------------------------------------------------------------------------------------------ */

static void delivery(struct connection *c, const char *line, const char *end, uint64_t at) {
    char *after;
    long seq = strtol(line + prefix_size, &after, 10);
    const char *mark = memchr(after, '#', end - after);
    long message = mark && end - mark > 12 && mark[11] == '#' ? strtol(mark + 1, 0, 10) : -1;
    if (seq != c->next) count.out_of_order++;
    c->next = seq + 1;
    count.delivered++;
    last_delivery = at;
    if (message < 0 || message >= opt.messages || seq < opt.first || seq >= opt.first + opt.messages) {
        count.wrong++;
        return;
    }
    long *known = &message_at[seq - opt.first];
    if (!*known) *known = message + 1;
    else if (*known != message + 1) count.wrong++;
    if (latencies < MOST_LATENCIES) {
        uint64_t us = (at - due_at[message]) / 1000;
        latency[latencies++] = us > UINT32_MAX ? UINT32_MAX : us;
    }
}

static void stream_line(struct connection *c, const char *line, const char *end, uint64_t at) {
    size_t size = end - line;
    if (c->state == HEAD) {
        if (size > 8 && !memcmp(line, "HTTP/1.1", 8) && memcmp(line + 8, " 200", 4))
            die("a stream was refused: %.*s", (int)size, line);
        if (size > 6 && !memcmp(line, "event:", 6)) {
            c->state = OPEN;
            count.ready++;
        } else return;
    }
    if (size > 6 && !memcmp(line, "data: ", 6)) {
        if (size > (size_t)prefix_size && !memcmp(line, prefix, prefix_size)) delivery(c, line, end, at);
        else if (size > 22 && !memcmp(line, "data: {\"type\":\"message\"", 22)) count.others++;
    } else if (size > 7 && !memcmp(line, "event: ", 7)) {
        static const char *bad[] = {"gap", "reconnect", "degraded", "auth_expired"};
        for (int i = 0; i < 4; i++)
            if (size >= 7 + strlen(bad[i]) && !memcmp(line + 7, bad[i], strlen(bad[i]))) count.interrupted++;
    }
}

static void stream_bytes(struct connection *c, char *data, int size, uint64_t at) {
    char *line = data, *end = data + size, *newline;
    while ((newline = memchr(line, '\n', end - line))) {
        stream_line(c, line, newline, at);
        line = newline + 1;
    }
    if (end - line >= BUFFER / 2) die("a line of %ld bytes", (long)(end - line));
    keep(c, line, end - line);
}

/* --- what a sender gets ------------------------------------------------------------------------------------------ */

static int answered(struct connection *c, char *data, int size, uint64_t at) {
    data[size] = 0;
    char *body = strstr(data, "\r\n\r\n");
    char *length = body ? strcasestr(data, "\r\ncontent-length:") : 0;
    if (!body || !length || length > body || body + 4 + atol(length + 17) > data + size) {
        keep(c, data, size);
        return 0;
    }
    keep(c, 0, 0);
    c->state = IDLE;
    acked_in[c->message] = at - due_at[c->message];
    if (memcmp(data, "HTTP/1.1 201", 12)) {
        if (!count.refused++) fprintf(stderr, "refused: %.300s\n", data);
    } else {
        char *seq = strstr(body, "\"seq\":");
        if (seq) seq_of[c->message] = atol(seq + 6);
        count.acked++;
    }
    return 1;
}

static void send_message(struct connection *c, long message, uint64_t due) {
    char head[2048], body[128];
    int body_size = snprintf(body, sizeof body, "{\"text\":\"#%010ld#", message);
    int rest = opt.bytes > 12 ? opt.bytes - 12 : 0;
    int head_size = snprintf(head, sizeof head,
                             "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                             "Authorization: Bearer %s\r\nContent-Length: %d\r\n\r\n",
                             opt.post, bearer((int)(c - all) - opt.streams), body_size + rest + 2);
    memcpy(buffer, head, head_size);
    memcpy(buffer + head_size, body, body_size);
    memcpy(buffer + head_size + body_size, padding, rest);
    memcpy(buffer + head_size + body_size + rest, "\"}", 2);
    c->state = BUSY;
    c->message = message;
    due_at[message] = due;
    write_all(c, buffer, head_size + body_size + rest + 2);
}

/* Take what has come; returns the senders that are free again through `freed`. */
static int turn(int timeout_ms, struct connection **freed) {
    struct epoll_event events[512];
    int many = epoll_wait(poller, events, 512, timeout_ms), free_now = 0;
    for (int i = 0; i < many; i++) {
        struct connection *c = events[i].data.ptr;
        if (!c) continue; /* the timer: its caller looks at the clock */
        if (c->kept_size) memcpy(buffer, c->kept, c->kept_size);
        ssize_t size = read(c->fd, buffer + c->kept_size, BUFFER - c->kept_size - 1);
        if (size < 0 && (errno == EAGAIN || errno == EINTR)) continue;
        if (size <= 0) {
            count.closed++;
            epoll_ctl(poller, EPOLL_CTL_DEL, c->fd, 0);
            continue;
        }
        uint64_t at = progress = now();
        size += c->kept_size;
        if (c->kind == STREAM) stream_bytes(c, buffer, size, at);
        else if (answered(c, buffer, size, at)) freed[free_now++] = c;
    }
    return free_now;
}

/* --- the phases of a run ------------------------------------------------------------------------------------------ */

static void open_streams(struct connection **freed) {
    int opened = 0;
    progress = now();
    while (count.ready < opt.streams) {
        while (opened < opt.streams && opened - count.ready < opt.window) {
            open_connection(&all[opened], opened, STREAM);
            opened++;
        }
        turn(100, freed);
        if (count.closed) die("a stream was closed while opening, after %ld", count.ready);
        if (stalled()) die("only %ld of %d streams opened", count.ready, opt.streams);
    }
}

static void send_all(struct connection **freed) {
    struct connection *idle[opt.senders + 1];
    int idle_count = 0;
    for (int i = 0; i < opt.senders; i++) {
        open_connection(&all[opt.streams + i], i, SENDER);
        idle[idle_count++] = &all[opt.streams + i];
    }
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    if (opt.rate > 0) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = 0};
        epoll_ctl(poller, EPOLL_CTL_ADD, timer, &event);
    }
    uint64_t start = now(), interval = opt.rate > 0 ? 1e9 / opt.rate : 0;
    long expected = opt.messages * opt.streams;
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
        int many = turn(100, freed);
        for (int i = 0; i < many; i++) idle[idle_count++] = freed[i];
        if (count.closed || stalled()) break;
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

/* Messages whose sender was told a seq that is not theirs, and seqs that nobody was told. */
static long wrong_answers(void) {
    long faults = 0;
    char *told = calloc(opt.messages + 1, 1);
    if (opt.plain) return 0;
    for (long i = 0; i < opt.messages; i++) {
        long at = seq_of[i] - opt.first;
        if (at < 0 || at >= opt.messages || told[at]++) faults++;
        else if (opt.streams && message_at[at] != i + 1) faults++;
    }
    free(told);
    return faults;
}

static void read_options(int argc, char **argv) {
    int letter;
    while ((letter = getopt(argc, argv, "P:s:p:R:c:k:n:r:b:f:a:i:I:S:T:E")) > 0) switch (letter) {
        case 'P': opt.port = atoi(optarg); break;
        case 's': opt.path = optarg; break;
        case 'p': opt.post = optarg; break;
        case 'R': opt.room = optarg; break;
        case 'c': opt.streams = atoi(optarg); break;
        case 'k': opt.senders = atoi(optarg); break;
        case 'n': opt.messages = atol(optarg); break;
        case 'r': opt.rate = atof(optarg); break;
        case 'b': opt.bytes = atoi(optarg); break;
        case 'f': opt.first = atol(optarg); break;
        case 'a': opt.window = atoi(optarg); break;
        case 'I': opt.idle_s = atoi(optarg); break;
        case 'S': opt.stall_s = atoi(optarg); break;
        case 'T': opt.tokens = optarg; break;
        case 'E': opt.plain = 1; break; /* answers carry no seq */
        case 'i':
            for (char *word = strtok(optarg, ","); word && opt.pid_count < MOST_PIDS; word = strtok(0, ","))
                opt.pids[opt.pid_count++] = atoi(word);
            break;
        default: die("unknown option");
        }
    if (opt.bytes > BUFFER / 4) die("messages that long are not for this program");
}

static void read_tokens(void) {
    char line[512];
    FILE *file = opt.tokens ? fopen(opt.tokens, "r") : 0;
    if (opt.tokens && !file) die("%s: %s", opt.tokens, strerror(errno));
    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        token = realloc(token, (tokens + 1) * sizeof *token);
        token[tokens++] = strdup(line);
    }
    if (file) fclose(file);
}

int main(int argc, char **argv) {
    double cpu_idle[MOST_PIDS], cpu_open[MOST_PIDS], cpu_sent[MOST_PIDS], pss_idle[MOST_PIDS], pss_open[MOST_PIDS];
    struct rlimit files;
    read_options(argc, argv);
    read_tokens();
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if ((rlim_t)(opt.streams + opt.senders + 16) > files.rlim_cur)
        die("%d streams need more open files than the %ld allowed here", opt.streams, (long)files.rlim_cur);
    prefix_size = snprintf(prefix, sizeof prefix, "data: {\"type\":\"message\",\"room\":\"%s\",\"seq\":", opt.room);
    poller = epoll_create1(0);
    all = calloc(opt.streams + opt.senders + 1, sizeof *all);
    buffer = malloc(BUFFER);
    padding = malloc(opt.bytes + 1);
    memset(padding, 'x', opt.bytes);
    due_at = calloc(opt.messages + 1, sizeof *due_at);
    acked_in = calloc(opt.messages + 1, sizeof *acked_in);
    seq_of = calloc(opt.messages + 1, sizeof *seq_of);
    message_at = calloc(opt.messages + 1, sizeof *message_at);
    long latency_room = opt.messages * (opt.streams ? opt.streams : 1);
    latency = malloc(sizeof *latency * ((latency_room < MOST_LATENCIES ? latency_room : MOST_LATENCIES) + 1));
    struct connection **freed = calloc(512, sizeof *freed);
    if (!all || !buffer || !padding || !latency || !message_at) die("out of memory");

    for (int i = 0; i < opt.pid_count; i++) pss_idle[i] = pss_kb(opt.pids[i]), cpu_idle[i] = cpu_s(opt.pids[i]);
    uint64_t begun = now();
    open_streams(freed);
    uint64_t opened = now();
    for (int i = 0; i < opt.pid_count; i++) cpu_open[i] = cpu_s(opt.pids[i]) - cpu_idle[i];
    if (opt.streams && opt.messages)
        for (uint64_t until = now() + 300000000; now() < until;) turn(50, freed);
    for (uint64_t until = now() + opt.idle_s * 1000000000ull; now() < until;) turn(50, freed);
    for (int i = 0; i < opt.pid_count; i++) pss_open[i] = pss_kb(opt.pids[i]);

    struct rusage own[2];
    for (int i = 0; i < opt.pid_count; i++) cpu_idle[i] = cpu_s(opt.pids[i]);
    getrusage(RUSAGE_SELF, &own[0]);
    uint64_t start = now();
    if (opt.messages) send_all(freed);
    getrusage(RUSAGE_SELF, &own[1]);
    for (int i = 0; i < opt.pid_count; i++) cpu_sent[i] = cpu_s(opt.pids[i]) - cpu_idle[i];
    double seconds = opt.messages ? (last_delivery - start) / 1e9 : 0;
    double own_s = own[1].ru_utime.tv_sec - own[0].ru_utime.tv_sec + own[1].ru_stime.tv_sec - own[0].ru_stime.tv_sec +
                   (own[1].ru_utime.tv_usec - own[0].ru_utime.tv_usec + own[1].ru_stime.tv_usec -
                    own[0].ru_stime.tv_usec) / 1e6;
    /* Whatever comes beyond what was expected shows itself now. */
    if (opt.messages && opt.streams)
        for (uint64_t until = now() + 100000000; now() < until;) turn(20, freed);

    long expected = opt.messages * opt.streams, wrong = count.wrong + count.others + wrong_answers();
    long faults = wrong + count.out_of_order + count.interrupted + count.closed + count.refused +
                  (count.delivered != expected) + (count.acked != opt.messages);
    printf("{\"generator\":\"c\",\"streams\":%ld,\"sent\":%ld,\"acked\":%ld,\"refused\":%ld,\"delivered\":%ld,"
           "\"expected\":%ld,\"out_of_order\":%ld,\"wrong\":%ld,\"interrupted\":%ld,\"closed\":%ld,\"faults\":%ld,"
           "\"seconds\":%.6f,\"open_s\":%.6f,\"own_cpu_s\":%.3f",
           count.ready, count.sent, count.acked, count.refused, count.delivered, expected, count.out_of_order, wrong,
           count.interrupted, count.closed, faults, seconds, (opened - begun) / 1e9, own_s);
    print_each("cpu_s", cpu_sent);
    print_each("open_cpu_s", cpu_open);
    print_each("pss_idle_kb", pss_idle);
    print_each("pss_open_kb", pss_open);
    print_quantiles("delivery_us", latency, latencies);
    long answers = count.sent;
    for (long i = 0; i < answers; i++) latency[i] = acked_in[i] / 1000;
    print_quantiles("answer_us", latency, answers);
    printf("}\n");
    return faults ? 1 : 0;
}
