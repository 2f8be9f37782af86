/**
 * The rooms somebody is in, with what they have not read of each. Pure.
 *
 * Theory of operation
 * ===================
 *
 * The server counts; its answer for a room (`/v1/sync`, `/v1/rooms/{room}`) is a *baseline*: head, read marker, unread and
 * mentions, all of one moment. Behind the baseline's head, the events of the stream are counted one by one, so any later
 * read marker gives exact counts. A marker that moves to between the two, or back, cannot be counted from here: the room is
 * *in doubt* until a new baseline comes. So is one where something unread before the baseline was changed.
 *
 * A baseline that was asked for before a marker moved, or something unread was changed, may arrive after it and know of
 * nothing; so each of these raises the room's version, and a baseline with an older one is not taken.
 *
 * What one writes oneself one has read, and everything before it, too; the server sees it the same way. Markers and messages
 * come over feeds of their own, in no order between them: so a marker that goes back may be one that was overtaken by what
 * one wrote, and what one wrote may come after a marker that was taken back behind it. So a marker that goes back, and one's
 * own message after a marker that left something unread, bring the room into doubt.
 */

/**
 * A room as its reader sees it: the server's object, with the counts kept up. Never changed, only replaced.
 * @typedef {object} Room
 * @property {string} room its name, which never changes
 * @property {"public" | "private" | "dm"} kind
 * @property {string} display_name
 * @property {string} topic
 * @property {number} members how many
 * @property {boolean} joined
 * @property {string | null} role
 * @property {boolean} archived
 * @property {number} head
 * @property {number} read
 * @property {number} unread
 * @property {number} mentions
 * @property {string[]} [users] of a direct conversation
 */

/** @typedef {{seq: number, mention: boolean, gone: boolean}} Counted a message behind the baseline's head */

/**
 * @typedef {object} Kept
 * @property {Room} room
 * @property {{head: number, read: number, unread: number, mentions: number}} base
 * @property {Counted[]} counted
 * @property {number} heard the last event that came over the stream
 * @property {number} version
 * @property {boolean} inDoubt
 * @property {boolean} leftUnread the last marker that came was not at the newest event known here
 */

/** With more counted messages than this, a room asks for a new baseline. */
const MAX_COUNTED = 2000;
/** As the server finds them, dchat_server/model.py. */
const MENTION = /(?<![\p{L}\p{N}_@.-])@([a-z0-9][a-z0-9._-]{0,31})/gu;

/** Rooms, and events of each, that are remembered until the room is known. */
const MOST_EARLY = 200;

/** Whether `text` calls `user` by `@name`. @param {unknown} text @param {string} user */
export function mentions(text, user) {
    if (typeof text !== "string" || !text.includes("@")) return false;
    for (const [, name] of text.matchAll(MENTION)) if (name === user || name.replace(/[._-]+$/, "") === user) return true;
    return false;
}

export class Rooms {
    #me;
    /** @type {Map<string, Kept>} */
    #rooms = new Map();
    /** @type {Map<string, Record<string, any>[]>} */
    #early = new Map();

    /** @param {string} me */
    constructor(me) {
        this.#me = me;
    }

