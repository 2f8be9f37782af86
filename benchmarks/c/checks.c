/* Whether what came is right. Speed alone proves nothing: whatever is counted here as a fault fails the run.
 *
 * A text begins with `#<10 digits>#`, the number of its message, and that is how a delivery is told from another.
 *
 * Each stream's deliveries are numbered: by the `seq` that D-Chat gives them, which must come without hole or repeat, or
 * by counting them where the server gives none. A number must stand for the same message on all streams, and in the end
 * each message must have had one number, the one that its sender was told. So every stream got every message, once,
 * and all in the same order. With many rooms (rooms.c) the same holds for each of them and the stream it has.
 */
#include "generator.h"
#include <stdio.h>
#include <stdlib.h>

#define MOST_LATENCIES 8000000L

struct counts count;
uint32_t *latency;
long latencies;
uint64_t last_delivery;

static struct message {
    uint64_t due_at;   /* when it was sent, or should have been */
    uint64_t acked_in; /* ns from then to the answer */
    long seq;          /* what its sender was told */
    struct connection *sender;
    int seen; /* some stream got it */
} *message;
static long *message_at; /* by place (rooms.c): message + 1, as the first stream to get it saw it */
static long *next;       /* the seq that must come now: by stream, with many rooms by room */

void prepare_checks(void) {
    message = room_for(opt.messages, sizeof *message);
    message_at = room_for(opt.messages, sizeof *message_at);
    long most = opt.messages * (opt.streams ? opt.streams : 1), orders = opt.many ? opt.many : opt.streams;
    next = room_for(orders, sizeof *next);
    for (long i = 0; i < orders; i++) next[i] = opt.first;
    latency = room_for(most < MOST_LATENCIES ? most : MOST_LATENCIES, sizeof *latency);
}

void sends(struct connection *c, long number, uint64_t due) {
    c->state = BUSY;
    c->message = number;
    message[number].sender = c;
    message[number].due_at = due;
}

/* The answer to the message that `c` has under way. `said` is shown when it was not taken. */
void answered(struct connection *c, int taken, long seq, const char *said, uint64_t at) {
    if (c->kind != SENDER || c->state != BUSY) {
        if (!count.wrong++) fprintf(stderr, "an answer to nothing: %.300s\n", said);
        return;
    }
    message[c->message].acked_in = at - message[c->message].due_at;
    message[c->message].seq = seq;
    if (taken) count.acked++;
    else if (!count.refused++) fprintf(stderr, "refused: %.300s\n", said);
    is_ready(c);
}

static void check_order(long room, long *next, long number, long seq) {
    if (seq != *next) count.out_of_order++;
    *next = seq + 1;
    long place = place_of(room, seq);
    if (place < 0) {
        count.wrong++;
        return;
    }
    long *known = &message_at[place];
    if (!*known) *known = number + 1;
    else if (*known == number + 1) return;
    else if (opt.dialect->tells_seq) count.wrong++;
    else count.out_of_order++;
}

/* A stream got what is between `text` and `end` in a room. `seq` is what the server says, if it says any. */
void delivered(struct connection *c, long room, const char *text, const char *end, long seq, uint64_t at) {
    const char *mark = memchr(text, '#', end - text);
    long number = mark && end - mark > 11 && mark[11] == '#' ? strtol(mark + 1, 0, 10) : -1;
    count.delivered++;
    last_delivery = at;
    if (number < 0 || number >= count.sent) {
        if (!count.wrong++) fprintf(stderr, "no message of ours: %.*s\n", (int)(end - text), text);
        return;
    }
    if (!listens(c, room) || room_of(number) != room) {
        count.wrong++;
        return;
    }
    struct message *m = &message[number];
    long *now = &next[opt.many ? room : c->number];
    check_order(room, now, number, opt.dialect->tells_seq ? seq : *now);
    if (latencies < MOST_LATENCIES) {
        uint64_t us = (at - m->due_at) / 1000;
        latency[latencies++] = us > UINT32_MAX ? UINT32_MAX : us;
    }
    if (!m->seen++ && !opt.dialect->answers) answered(m->sender, 1, 0, "", at);
}

/* What only shows when all is over: messages whose sender was told a seq that is not theirs, seqs that nobody was told,
 * messages that have no place in the order, or two. */
long wrong_in_the_end(void) {
    long faults = 0;
    if (!opt.dialect->tells_seq && !opt.streams) return 0; /* there is nothing to compare */
    char *known = room_for(opt.messages, 1);
    for (long i = 0; i < opt.messages; i++) {
        long at = opt.dialect->tells_seq ? place_of(room_of(i), message[i].seq) : message_at[i] - 1;
        int heard = opt.streams && (!opt.many || room_of(i) < (long)opt.streams * opt.watched);
        if (at < 0 || at >= opt.messages || known[at]++) faults++;
        else if (opt.dialect->tells_seq && heard && message_at[at] != i + 1) faults++;
    }
    free(known);
    return faults;
}

uint32_t *answer_times(void) {
    uint32_t *times = room_for(opt.messages, sizeof *times);
    for (long i = 0; i < count.sent; i++) times[i] = message[i].acked_in / 1000;
    return times;
}
