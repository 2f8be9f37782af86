/* A peer for comparison: fan-out and nothing else, in C. What it costs is what the kernel asks for a `send`.
 *
 * It answers GET with an endless event stream and POST by writing one event, in the form D-Chat's have, to every
 * stream, one `send` each. It stores nothing, checks nothing and has one room.
 *
 * usage: bare PORT
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static int streams[1 << 17], stream_count;
static long seq;

static void stream(int fd) {
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
                               ":\n\n";
    send(fd, head, sizeof head - 1, MSG_NOSIGNAL);
    streams[stream_count++] = fd;
}

static void closed(int fd) {
    for (int i = 0; i < stream_count; i++)
        if (streams[i] == fd) streams[i--] = streams[--stream_count];
    close(fd);
}

static void post(int fd, const char *body, int size) {
    static char event[1 << 17], answer[256], json[64];
    seq++;
    int many = snprintf(event, sizeof event,
                        "event: message\ndata: {\"type\":\"message\",\"room\":\"bare\",\"seq\":%ld,\"epoch\":1764000000,"
                        "\"id\":\"bare:%ld\",\"ts\":\"2026-11-23T06:04:00.123Z\",\"sender\":\"bench\",%.*s\n"
                        "id: ARBRIqS3kgYAAAABAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n\n",
                        seq, seq, size - 1, body + 1);
    for (int i = 0; i < stream_count; i++) send(streams[i], event, many, MSG_NOSIGNAL | MSG_DONTWAIT);
    int length = snprintf(json, sizeof json, "{\"message\":{\"seq\":%ld}}", seq);
    many = snprintf(answer, sizeof answer,
                    "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", length, json);
    send(fd, answer, many, MSG_NOSIGNAL);
}

int main(int argc, char **argv) {
    static char buffer[1 << 16];
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0), poller = epoll_create1(0);
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(argc > 1 ? atoi(argv[1]) : 0)};
    struct rlimit files;
    if (argc < 2) return fprintf(stderr, "usage: bare PORT\n"), 2;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (void *)&here, sizeof here) || listen(listener, 4096)) return perror("bind"), 1;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        struct epoll_event events[256];
        int many = epoll_wait(poller, events, 256, -1);
        for (int i = 0; i < many; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                fd = accept(listener, 0, 0);
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                event.data.fd = fd;
                epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
                continue;
            }
            int size = recv(fd, buffer, sizeof buffer - 1, 0);
            if (size <= 0) {
                closed(fd);
                continue;
            }
            buffer[size] = 0;
            char *body = strstr(buffer, "\r\n\r\n"); /* the generator writes a request at once, and it comes so */
            if (body && !strncmp(buffer, "GET", 3)) stream(fd);
            else if (body) post(fd, body + 4, size - (int)(body + 4 - buffer));
        }
    }
}
