/* What the run is to be, from the command line. load.py writes it. */
#include "generator.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct options opt = {
    .dialect = &dchat, .path = "/v1/events", .post = "/", .room = "", .port = 5000, .window = 64, .bytes = 200,
    .stall_s = 15, .settle_ms = 300, .first = 1, .watched = 1,
};

static const struct dialect *dialects[] = {&dchat, &create, &plain, &sse, &socketio, &nats, &irc};
static char **token;
static int tokens;

static const struct dialect *dialect_named(const char *name) {
    for (size_t i = 0; i < sizeof dialects / sizeof *dialects; i++)
        if (!strcmp(dialects[i]->name, name)) return dialects[i];
    die("no dialect %s", name);
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

static int read_numbers(char *words, int *numbers, int most) {
    int many = 0;
    for (char *word = strtok(words, ","); word; word = strtok(0, ",")) {
        if (many == most) die("more than %d numbers", most);
        numbers[many++] = atoi(word);
    }
    return many;
}

void read_options(int argc, char **argv) {
    int letter;
    while ((letter = getopt(argc, argv, "P:L:d:s:p:R:M:W:c:k:n:r:b:f:a:i:I:S:T:w:")) > 0) switch (letter) {
        case 'P': opt.port = atoi(optarg); break;
        case 'L': opt.listen_port_count = read_numbers(optarg, opt.listen_ports, MOST_PORTS); break;
        case 'd': opt.dialect = dialect_named(optarg); break;
        case 's': opt.path = optarg; break;
        case 'p': opt.post = optarg; break;
        case 'R': opt.room = optarg; break;
        case 'M': opt.many = atoi(optarg); break;
        case 'W': opt.watched = atoi(optarg); break;
        case 'c': opt.streams = atoi(optarg); break;
        case 'k': opt.senders = atoi(optarg); break;
        case 'n': opt.messages = atol(optarg); break;
        case 'r': opt.rate = atof(optarg); break;
        case 'b': opt.bytes = atoi(optarg); break;
        case 'f': opt.first = atol(optarg); break;
        case 'a': opt.window = atoi(optarg); break;
        case 'I': opt.idle_s = atoi(optarg); break;
        case 'S': opt.stall_s = atoi(optarg); break;
        case 'w': opt.settle_ms = atoi(optarg); break;
        case 'T': opt.tokens = optarg; break;
        case 'i': opt.pid_count = read_numbers(optarg, opt.pids, MOST_PIDS); break;
        default: die("unknown option");
        }
    if (opt.bytes > BUFFER / 4) die("messages that long are not for this program");
    if (opt.many && (long)opt.streams * opt.watched > opt.many) die("there are too few rooms for so many streams");
    if (opt.many && (strlen(opt.room) + 12) * opt.watched > MOST_PATH / 2) die("a stream cannot listen to so many rooms");
    read_tokens();
}

/* The token of this connection; the file's in turn. Where there are many rooms they belong to the tokens in turn. */
const char *bearer(const struct connection *c) {
    long number = opt.many && c->kind == SENDER ? room_of(c->message) : c->number;
    return tokens ? token[number % tokens] : "none";
}

