/* What the parts of the load generator share. generator.c has the theory of operation.
 *
 *     generator.c   the phases of a run, and its result        options.c   what the run is to be
 *     connections.c sockets
 *     checks.c      what is counted, and whether it is right
 *     rooms.c       which room a message goes to, and who listens to it
 *     http.c  lines.c  socketio.c     the dialects: how each server is spoken to
 *     proc.c        CPU and memory of processes
 */
#ifndef GENERATOR_H
#define GENERATOR_H

#include <stdint.h>
#include <string.h>

#define BUFFER (1 << 18) /* bytes of what is read or written at once */
#define MOST_PIDS 64
#define MOST_PORTS 64
#define MOST_PATH 4096 /* bytes, with the names of a stream's rooms */

enum kind { STREAM, SENDER };
enum state { OPENING, GREETED, READY, BUSY }; /* GREETED: it is connected, and not yet there for messages */

struct connection {
    int fd, number; /* its number among those of its kind */
    enum kind kind;
    enum state state;
    long message; /* sender: the message under way */
    char *kept;   /* the beginning of what has not come to its end yet */
    int kept_size, kept_room;
};

/* How one server is spoken to. */
struct dialect {
    const char *name;
    int tells_seq; /* deliveries and answers carry the message's `seq` */
    int answers;   /* sends are answered. Where they are not, the first delivery of a message is its answer */
    int one_connection; /* all senders speak through one, as this server's clients do */

    /* What a connection says first, into `out`: its size. A sender that says nothing is ready. */
    int (*greet)(struct connection *c, char *out);
    /* Take in what is whole of these bytes, and return how many bytes that was. data[size] may be written to. */
    int (*take)(struct connection *c, char *data, int size, uint64_t at);
    /* The bytes that send a text, into `out`: their number. */
    int (*send)(struct connection *c, const char *text, int size, char *out);
};

extern const struct dialect dchat, create, plain, sse, socketio, nats, irc;

struct options {
    const struct dialect *dialect;
    const char *path, *post, *room, *tokens;
    int port, listen_ports[MOST_PORTS], listen_port_count; /* streams go to these in turn, or to `port` */
    int many, watched; /* rooms, when they are not one; and how many of them a stream listens to */
    int streams, senders, bytes, window, idle_s, stall_s, settle_ms;
    long messages, first;
    double rate;
    int pids[MOST_PIDS], pid_count;
};

struct counts {
    long ready, senders_ready, sent, acked, refused, delivered, out_of_order, wrong, interrupted, closed;
};

extern struct options opt;
extern struct counts count;

/* generator.c */
uint64_t now(void); /* ns */
void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
void *room_for(long many, size_t size); /* zeroed */

/* options.c */
void read_options(int argc, char **argv);
const char *bearer(const struct connection *c);

/* connections.c */
extern int poller;
extern struct connection **idle; /* senders that are ready and have nothing under way */
extern int idle_count;
extern uint64_t progress; /* when something came last */
void prepare_connections(void);
void open_connection(struct connection *c, int number, enum kind kind);
void is_ready(struct connection *c); /* a stream gets messages from now on; a sender may send */
void say(struct connection *c, const char *data, int size);
void send_message(struct connection *c, long message, uint64_t due);
void turn(int timeout_ms);
void turn_for(uint64_t ns);
int stalled(void);

/* checks.c */
extern uint32_t *latency; /* us, of each delivery */
extern long latencies;
extern uint64_t last_delivery;
void prepare_checks(void);
void sends(struct connection *c, long message, uint64_t due);
void answered(struct connection *c, int taken, long seq, const char *said, uint64_t at);
void delivered(struct connection *c, long room, const char *text, const char *end, long seq, uint64_t at);
long wrong_in_the_end(void);
uint32_t *answer_times(void); /* us, by message */

/* rooms.c */
void prepare_rooms(void);
long room_of(long message);
long deliveries_due(void);
long place_of(long room, long seq);
int listens(const struct connection *c, long room);
const char *put_path(const struct connection *c, const char *template, char *out);

/* proc.c */
double cpu_s(int pid);
long pss_kb(int pid);

/* Give each whole line to `take`, without its newline, and return how many bytes they were. */
static inline int each_line(struct connection *c, char *data, int size, uint64_t at,
                            void (*take)(struct connection *, char *line, char *end, uint64_t at)) {
    char *line = data, *end = data + size, *newline;
    while ((newline = memchr(line, '\n', end - line))) {
        take(c, line, newline, at);
        line = newline + 1;
    }
    return line - data;
}

static inline int begins(const char *line, const char *end, const char *with) {
    size_t size = strlen(with);
    return (size_t)(end - line) >= size && !memcmp(line, with, size);
}

#endif
