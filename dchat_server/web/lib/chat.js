/**
 * What a signed-in page shows: oneself, the rooms, the transcripts that were opened, who is typing, how the connection is.
 * Pure: it is told what happened and says what changed.
 */

import { Rooms, mentions } from "./rooms.js";
import { Transcript } from "./transcript.js";

/** @typedef {import("./postbox.js").Written & {state: "pending" | "sending" | "failed"}} Pending one's own, unconfirmed */

/**
 * How the connection is doing. `retryAt` (ms since 1970) while reconnecting; `shared` tells that another tab has the
 * stream and passes everything on.
 * @typedef {{phase: import("./items.js").Phase, retryAt: number | null, reason: string, shared: boolean}} ConnectionState
 */

/**
 * What changed, for whoever draws it. Each member is there only when it applies.
 * @typedef {object} Changes
 * @property {boolean} [state] signed in or out
 * @property {boolean} [connection]
 * @property {boolean} [me]
 * @property {boolean} [roomList] rooms came or went
 * @property {Set<string>} [rooms] these rooms' counts or facts
 * @property {Set<string>} [transcripts] these rooms' transcripts
 * @property {Set<string>} [members] who is in these rooms changed
 * @property {Set<string>} [typing] who types in these rooms changed
 */

/**
 * Something was said, for a sound or a notification. `live` is false for what is caught up after a break.
 * @typedef {{message: Record<string, any>, room: string, mention: boolean, own: boolean, live: boolean}} Said
 */

/** How long somebody is typing after they last said so, as the server has it. */
export const TYPING_MS = 6000;

export class Chat {
    /** @type {ConnectionState} */
    connection = { phase: "connecting", retryAt: null, reason: "", shared: false };
    /** @type {Record<string, any>} the account: username, display_name, … */
    me;
    rooms;
    /** @type {Map<string, Transcript>} */
    #transcripts = new Map();
    /** Room → user → until when (ms since 1970). @type {Map<string, Map<string, number>>} */
    #typing = new Map();
    #live = false;
    #changed;
    #said;

    /**
     * @param {Record<string, any>} me
     * @param {(changes: Changes) => void} changed @param {(said: Said) => void} said
     */
    constructor(me, changed = () => {}, said = () => {}) {
        this.me = me;
        this.rooms = new Rooms(me.username);
        this.#changed = changed;
        this.#said = said;
    }

    /** The transcript of a room that was opened; null before. @param {string} room */
    transcript(room) {
        return this.#transcripts.get(room) ?? null;
    }

