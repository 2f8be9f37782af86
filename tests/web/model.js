/**
 * A chat model in a storm: a server in a few lines, a stream that lags, pages and snapshots that arrive late, markers moved
 * elsewhere, gaps, lost ends. When all has calmed down the page must show what the server has.
 */

import { Chat } from "/web/lib/chat.js";

const ME = "ada";
const ROOM = "r";

/** A seeded source of numbers (mulberry32): the same story for the same seed. */
function dice(seed) {
    let state = seed >>> 0;
    const next = () => {
        state = (state + 0x6d2b79f5) >>> 0;
        let mixed = Math.imul(state ^ (state >>> 15), state | 1);
        mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
        return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
    };
    return { chance: (share) => next() < share, below: (count) => Math.floor(next() * count), of: (list) => list[Math.floor(next() * list.length)] };
}

/** One room as the server has it; everything is worked out from its log, slowly and plainly. */
class Server {
    log = [];
    epoch = 1;
    read = 0;

    get head() {
        return this.log.length;
    }

    append(type, sender, fields) {
        const seq = this.head + 1;
        const ts = `2026-01-01T00:00:00.${String(seq).padStart(6, "0")}Z`;
        const event = { type, room: ROOM, seq, epoch: this.epoch, id: `${ROOM}:${seq}`, ts, sender, ...fields };
        this.log.push(event);
        if (type === "message" && sender === ME) this.read = seq;
        return event;
    }

    messages() {
        const found = new Map();
        for (const event of this.log) {
            const message = found.get(event.target);
            if (event.type === "message") {
                const { type: _, ...fields } = event;
                found.set(event.seq, { ...fields, marks: [] });
            } else if (!message || message.deleted) continue;
            else if (event.type === "delete") Object.assign(message, { deleted: true, text: "", marks: [] });
            else if (event.type === "edit") Object.assign(message, { text: event.text, edited_at: event.ts });
            else if (event.type === "reaction") {
                message.marks = message.marks.filter((mark) => mark !== `${event.emoji} ${event.sender}`);
                if (event.action === "add") message.marks.push(`${event.emoji} ${event.sender}`);
            }
        }
        return [...found.values()].map(({ marks, ...message }) => {
            if (message.deleted) {
                const { id, room, seq, epoch, ts, sender } = message;
                return { id, room, seq, epoch, ts, sender, deleted: true };
            }
            const reactions = [...new Set(marks.map((mark) => mark.split(" ")[0]))].map((emoji) => {
                const users = marks.filter((mark) => mark.startsWith(`${emoji} `)).map((mark) => mark.split(" ")[1]);
                return { emoji, count: users.length, users: users.sort() };
            });
            return reactions.length > 0 ? { ...message, reactions } : message;
        });
    }

    page({ before = Infinity, limit }) {
        const all = this.messages().filter((message) => message.seq < before);
        return { messages: all.slice(-limit), head: this.head, hasMore: all.length > limit };
    }

    room() {
        const unread = this.messages().filter((message) => message.seq > this.read && !message.deleted);
        const mentions = unread.filter((message) => message.text.includes(`@${ME}`)).length;
        const facts = { room: ROOM, kind: "public", joined: true, role: "member", members: 2, topic: "", display_name: ROOM };
        return { ...facts, archived: false, head: this.head, read: this.read, unread: unread.length, mentions };
    }
}

