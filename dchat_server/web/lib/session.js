/**
 * A reader's session: what to ask for when connecting, and what the bytes that come mean. Pure. The twin of
 * dchat_client/session.py, whose opening tells the theory; tests/golden/session/ holds both to it.
 *
 * In short: a session outlives its connections, opens nothing, waits for nothing and looks at no clock. Three places are
 * kept along the stream: *committed* (the face has taken everything up to here; a new connection resumes from it), *seen*
 * (handed out; what is not above it is a repeat) and *received* (waits in the queue, unjudged). `seq` is dense, so an
 * event that is not the next one of its room proves that something is missing: a gap goes out before it.
 *
 * What the browser needs beyond the twin: `hear` takes events that another tab received and passed on, `align` what that
 * tab says of its own place, `doubt` and `hurry` end a wait early when the network goes or comes back.
 */

import { Backoff } from "./backoff.js";
import { Incoming } from "./incoming.js";
import { status } from "./items.js";
import { Ledger } from "./ledger.js";
import { UNKNOWN_EPOCH, compare, placeOf } from "./position.js";

/** @typedef {import("./position.js").Position} Position */
/** @typedef {import("./items.js").Status} Status */
/** @typedef {import("./items.js").Heard} Heard */
/** @typedef {import("./items.js").GapRange} GapRange */
/** @typedef {import("./items.js").Item} Item */
/** @typedef {{rooms: string[] | null, cursor: string | null, since: string | null}} Attach what to ask /v1/events for */

/** The type of an entry in the queue that is no event: another tab's place, see `align`. */
const ALIGN = " align";

/** One reader of one stream. `rooms` null follows all rooms of `me`, the user's own name. */
export class Session {
    /** @type {Status} */
    status = status("connecting");
    /** The server asked to leave this connection; close it and call `lost`. */
    closing = false;
    idleTimeoutS;

    #rooms;
    #me;
    #since;
    #stableS;
    #backoff;
    #ledger;
    #incoming = new Incoming();
    /** @type {Heard[]} */
    #queue = [];
    /** @type {Item[]} */
    #outgoing = [];
    /** @type {number | null} */
    #plannedS = null;
    #aliveAt = 0;
    /** @type {number | null} */
    #liveSince = null;
    /** @type {number | null} */
    #retryAt = null;
    /** Before this time the server asked us not to come back. */
    #notBefore = 0;

    /**
     * @param {object} [options]
     * @param {string[] | null} [options.rooms]
     * @param {string | null} [options.me]
     * @param {import("./position.js").Bookmark | null} [options.bookmark]
     * @param {string | null} [options.since]
     * @param {number} [options.idleTimeoutS]
     * @param {number} [options.stableS]
     * @param {Backoff} [options.backoff]
     */
    constructor({
        rooms = null,
        me = null,
        bookmark = null,
        since = null,
        idleTimeoutS = 35,
        stableS = 10,
        backoff = new Backoff(),
    } = {}) {
        this.idleTimeoutS = idleTimeoutS;
        this.#rooms = rooms;
        this.#me = me;
        this.#since = since;
        this.#stableS = stableS;
        this.#backoff = backoff;
        this.#ledger = new Ledger(bookmark);
    }

    // What the holder of the connection calls

