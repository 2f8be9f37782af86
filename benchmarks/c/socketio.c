/* socket.io 4 over websocket alone, as https://socket.io/docs/v4/socket-io-protocol/ and RFC 6455 have it.
 *
 * After the upgrade all is text frames. The first character is engine.io's: `0` it is open, `2` a ping that wants a `3`,
 * `4` a packet of socket.io, whose own kind comes next: `40` a session, `42[…]` an event, `43<number>[…]` the answer to
 * the event that was sent with this number.
 */
#include "generator.h"
#include <stdio.h>
#include <stdlib.h>

static int greet(struct connection *c, char *out) {
    return snprintf(out, 4096,
                    "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ZC1jaGF0IGJlbmNobWFyaw==\r\n\r\n",
                    c->kind == STREAM ? opt.path : opt.post);
}

/* A whole frame into `out`. What a client says must be masked. */
static int frame(char *out, int kind, const char *data, int size) {
    static const char mask[4] = {0x1f, 0x2e, 0x3d, 0x4c};
    int head = 2;
    out[0] = 0x80 | kind;
    if (size < 126) out[1] = 0x80 | size;
    else out[1] = 0x80 | 126, out[2] = size >> 8, out[3] = size, head = 4;
    memcpy(out + head, mask, 4);
    for (int i = 0; i < size; i++) out[head + 4 + i] = data[i] ^ mask[i & 3];
    return head + 4 + size;
}

static void say_frame(struct connection *c, int kind, const char *data, int size) {
    char out[256];
    say(c, out, frame(out, kind, data, size));
}

static int emit(struct connection *c, const char *text, int size, char *out) {
    static char event[1 << 15];
    int head = snprintf(event, sizeof event, "42%ld[\"send\",\"", c->message);
    if (head + size + 2 > (int)sizeof event) die("a message of %d bytes is not for this program", size);
    memcpy(event + head, text, size);
    memcpy(event + head + size, "\"]", 2);
    return frame(out, 1, event, head + size + 2);
}

static void packet(struct connection *c, char *data, char *end, uint64_t at) {
    if (begins(data, end, "42[")) delivered(c, 0, data, end, 0, at);
    else if (begins(data, end, "43")) {
        char *after;
        long message = strtol(data + 2, &after, 10);
        answered(c, message == c->message && begins(after, end, "[\"taken\"]"), 0, data, at);
    } else if (begins(data, end, "40")) is_ready(c);
    else if (begins(data, end, "0{")) say_frame(c, 1, "40", 2);
    else if (begins(data, end, "2")) say_frame(c, 1, "3", 1);
    else die("a packet that is none: %.*s", (int)(end - data), data);
}

/* A frame: how many bytes it has, 0 when its end has not come. */
static int take_frame(struct connection *c, char *data, int size, uint64_t at) {
    const unsigned char *byte = (unsigned char *)data;
    if (size < 2) return 0;
    int length = byte[1] & 127, head = length == 126 ? 4 : 2;
    if (length == 127) die("a frame that long is none of ours");
    if (size < head) return 0;
    if (length == 126) length = byte[2] << 8 | byte[3];
    if (head + length > size) return 0;
    char *end = data + head + length, after = *end;
    *end = 0; /* for strtol; data[size] may be written to */
    switch (byte[0]) {
    case 0x81: packet(c, data + head, end, at); break;
    case 0x88: count.closed++; break;
    case 0x89: say_frame(c, 10, data + head, length); break;
    default: die("a frame of an unknown kind: %02x", byte[0]);
    }
    *end = after;
    return head + length;
}

static int take(struct connection *c, char *data, int size, uint64_t at) {
    int taken = 0;
    if (c->state == OPENING) {
        data[size] = 0;
        char *end = strstr(data, "\r\n\r\n");
        if (!end) return 0;
        if (!begins(data, end, "HTTP/1.1 101")) die("no websocket: %.300s", data);
        c->state = GREETED;
        taken = end + 4 - data;
    }
    for (int whole; (whole = take_frame(c, data + taken, size - taken, at)); taken += whole) {}
    return taken;
}

const struct dialect socketio = {.name = "socketio", .answers = 1, .greet = greet, .take = take, .send = emit};
