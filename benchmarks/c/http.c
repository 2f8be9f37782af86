/* Servers of event streams (SSE): D-Chat and what speaks like it, and Nchan.
 *
 * A stream is a GET whose answer never ends; it is read by lines. A sender is a keep-alive connection with a POST under
 * way; its answer is whole when as many bytes have come as its Content-Length says.
 */
#define _GNU_SOURCE
#include "generator.h"
#include <stdio.h>
#include <stdlib.h>

static int greet(struct connection *c, char *out) {
    if (c->kind == SENDER) return 0;
    char path[MOST_PATH];
    return snprintf(out, 2 * MOST_PATH,
                    "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\nAuthorization: Bearer %s\r\n\r\n",
                    put_path(c, opt.path, path), bearer(c));
}

/* A POST of an object with one member, `value`. */
static int post_member(struct connection *c, const char *name, const char *value, int size, char *out) {
    char path[MOST_PATH];
    int head = snprintf(out, 2 * MOST_PATH,
                        "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                        "Authorization: Bearer %s\r\nContent-Length: %d\r\n\r\n{\"%s\":\"",
                        put_path(c, opt.post, path), bearer(c), size + (int)strlen(name) + 7, name);
    memcpy(out + head, value, size);
    memcpy(out + head + size, "\"}", 2);
    return head + size + 2;
}

static int post(struct connection *c, const char *text, int size, char *out) {
    return post_member(c, "text", text, size, out);
}

/* The answer to a POST. `taken` is how an answer begins whose message was taken. */
static int take_answer(struct connection *c, char *data, int size, const char *taken, uint64_t at) {
    data[size] = 0;
    char *body = strstr(data, "\r\n\r\n");
    char *length = body ? strcasestr(data, "\r\ncontent-length:") : 0;
    if (!body || !length || length > body || body + 4 + atol(length + 17) > data + size) return 0;
    char *seq = strstr(body, "\"seq\":");
    answered(c, begins(data, data + size, taken), seq ? atol(seq + 6) : 0, data, at);
    return size;
}

static void check_head(const char *line, const char *end) {
    if (begins(line, end, "HTTP/1.1") && !begins(line, end, "HTTP/1.1 200"))
        die("a stream was refused: %.*s", (int)(end - line), line);
}

/* --- D-Chat: `data: {"type":"message","room":"…","seq":…` ---------------------------------------------------------- */

static void dchat_line(struct connection *c, char *line, char *end, uint64_t at) {
    static char prefix[160];
    static int prefix_size;
    if (!prefix_size)
        prefix_size = snprintf(prefix, sizeof prefix, "data: {\"type\":\"message\",\"room\":\"%s%s", opt.room,
                               opt.many ? "-" : "");
    if (c->state == OPENING) {
        check_head(line, end);
        if (!begins(line, end, "event:")) return;
        is_ready(c);
    }
    if (begins(line, end, "data: ")) {
        if (end - line > prefix_size && !memcmp(line, prefix, prefix_size)) {
            char *after = line + prefix_size;
            long room = opt.many ? strtol(after, &after, 10) : 0;
            if (!begins(after, end, "\",\"seq\":")) room = -1;
            long seq = strtol(after + (room < 0 ? 0 : 8), &after, 10);
            delivered(c, room, after, end, seq, at);
        } else if (begins(line, end, "data: {\"type\":\"message\"")) count.wrong++; /* of another room */
    } else if (begins(line, end, "event: ")) {
        static const char *bad[] = {"gap", "reconnect", "degraded", "auth_expired"};
        for (int i = 0; i < 4; i++) count.interrupted += begins(line + 7, end, bad[i]);
    }
}

static int dchat_take(struct connection *c, char *data, int size, uint64_t at) {
    if (c->kind == SENDER) return take_answer(c, data, size, "HTTP/1.1 201", at);
    return each_line(c, data, size, at, dchat_line);
}

const struct dialect dchat = {
    .name = "dchat", .tells_seq = 1, .answers = 1, .greet = greet, .take = dchat_take, .send = post,
};

/* Rooms are created: message i is the i-th room that a run with as many rooms would send to. */
static int post_room(struct connection *c, const char *text, int size, char *out) {
    char name[MOST_PATH];
    (void)text, (void)size;
    put_path(c, "*", name);
    return post_member(c, "room", name, strlen(name), out);
}

const struct dialect create = {.name = "create", .answers = 1, .greet = greet, .take = dchat_take, .send = post_room};

/* A POST that is answered, and nothing else. */
const struct dialect plain = {.name = "plain", .answers = 1, .greet = greet, .take = dchat_take, .send = post};

/* --- Nchan, bare.c: a comment says that the stream is open, and the body of the POST is within a line of `data: ` ----- */

static void sse_line(struct connection *c, char *line, char *end, uint64_t at) {
    if (c->state == OPENING) check_head(line, end);
    if (begins(line, end, "data: ")) delivered(c, 0, line + 6, end, 0, at);
    else if (c->state == OPENING && begins(line, end, ":")) is_ready(c);
}

static int sse_take(struct connection *c, char *data, int size, uint64_t at) {
    /* Nchan says 201 when somebody listens, and 202 when nobody does: it keeps the message either way. */
    if (c->kind == SENDER) return take_answer(c, data, size, "HTTP/1.1 20", at);
    return each_line(c, data, size, at, sse_line);
}

const struct dialect sse = {.name = "sse", .answers = 1, .greet = greet, .take = sse_take, .send = post};
