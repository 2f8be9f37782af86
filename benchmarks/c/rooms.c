/* Which room a message goes to, and which rooms a stream listens to.
 *
 * With one room (no `-M`) it is that one for all. With `-M many` the rooms are `<room>-0`, `<room>-1`, …; each must begin
 * with the same seq. Messages go over all of them in leaps, so that neighbours in time are no neighbours in the list. A
 * stream listens to the next `-W` of them, each room having one stream at most: the first `streams` x `W` are listened to.
 * In a path `*` stands for the connection's rooms.
 */
#include "generator.h"
#include <stdio.h>

#define LEAP 7368787L /* a prime, so that it meets every room before it meets one again */

static long *slot_before; /* of a room: messages that go to the rooms before it */

static long rooms(void) { return opt.many ? opt.many : 1; }

long room_of(long message) { return message % rooms() * (LEAP % rooms()) % rooms(); }

/* Messages that go to a room. */
static long share(long room) { return slot_before[room + 1] - slot_before[room]; }

void prepare_rooms(void) {
    slot_before = room_for(rooms() + 1, sizeof *slot_before);
    for (long message = 0; message < opt.messages; message++) slot_before[room_of(message) + 1]++;
    for (long room = 0; room < rooms(); room++) slot_before[room + 1] += slot_before[room];
}

/* What all streams together are to get. */
long deliveries_due(void) {
    if (!opt.many) return opt.messages * opt.streams;
    return slot_before[(long)opt.streams * opt.watched];
}

/* Where a room's message has its place among those of all rooms; -1 for a seq that is none of this run. */
long place_of(long room, long seq) {
    if (room < 0 || room >= rooms() || seq < opt.first || seq >= opt.first + share(room)) return -1;
    return slot_before[room] + seq - opt.first;
}

int listens(const struct connection *c, long room) {
    return opt.many ? room >= 0 && room / opt.watched == c->number : room == 0;
}

/* The rooms a connection speaks of, separated by commas: a stream's, or that of a sender's message. */
static int put_rooms(const struct connection *c, char *out) {
    if (!opt.many) return sprintf(out, "%s", opt.room);
    if (c->kind == SENDER) return sprintf(out, "%s-%ld", opt.room, room_of(c->message));
    int size = 0;
    for (long room = (long)c->number * opt.watched; listens(c, room); room++)
        size += sprintf(out + size, "%s%s-%ld", size ? "," : "", opt.room, room);
    return size;
}

/* `template` with its `*` filled in, into `out`. Returns it. */
const char *put_path(const struct connection *c, const char *template, char *out) {
    char *end = out;
    for (; *template; template++)
        if (*template == '*') end += put_rooms(c, end);
        else *end++ = *template;
    *end = 0;
    return out;
}
