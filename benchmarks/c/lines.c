/* Servers that speak lines over plain TCP: NATS (https://docs.nats.io/reference/reference-protocols/nats-protocol) and
 * IRC (RFC 2812). Neither answers a send.
 */
#include "generator.h"
#include <ctype.h>
#include <stdio.h>
#include <unistd.h>

/* --- NATS: `MSG subject id size`, and the text as the next line ------------------------------------------------------ */

static int nats_greet(struct connection *c, char *out) {
    int size = snprintf(out, 1024, "CONNECT {\"verbose\":false,\"pedantic\":false,\"protocol\":1}\r\n");
    if (c->kind == STREAM) size += snprintf(out + size, 1024, "SUB %s 1\r\n", opt.room);
    return size + snprintf(out + size, 1024, "PING\r\n"); /* its PONG says that all before it is done */
}

static int nats_send(struct connection *c, const char *text, int size, char *out) {
    (void)c;
    int head = snprintf(out, 1024, "PUB %s %d\r\n", opt.room, size);
    memcpy(out + head, text, size);
    memcpy(out + head + size, "\r\n", 2);
    return head + size + 2;
}

static void nats_line(struct connection *c, char *line, char *end, uint64_t at) {
    if (*line == '#') delivered(c, 0, line, end, 0, at);
    else if (begins(line, end, "PING")) say(c, "PONG\r\n", 6);
    else if (begins(line, end, "PONG") && c->state == OPENING) is_ready(c);
    else if (begins(line, end, "-ERR") && !count.refused++)
        fprintf(stderr, "refused: %.*s\n", (int)(end - line), line);
}

static int nats_take(struct connection *c, char *data, int size, uint64_t at) {
    return each_line(c, data, size, at, nats_line);
}

/* From several connections its order is promised for each of them alone, and each message costs it three times as much. */
const struct dialect nats = {
    .name = "nats", .one_connection = 1, .greet = nats_greet, .take = nats_take, .send = nats_send,
};

/* --- IRC: `:nick!user@host PRIVMSG #room :text` ----------------------------------------------------------------------- */

static int irc_greet(struct connection *c, char *out) {
    /* A name that the run before did not have: the server may still be busy parting from that one's. */
    int size = snprintf(out, 1024, "NICK %c%d-%d\r\nUSER bench 0 * :bench\r\n", c->kind == STREAM ? 'r' : 's', getpid(),
                        c->number);
    if (c->kind == STREAM) size += snprintf(out + size, 1024, "JOIN #%s\r\n", opt.room);
    return size;
}

/* Senders speak from outside the channel: inside each would get what the others say. */
static int irc_send(struct connection *c, const char *text, int size, char *out) {
    (void)c;
    return snprintf(out, BUFFER, "PRIVMSG #%s :%.*s\r\n", opt.room, size, text);
}

static void irc_line(struct connection *c, char *line, char *end, uint64_t at) {
    if (begins(line, end, "PING")) {
        line[1] = 'O'; /* PONG, with the same words */
        say(c, line, end + 1 - line);
        return;
    }
    if (begins(line, end, "ERROR") && !count.interrupted++) fprintf(stderr, "%.*s\n", (int)(end - line), line);
    char *what = memchr(line, ' ', end - line);
    if (!what++) return;
    if (begins(what, end, "PRIVMSG ")) {
        char *text = memchr(what, ':', end - what);
        delivered(c, 0, text ? text : end, end, 0, at);
    } else if (c->state == OPENING) {
        /* 366: the channel's names are told; 376 and 422: the greeting is over. */
        if (c->kind == STREAM ? begins(what, end, "366") : begins(what, end, "376") || begins(what, end, "422"))
            is_ready(c);
        else if ((*what == '4' || *what == '5') && isdigit(what[1]) && !begins(what, end, "422"))
            die("refused: %.*s", (int)(end - line), line);
    } else if (*what == '4' && isdigit(what[1]) && !count.refused++)
        fprintf(stderr, "refused: %.*s\n", (int)(end - line), line);
}

static int irc_take(struct connection *c, char *data, int size, uint64_t at) {
    return each_line(c, data, size, at, irc_line);
}

const struct dialect irc = {.name = "irc", .greet = irc_greet, .take = irc_take, .send = irc_send};