    /**
     * Begin a connection and return what to ask for; what is still queued from the last one is dropped.
     * @param {number} now @returns {Attach}
     */
    connecting(now) {
        this.#queue = [];
        this.#incoming = new Incoming();
        this.#plannedS = this.#liveSince = this.#retryAt = null;
        this.closing = false;
        this.#aliveAt = now;
        this.#change(status("connecting"));
        const cursor = this.#ledger.cursor;
        return { rooms: this.#rooms, cursor, since: cursor ? null : this.#since };
    }

    /** The wait for the next bytes begins (again); the time before it does not count as silence. @param {number} now */
    reading(now) {
        this.#aliveAt = Math.max(this.#aliveAt, now);
    }

    /**
     * Take bytes of the stream. Throws ChatError stream_broken when they cannot be read; then call `lost`. Either way,
     * `passOn` gets the events that could be read.
     * @param {Uint8Array} data @param {number} now @param {(events: Heard[]) => void} [passOn]
     */
    receive(data, now, passOn = () => {}) {
        this.#aliveAt = now;
        if (this.#liveSince !== null && now - this.#liveSince >= this.#stableS) this.#backoff.reset();
        /** @type {Heard[]} */
        const heard = [];
        try {
            this.#incoming.read(data, heard);
        } finally {
            if (heard.some(([body]) => body.type === "hello")) this.#liveSince = now;
            this.#queue.push(...heard);
            passOn(heard);
        }
    }

    /** Take events that another tab received. @param {Heard[]} events */
    hear(events) {
        this.#queue.push(...events);
    }

    /**
     * Another tab says up to where it has passed each room's events on. What it passed on before this tab listened, and
     * this tab does not have, comes out as a gap, in its place among the events.
     * @param {[string, Position][]} positions
     */
    align(positions) {
        this.#queue.push([{ type: ALIGN, positions }, null]);
    }

    /** How many events wait to be judged. */
    get waiting() {
        return this.#queue.length;
    }

    /**
     * The connection ended or could not be made; the status says when to try again. Offline stays offline.
     * @param {number} now @param {string} reason @param {number | null} [retryAfterS]
     */
    lost(now, reason, retryAfterS = null) {
        if (this.status.phase === "offline") return;
        let waitS;
        let askedS = this.#plannedS ?? retryAfterS;
        if (this.#plannedS !== null) {
            const settled = this.#liveSince !== null && now - this.#liveSince >= this.#stableS;
            waitS = settled ? this.#plannedS : this.#backoff.next(this.#plannedS);
            reason = "the server asked to reconnect";
        } else {
            const { retryMs } = this.#incoming;
            if (askedS === null && retryMs !== null) askedS = retryMs / 1000;
            waitS = this.#backoff.next(askedS);
        }
        this.#retryAt = now + waitS;
        this.#notBefore = now + this.#backoff.floor(askedS);
        this.#liveSince = null;
        this.#change(status("reconnecting", reason, waitS));
    }

    /** The connection is believed to be dead: silence has lasted long enough. @param {number} now */
    doubt(now) {
        this.#aliveAt = now - this.idleTimeoutS;
    }

    /** Somebody asks for a try now, or the network is back: wait no longer than the server asked. @param {number} now */
    hurry(now) {
        if (this.#retryAt !== null) this.#retryAt = Math.min(this.#retryAt, Math.max(now, this.#notBefore));
    }

    /** Go offline for good: signed out, refused, or closed by the user. @param {string} reason */
    stop(reason) {
        this.#retryAt = this.#liveSince = null;
        this.#change(status("offline", reason));
    }

    /** When something is due: the next try while reconnecting, else the moment the silence has lasted too long. */
    get deadline() {
        if (this.status.phase === "reconnecting") return this.#retryAt;
        return this.status.phase === "offline" ? null : this.#aliveAt + this.idleTimeoutS;
    }

    // What the face calls

    /** Yield what is to be shown next until nothing is left; commit each item once it is taken. */
    *items() {
        while (this.hasMore) {
            if (this.#outgoing.length === 0) this.#judge(.../** @type {Heard} */ (this.#queue.shift()));
            while (this.#outgoing.length > 0) yield /** @type {Item} */ (this.#outgoing.shift());
        }
    }

    /** More items can be had without waiting. */
    get hasMore() {
        return this.#outgoing.length > 0 || this.#queue.length > 0;
    }

    /** The face is done with `item` and everything before it. @param {Item} item */
    commit(item) {
        this.#ledger.commit(item.number);
    }

    /**
     * The face took `message` from a page, in the room's order, everything before it having been committed.
     * @param {Record<string, any>} message
     */
    recovered(message) {
        const place = placeOf(message);
        if (place) this.#ledger.recover(place.room, place.position);
    }

    /** The face has the room up to `position` by other means. @param {string} room @param {Position} position */
    begin(room, position) {
        this.#ledger.take(room, position);
    }

    /** Forget what was handed out but not committed; the next connection brings it again. */
    rewind() {
        this.#queue = [];
        this.#outgoing = [];
        this.#ledger.rewind();
    }

    /** A copy of the committed place. */
    get bookmark() {
        return this.#ledger.bookmark();
    }

    // Judging, one event at a time

    /** @param {Record<string, any>} event @param {string | null} cursor */
    #judge(event, cursor) {
        const place = "seq" in event ? placeOf(event) : null;
        if (place !== null) {
            this.#durable(event, place.room, place.position, cursor);
            return;
        }
        switch (event.type) {
            case "resumed": {
                const number = this.#ledger.nextNumber();
                this.#handOut({ kind: "resumed", number, replayed: count(event.replayed) }, cursor);
                break;
            }
            case "gap":
                this.#announced(event, cursor);
                break;
            case "ping":
                // Handed out, so that a face that stores its place hears of the new cursor in quiet rooms too.
                this.#handOut(this.#passing(event), cursor ?? text(event.cursor));
                break;
            case ALIGN:
                this.#aligned(event.positions);
                break;
            case undefined:
            case "hello":
            case "degraded":
            case "recovered":
            case "reconnect":
            case "auth_expired":
                this.#control(event, cursor);
                break;
            default:
                this.#handOut(this.#passing(event), cursor);
        }
    }

    /** @param {Record<string, any>} event @param {string | null} cursor */
    #control(event, cursor) {
        switch (event.type) {
            case "hello":
                // Its cursor is where this stream began; only one that was not resumed may take it as its own.
                if (this.#ledger.cursor === null && this.#since === null && this.#ledger.isSettled) {
                    cursor ??= text(event.cursor);
                }
                this.#change(status("live"), event);
                break;
            case "degraded":
                this.#change(status("degraded", text(event.reason) ?? ""));
                break;
            case "recovered":
                this.#change(status("live"));
                break;
            case "reconnect":
                this.#plannedS = this.#backoff.floor(count(event.after_ms) / 1000);
                this.closing = true;
                break;
            case "auth_expired":
                this.stop(text(event.reason) ?? "the sign-in is not valid any more");
                break;
        }
        this.#ledger.passBy(cursor);
    }

    /** @param {Record<string, any>} event @param {string} room @param {Position} position @param {string | null} cursor */
    #durable(event, room, position, cursor) {
        const seen = this.#ledger.seen(room);
        if (seen !== null && compare(position, seen) <= 0) {
            this.#ledger.passBy(cursor);
            return;
        }
        const own = this.#ownMembership(event);
        if (seen !== null && position.seq > seen.seq + 1 && own !== "join") {
            // Judged again after the gap: the face may have found this very event on a page.
            this.#queue.unshift([event, cursor]);
            this.#gap([{ room, first: seen.seq + 1, last: position.seq - 1, seen }], null, false);
            return;
        }
        const number = this.#ledger.nextNumber();
        this.#outgoing.push({ kind: "delivery", number, event, room, position });
        this.#ledger.handOut(number, cursor, { moves: [[room, position]], forgets: own === "leave" ? room : null });
    }

    /** @param {Record<string, any>} event @returns {"join" | "leave" | null} */
    #ownMembership(event) {
        if (this.#rooms !== null || this.#me === null) return null;
        if (event.type !== "member" || event.user !== this.#me) return null;
        if (event.action === "join" || event.action === "invite") return "join";
        return event.action === "leave" || event.action === "kick" ? "leave" : null;
    }

    /** @param {Record<string, any>} event @param {string | null} cursor */
    #announced(event, cursor) {
        /** @type {GapRange[]} */
        const ranges = [];
        for (const row of Array.isArray(event.rooms) ? event.rooms : []) {
            const { room, from, to } = row ?? {};
            if (typeof room !== "string" || !Number.isSafeInteger(from) || !Number.isSafeInteger(to) || from > to) {
                continue;
            }
            const seen = this.#ledger.seen(room);
            ranges.push({ room, first: seen ? Math.min(from, seen.seq + 1) : from, last: to, seen });
        }
        this.#gap(ranges, cursor, true);
    }

    /** @param {[string, Position][]} positions */
    #aligned(positions) {
        /** @type {GapRange[]} */
        const ranges = [];
        for (const [room, theirs] of positions) {
            const seen = this.#ledger.seen(room);
            const known = seen !== null && seen.epoch !== UNKNOWN_EPOCH && theirs.epoch !== UNKNOWN_EPOCH;
            if (known && theirs.epoch > seen.epoch) ranges.push({ room, first: 1, last: theirs.seq, seen });
            else if (seen !== null && theirs.seq > seen.seq && !(known && theirs.epoch < seen.epoch)) {
                ranges.push({ room, first: seen.seq + 1, last: theirs.seq, seen });
            }
        }
        if (ranges.length > 0) this.#gap(ranges, null, false);
    }

    /** @param {GapRange[]} ranges @param {string | null} cursor @param {boolean} announced */
    #gap(ranges, cursor, announced) {
        const number = this.#ledger.nextNumber();
        this.#outgoing.push({ kind: "gap", number, ranges, announced });
        this.#ledger.handOut(number, cursor, { covers: ranges.map(({ room, last }) => [room, last]) });
    }

    /** @param {Record<string, any>} event @returns {import("./items.js").Passing} */
    #passing(event) {
        return { kind: "passing", number: this.#ledger.nextNumber(), event };
    }

    /** @param {Item} item @param {string | null} cursor */
    #handOut(item, cursor) {
        this.#outgoing.push(item);
        this.#ledger.handOut(item.number, cursor);
    }

    /** @param {Status} to @param {Record<string, any> | null} [hello] */
    #change(to, hello = null) {
        const is = this.status;
        const same = to.phase === is.phase && to.retryInS === is.retryInS && to.reason === is.reason;
        if (same && hello === null) return;
        this.status = to;
        const number = this.#ledger.nextNumber();
        this.#outgoing.push({ kind: "status", number, status: to, hello });
    }
}

/** @param {unknown} value */
function text(value) {
    return typeof value === "string" && value ? value : null;
}

/** @param {unknown} value */
function count(value) {
    return Number.isSafeInteger(value) && /** @type {number} */ (value) >= 0 ? /** @type {number} */ (value) : 0;
}
