/* The sockets of a run: opened, read and written here and nowhere else. One epoll watches them all. */
#include "generator.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define STREAMS_AN_ADDRESS 20000

int poller;
struct connection **idle;
int idle_count;
uint64_t progress;

static char *buffer, *text;

void prepare_connections(void) {
    poller = epoll_create1(0);
    idle = room_for(opt.senders, sizeof *idle);
    buffer = room_for(BUFFER, 1);
    text = room_for(opt.bytes + 12, 1);
    memset(text, 'x', opt.bytes);
}

static void keep(struct connection *c, const char *data, int size) {
    if (size >= BUFFER / 2) die("%d bytes without an end", size);
    if (size > c->kept_room) {
        c->kept_room = size + 256;
        c->kept = realloc(c->kept, c->kept_room);
        if (!c->kept) die("out of memory");
    }
    if (size) memcpy(c->kept, data, size);
    c->kept_size = size;
}

void say(struct connection *c, const char *data, int size) {
    while (size > 0) {
        ssize_t n = send(c->fd, data, size, MSG_NOSIGNAL);
        if (n > 0) data += n, size -= n;
        else if (errno == EPIPE || errno == ECONNRESET) return; /* reading tells that it is closed */
        else if (errno != EAGAIN) die("write: %s", strerror(errno));
    }
}

void is_ready(struct connection *c) {
    if (c->state < READY) (c->kind == STREAM ? count.ready++ : count.senders_ready++);
    c->state = READY;
    if (c->kind == SENDER) idle[idle_count++] = c;
}

void open_connection(struct connection *c, int number, enum kind kind) {
    int elsewhere = kind == STREAM && opt.listen_port_count;
    int port = elsewhere ? opt.listen_ports[number % opt.listen_port_count] : opt.port;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    int one = 1;
    c->kind = kind;
    c->number = number;
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
    char greeting[2 * MOST_PATH];
    int size = opt.dialect->greet(c, greeting);
    say(c, greeting, size);
    if (!size) is_ready(c);
}

/* Nothing has come for longer than a server that works would take. */
int stalled(void) { return now() - progress > opt.stall_s * 1000000000ull; }

void send_message(struct connection *c, long message, uint64_t due) {
    snprintf(text, 13, "#%010ld#", message);
    int size = opt.bytes > 12 ? opt.bytes : 12;
    if (size > 12) text[12] = 'x';
    sends(c, message, due);
    say(c, buffer, opt.dialect->send(c, text, size, buffer));
}

/* Take what has come. */
void turn(int timeout_ms) {
    struct epoll_event events[512];
    int many = epoll_wait(poller, events, 512, timeout_ms);
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
        int taken = opt.dialect->take(c, buffer, size, at);
        keep(c, buffer + taken, size - taken);
    }
}

void turn_for(uint64_t ns) {
    for (uint64_t until = now() + ns; now() < until;) turn(20);
}