/** Play `steps` random steps; returns what is wrong at the end, as text, or null. */
export function storm(seed, steps) {
    const die = dice(seed);
    const server = new Server();
    const words = () => `${die.of(["hi", "well", `@${ME} look`, "ok"])} ${die.below(100)}`;
    for (let count = die.below(12); count > 0; count -= 1) server.append("message", die.of([ME, "bob"]), { text: words() });
    const chat = new Chat({ username: ME });
    chat.synced({ user: { username: ME }, rooms: [server.room()] });
    const transcript = chat.open(ROOM);
    let sent = server.head; // what of the log went over the stream
    /** What is on its way: each is `() => void` and may come at any time, in the order of its kind. */
    const underway = { markers: [], answers: [] };
    let busy = { newest: false, older: false, room: false };

    const deliverOne = () => {
        if (sent < server.head) chat.deliver(server.log[sent++]);
    };
    const askNewest = () => {
        if (busy.newest) return;
        busy.newest = true;
        transcript.stale = false;
        const asking = transcript.asking();
        const first = transcript.first;
        const pages = [];
        const ask = () => {
            pages.unshift(server.page({ before: pages[0]?.messages[0]?.seq, limit: 5 }));
            const [{ messages, hasMore }] = pages;
            const done = first === null || !hasMore || messages.length === 0 || messages[0].seq <= first;
            underway.answers.push(() => {
                if (!done) return underway.answers.push(ask);
                busy.newest = false;
                if (!transcript.tookNewest(asking, pages)) transcript.stale = true;
            });
        };
        underway.answers.push(ask);
    };
    const askOlder = () => {
        if (busy.older || busy.newest || !transcript.hasOlder) return;
        busy.older = true;
        const asking = transcript.asking();
        const before = transcript.first;
        underway.answers.push(() => {
            const page = server.page({ before, limit: 3 });
            underway.answers.push(() => {
                busy.older = false;
                transcript.tookOlder(asking, page);
            });
        });
    };
    const askRoom = () => {
        if (busy.room) return;
        busy.room = true;
        const version = chat.rooms.versions().get(ROOM) ?? null;
        underway.answers.push(() => {
            const room = server.room();
            underway.answers.push(() => {
                busy.room = false;
                chat.took(room, version);
            });
        });
    };
    const write = () => {
        const message = server.append("message", ME, { text: words(), client_id: `k${server.head}` });
        const { type: _, ...fields } = message;
        underway.answers.push(() => {
            // That what was acknowledged is lost before the answer is here, no page can know.
            if (server.log[message.seq - 1] === message && transcript.place(fields)) chat.touched(ROOM);
        });
    };
    const change = () => {
        const messages = server.messages().filter((message) => !message.deleted);
        if (messages.length === 0) return;
        const target = die.of(die.chance(0.7) ? messages.slice(-4) : messages).seq;
        const what = die.below(10);
        if (what < 5) {
            const marks = { emoji: die.of(["+1", "heart"]), action: die.of(["add", "add", "remove"]) };
            server.append("reaction", die.of([ME, "bob"]), { target, ...marks });
        } else if (what < 8) {
            const asking = transcript.asking();
            server.append("edit", "bob", { target, text: words() });
            // The answer to the change, as whoever made it gets it, from a moment of its own.
            underway.answers.push(() => {
                const message = server.messages().find((each) => each.seq === target);
                underway.answers.push(() => (message ? transcript.tookOne(asking, message) : transcript.gaveUp()));
            });
        } else server.append("delete", "bob", { target });
    };
    const mark = () => {
        // Not back to just what the page has heard of: whether the next message is the reader's own, nobody can tell.
        const to = die.chance(0.8) ? Math.min(server.head, server.read + die.below(6)) : die.below(sent + 1);
        if (to === sent && to < server.head) return;
        server.read = to;
        underway.markers.push(() => chat.pass({ type: "read", room: ROOM, read: to }));
    };
    const gap = (first, last) => {
        chat.rooms.gap(ROOM, first);
        transcript.gap(first);
        sent = Math.max(sent, last);
    };
    const lose = () => {
        // The log loses its end; who saw more is told so, and it goes on in a new epoch.
        const kept = Math.max(1, server.head - die.below(3));
        if (kept >= server.head) return;
        server.log.length = kept;
        server.epoch += 1;
        server.read = Math.min(server.read, kept);
        sent = Math.min(sent, kept);
        gap(kept + 1, kept);
    };

    // Each storm has a temper of its own.
    const temper = { gaps: die.of([0, 0.02, 0.1]), losses: die.of([0, 0.01, 0.05]), lag: 2 + die.below(4), marks: die.below(3) };
    const acts = [
        ...[() => server.append("message", "bob", { text: words() }), () => server.append("message", "bob", { text: words() })],
        ...[write, change, change, ...Array(temper.marks).fill(mark), deliverOne, deliverOne, deliverOne, deliverOne, askNewest, askOlder, askRoom],
    ];
    const arrive = () => {
        const kinds = Object.values(underway).filter((list) => list.length > 0);
        // Answers overtake each other, markers do not.
        if (kinds.length === 0) return;
        const list = die.of(kinds);
        const at = list === underway.answers ? die.below(list.length) : 0;
        list.splice(at, 1)[0]();
    };
    for (let step = 0; step < steps; step += 1) {
        die.of(acts)();
        for (let count = die.below(temper.lag); count > 0; count -= 1) arrive();
        if (die.chance(temper.gaps)) gap(sent + 1, Math.min(server.head, sent + die.below(4)));
        if (die.chance(temper.losses)) lose();
    }
    // Calm: everything arrives, and what is in doubt is asked for.
    for (let round = 0; round < 100; round += 1) {
        while (sent < server.head) deliverOne();
        while (underway.answers.length + underway.markers.length > 0) arrive();
        if (transcript.stale || transcript.state !== "ready") askNewest();
        else if (chat.rooms.inDoubt().length > 0) askRoom();
        else break;
    }
    return compare(server, chat, transcript);
}

function compare(server, chat, transcript) {
    const first = transcript.first ?? Infinity;
    const wanted = server.messages().filter((message) => message.seq >= first);
    if (first === Infinity && server.messages().length > 0) return "no messages at all";
    if (!transcript.hasOlder && wanted.length !== server.messages().length) return "older messages that nobody knows of";
    for (const [at, message] of wanted.entries()) {
        const [is, should] = [sorted(transcript.messages[at]), sorted(message)];
        if (is !== should) return `message ${at}: ${is} instead of ${should}`;
    }
    if (transcript.messages.length !== wanted.length) return `${transcript.messages.length} messages instead of ${wanted.length}`;
    const [room, truth] = [chat.rooms.get("r"), server.room()];
    for (const name of ["head", "read", "unread", "mentions"]) {
        if (room[name] !== truth[name]) return `${name}: ${room[name]} instead of ${truth[name]}`;
    }
    return null;
}

/** As text, whatever the order of members, of reactions, and of those who reacted. */
function sorted(value) {
    return JSON.stringify(value, (_, inner) => {
        if (Array.isArray(inner)) return [...inner].sort((a, b) => ((a.emoji ?? a) < (b.emoji ?? b) ? -1 : 1));
        return inner && typeof inner === "object" ? Object.fromEntries(Object.entries(inner).sort()) : inner;
    });
}

/** Many storms; what went wrong, by seed. */
export function storms(from, count, steps) {
    const wrong = {};
    for (let seed = from; seed < from + count; seed += 1) {
        const found = storm(seed, steps);
        if (found !== null) wrong[seed] = found;
    }
    return wrong;
}