    /** The transcripts that were opened. */
    get transcripts() {
        return [...this.#transcripts.values()];
    }

    /** The transcript of a room, from now on kept up. @param {string} room */
    open(room) {
        const transcript = this.#transcripts.get(room) ?? new Transcript(room);
        this.#transcripts.set(room, transcript);
        return transcript;
    }

    /** Let go of a transcript. @param {string} room */
    close(room) {
        this.#transcripts.delete(room);
    }

    /** Who is typing in a room. @param {string} room @param {number} [now] @returns {string[]} */
    typing(room, now = Date.now()) {
        return [...(this.#typing.get(room) ?? [])].flatMap(([user, until]) => (until > now ? user : [])).sort();
    }

    // What happens

    /** The session handed out a durable event. @param {Record<string, any>} event */
    deliver(event) {
        const { room, type } = event;
        const changes = new ChangeSet();
        if (this.rooms.deliver(event)) changes.add("rooms", room);
        if (this.#transcripts.get(room)?.deliver(event)) changes.add("transcripts", room);
        if (type === "member") changes.add("members", room);
        if (type === "message") {
            if (this.#typing.get(room)?.delete(event.sender)) changes.add("typing", room);
            const own = event.sender === this.me.username;
            const mention = !own && mentions(event.text, this.me.username);
            this.#said({ message: event, room, mention, own, live: this.#live });
        }
        this.#changed(changes.value);
    }

    /** An event without a place in a room. @param {Record<string, any>} event @param {number} [now] */
    pass(event, now = Date.now()) {
        const changes = new ChangeSet();
        if (event.type === "read" && Number.isSafeInteger(event.read)) {
            if (this.rooms.markRead(event.room, event.read)) changes.add("rooms", event.room);
        } else if (event.type === "typing" && typeof event.room === "string") {
            const user = String(event.user ?? event.sender ?? "");
            if (user && user !== this.me.username) {
                const there = this.#typing.get(event.room) ?? new Map();
                this.#typing.set(event.room, there);
                if (event.typing === false) there.delete(user);
                else there.set(user, now + TYPING_MS);
                changes.add("typing", event.room);
            }
        }
        this.#changed(changes.value);
    }

    /** Forget who has stopped typing. @param {number} [now] */
    forgetTyping(now = Date.now()) {
        const changes = new ChangeSet();
        for (const [room, users] of this.#typing) {
            for (const [user, until] of users) {
                if (until > now) continue;
                users.delete(user);
                changes.add("typing", room);
            }
        }
        this.#changed(changes.value);
    }

    /** @param {ConnectionState} connection */
    connected(connection) {
        this.connection = connection;
        if (connection.phase !== "live") this.#live = false;
        this.#changed({ connection: true });
    }

    /** What was missed has been told; from here on it is happening now. */
    caughtUp() {
        this.#live = true;
    }

    /** A snapshot of all rooms came. @param {Record<string, any>} sync @param {Map<string, number> | null} versions */
    synced({ user, rooms }, versions = null) {
        const before = new Set(this.rooms.list().map((room) => room.room));
        const changed = this.rooms.synced(rooms, versions);
        const after = this.rooms.list();
        const roomList = after.length !== before.size || after.some((room) => !before.has(room.room));
        this.me = user;
        this.#changed({ me: true, rooms: changed, ...(roomList ? { roomList } : {}) });
    }

    /** The server's answer for one room came. @param {import("./rooms.js").Room} room @param {number | null} version */
    took(room, version = null) {
        const there = this.rooms.has(room.room);
        const changed = this.rooms.baseline(room, version);
        if (there !== this.rooms.has(room.room)) this.#changed({ roomList: true, rooms: new Set([room.room]) });
        else if (changed) this.#changed({ rooms: new Set([room.room]) });
    }

    /** One has left a room. @param {string} room */
    left(room) {
        if (this.rooms.remove(room)) this.#changed({ roomList: true, rooms: new Set([room]) });
    }

    /** @param {string} room @param {number} seq */
    markRead(room, seq) {
        if (this.rooms.markRead(room, seq)) this.#changed({ rooms: new Set([room]) });
    }

    /** A transcript changed by other means than the stream. @param {string} room */
    touched(room) {
        this.#changed({ transcripts: new Set([room]) });
    }

    /**
     * What waits to be sent, in order, oldest first; those of the transcripts that changed are told of.
     * @param {Pending[]} all
     */
    wrote(all) {
        const changes = new ChangeSet();
        for (const transcript of this.#transcripts.values()) {
            const mine = all.filter((each) => each.room === transcript.room);
            if (JSON.stringify(mine) === JSON.stringify(transcript.pending)) continue;
            transcript.pending = mine;
            changes.add("transcripts", transcript.room);
        }
        this.#changed(changes.value);
    }
}

/** Collects what changed. */
class ChangeSet {
    /** @type {Changes} */
    value = {};

    /** @param {"rooms" | "transcripts" | "members" | "typing"} what @param {string} room */
    add(what, room) {
        (this.value[what] ??= new Set()).add(room);
    }
}

/** Put `more` into `changes`. @param {Changes} changes @param {Changes} more */
export function merge(changes, more) {
    /** @type {Record<string, any>} */
    const all = changes;
    for (const [name, value] of Object.entries(more)) {
        if (value instanceof Set) all[name] = new Set([...(all[name] ?? []), ...value]);
        else if (value) all[name] = value;
    }
    return changes;
}