    /** All rooms one is in, by name. @returns {Room[]} */
    list() {
        return [...this.#rooms.values()].map((kept) => kept.room).sort((a, b) => (a.room < b.room ? -1 : 1));
    }

    /** @param {string} name @returns {Room | null} */
    get(name) {
        return this.#rooms.get(name)?.room ?? null;
    }

    /** @param {string} name */
    has(name) {
        return this.#rooms.has(name);
    }

    /** Unread messages and mentions of all rooms. */
    total() {
        const total = { unread: 0, mentions: 0 };
        for (const { room } of this.#rooms.values()) {
            total.unread += room.unread;
            total.mentions += room.mentions;
        }
        return total;
    }

    /** Rooms whose counts need a new baseline. @returns {string[]} */
    inDoubt() {
        return [...this.#rooms].filter(([, kept]) => kept.inDoubt).map(([name]) => name);
    }

    /** Versions of all rooms, to be noted before a baseline is asked for. @returns {Map<string, number>} */
    versions() {
        return new Map([...this.#rooms].map(([name, kept]) => [name, kept.version]));
    }

    /**
     * A snapshot of all rooms one is in. `versions` were noted before it was asked for; `null` when there was nothing.
     * Returns the names of the rooms that changed.
     * @param {Room[]} rooms @param {Map<string, number> | null} versions
     */
    synced(rooms, versions = null) {
        const changed = new Set(rooms.filter((room) => this.baseline(room, versions?.get(room.room) ?? null)).map((room) => room.room));
        const there = new Set(rooms.map((room) => room.room));
        for (const name of [...this.#rooms.keys()]) {
            // A room that was joined after the snapshot was asked for is not in it, and is right all the same.
            if (there.has(name) || (versions !== null && !versions.has(name))) continue;
            this.#rooms.delete(name);
            changed.add(name);
        }
        return changed;
    }

    /**
     * The server's answer for one room. Returns whether anything changed; what is not taken, because a marker moved since
     * `version` was noted, stays in doubt.
     * @param {Room} room @param {number | null} version
     */
    baseline(room, version = null) {
        const kept = this.#rooms.get(room.room);
        if (!room.joined) return this.#rooms.delete(room.room);
        const { head, read, unread, mentions: called } = room;
        const base = { head, read, unread, mentions: called };
        if (kept === undefined) {
            this.#rooms.set(room.room, { room, base, counted: [], heard: 0, version: 0, inDoubt: false, leftUnread: false });
            const early = this.#early.get(room.room) ?? [];
            this.#early.delete(room.room);
            for (const event of early) this.deliver(event);
            return true;
        }
        if (version !== null && version !== kept.version) {
            kept.inDoubt = true;
            return false;
        }
        kept.base = base;
        kept.counted = kept.counted.filter((message) => message.seq > head);
        kept.inDoubt = false;
        return this.#put(kept, { ...room, head: Math.max(head, kept.heard) });
    }

    /**
     * Take a durable event of a room one is in. Returns whether the room changed.
     * @param {Record<string, any>} event
     */
    deliver(event) {
        const kept = this.#rooms.get(event.room);
        if (kept === undefined) this.#remember(event);
        if (kept === undefined || event.seq <= kept.base.head) return false;
        kept.heard = event.seq;
        const facts = this.#facts(kept.room, event);
        if (event.type === "message") this.#count(kept, event, facts);
        else if (event.type === "edit" || event.type === "delete") this.#recount(kept, event);
        return this.#put(kept, { ...kept.room, ...facts, head: Math.max(kept.room.head, event.seq) });
    }

    /** Keep what happens in a room that is not known yet: the answer that tells of it may be from before. @param {Record<string, any>} event */
    #remember(event) {
        const early = this.#early.get(event.room);
        if (early !== undefined && early.length < MOST_EARLY) early.push(event);
        else if (early === undefined && this.#early.size < MOST_EARLY) this.#early.set(event.room, [event]);
    }

    /** The read marker moved, here or on another device. @param {string} name @param {number} read */
    markRead(name, read) {
        const kept = this.#rooms.get(name);
        if (kept === undefined) return false;
        kept.version += 1;
        kept.leftUnread = read !== kept.room.head;
        if (read < kept.room.read) kept.inDoubt = true;
        return this.#put(kept, { ...kept.room, read });
    }

    /** Take a room out: one has left it. @param {string} name */
    remove(name) {
        this.#early.delete(name);
        return this.#rooms.delete(name);
    }

    /** What happened in a room from `first` on is not known, or not as it was. @param {string} name @param {number} first */
    gap(name, first) {
        const kept = this.#rooms.get(name);
        if (kept === undefined) return;
        kept.inDoubt = true;
        kept.version += 1;
        kept.heard = Math.min(kept.heard, first - 1);
        kept.counted = kept.counted.filter((message) => message.seq < first);
        // What comes now under a number that was used before is news.
        kept.base = { ...kept.base, head: Math.min(kept.base.head, first - 1) };
    }

    /** @param {Kept} kept @param {Record<string, any>} event @param {Partial<Room>} facts */
    #count(kept, event, facts) {
        kept.counted.push({ seq: event.seq, mention: mentions(event.text, this.#me), gone: false });
        if (kept.counted.length > MAX_COUNTED) {
            kept.inDoubt = true;
            const [oldest] = kept.counted.splice(0, 1);
            kept.base = { ...kept.base, head: oldest.seq, unread: kept.base.unread + 1 };
        }
        if (event.sender === this.#me) {
            kept.version += 1;
            if (kept.leftUnread) kept.inDoubt = true;
            kept.leftUnread = false;
            facts.read = Math.max(event.seq, kept.room.read);
        }
    }

    /** @param {Kept} kept @param {Record<string, any>} event */
    #recount(kept, { type, target, text }) {
        // A baseline that is on its way may count the message as it was.
        if (target > kept.room.read) kept.version += 1;
        const message = kept.counted.find((each) => each.seq === target);
        if (message) {
            if (type === "delete") message.gone = true;
            message.mention = type === "edit" && mentions(text, this.#me);
        } else if (target > kept.room.read) {
            // It lies before the baseline and was not read: the server knows what it counted.
            kept.inDoubt = true;
        }
    }

    /** What an event changes about the room itself. @param {Room} room @param {Record<string, any>} event @returns {Partial<Room>} */
    #facts(room, event) {
        if (event.type === "room") {
            const { topic = room.topic, display_name = room.display_name, action } = event;
            const archived = action === "archive" || (action !== "unarchive" && room.archived);
            return { topic, display_name, archived };
        }
        if (event.type !== "member") return {};
        if (event.user === this.#me) return event.role ? { role: event.role } : {};
        const step = { join: 1, invite: 1, leave: -1, kick: -1 }[/** @type {"join"} */ (event.action)] ?? 0;
        return { members: room.members + step };
    }

    /** @param {Kept} kept @param {Room} room */
    #put(kept, room) {
        const counts = this.#counts(kept, room.read);
        const before = kept.room;
        kept.room = { ...room, ...counts };
        return Object.entries(kept.room).some(([name, value]) => before[/** @type {"room"} */ (name)] !== value);
    }

    /** Counts for a read marker at `read`. @param {Kept} kept @param {number} read */
    #counts(kept, read) {
        const { base } = kept;
        const left = kept.counted.filter((message) => message.seq > read && !message.gone);
        const behind = { unread: left.length, mentions: left.filter((message) => message.mention).length };
        if (read >= base.head) return behind;
        if (read !== base.read) {
            kept.inDoubt = true;
            // Until the server has counted: at least what came since, at most what it said last.
            return { unread: read > base.read ? behind.unread : base.unread + behind.unread, mentions: behind.mentions };
        }
        return { unread: base.unread + behind.unread, mentions: base.mentions + behind.mentions };
    }
}
