/**
 * What a page shows of one room: a window of its messages that reaches to the newest, in their present state. Pure.
 *
 * Theory of operation
 * ===================
 *
 * Two sources fill it. The stream brings every event in order; pages bring messages in the state they have by then. A
 * page says what the room's head was before it was read (`head`), so it is at least as new as that: an amendment with a
 * `seq` up to it is in the page already and is not applied again, which would take a message back to what it was.
 *
 * A page that was asked for before an event came may arrive after it and not know of it. So while pages are under way
 * (`asking` … `took` or `gaveUp`) the amendments that come are kept, and applied again to what the page brought, those
 * above its head. All of them may be applied twice: the last text wins, reactions are sets, a deletion is final.
 *
 * What the window does not hold (a message further up) is not amended; the page that brings it knows.
 *
 * After a gap the window is stale: it is loaded again from the newest message back to where it began, and replaced.
 * What the stream brings meanwhile is kept on top.
 */

import { AMENDMENTS, amended, messageOf } from "./amend.js";

/** @typedef {import("./amend.js").Message} Message */
/** @typedef {import("./history.js").Page} Page */
/**
 * `asOf`: amendments with a seq up to it are in the message. `doubtful`: it may have been lost since.
 * @typedef {{message: Message, asOf: number, doubtful?: boolean}} Row
 */
/** @typedef {{at: number, from: number, gaps: number, pages: number}} Asking what a request for a page has to remember until it is answered */

/** Messages kept when the reader is at the newest; the oldest leave and can be loaded again. */
export const MAX_MESSAGES = 1000;
/** Messages kept at most, however far up somebody reads. */
const MOST_MESSAGES = 20_000;
/** Amendments kept while a page is under way; with more of them the page is asked for again. */
const MAX_KEPT = 1000;

export class Transcript {
    /** "loading": no page has come yet; "failed": none could be loaded, see `error`. @type {"loading" | "ready" | "failed"} */
    state = "loading";
    /** There are older messages than the first one here. */
    hasOlder = false;
    /** A page of older messages is under way. */
    loadingOlder = false;
    /** Something is missing or may be wrong; it is being loaded again. */
    stale = false;
    /** What went wrong with the last page. @type {import("./errors.js").ChatError | null} */
    error = null;
    /** Messages of one's own that the server has not confirmed, oldest first. @type {import("./chat.js").Pending[]} */
    pending = [];

    /** @type {Row[]} by seq */
    #rows = [];
    /** @type {Message[] | null} */
    #messages = null;
    /** Amendments that came while pages were under way; null where one may have been lost since. @type {(Record<string, any> | null)[]} */
    #kept = [];
    #asking = 0;
    #overflowed = false;
    #gaps = 0;
    #pages = 0;
    #limit = MAX_MESSAGES;

    /** @param {string} room */
    constructor(room) {
        this.room = room;
    }

    /** The messages, oldest first. The array and the messages in it are never changed, only replaced. */
    get messages() {
        this.#messages ??= this.#rows.map((row) => row.message);
        return this.#messages;
    }

    /** The `seq` of the oldest message here; null when there is none. */
    get first() {
        return this.#rows[0]?.message.seq ?? null;
    }

    /** @param {number} seq @returns {Message | null} */
    get(seq) {
        return this.#rows[this.#find(seq)]?.message ?? null;
    }

    // What the stream brings

    /**
     * Take a durable event of this room. Returns whether anything changed.
     * @param {Record<string, any>} event
     */
    deliver(event) {
        let changed = this.#forgetLost(event);
        if (event.type === "message") {
            changed = this.#insert({ message: messageOf(event), asOf: event.seq }) || changed;
            this.#trim();
        } else if (AMENDMENTS.includes(event.type)) {
            this.#keep(event);
            changed = this.#amend(event) || changed;
        }
        return changed;
    }

    /**
     * Take one's own message from the answer to its sending; the stream brings it, too, before or after.
     * @param {Message} message
     */
    place(message) {
        const last = this.#rows.at(-1);
        // One that is older than the window's end was stored by an earlier try: the stream or a page brought it, or will.
        if (this.state !== "ready" || (last !== undefined && message.seq < last.message.seq)) return false;
        return this.#insert({ message, asOf: message.seq });
    }

    /** What happened from `first` on is not known, or not as it was: the window has to be loaded again. @param {number} first */
    gap(first) {
        this.stale = true;
        this.#gaps += 1;
        for (const row of this.#rows) if (row.message.seq >= first) row.doubtful = true;
        this.#kept = this.#kept.map((event) => (event !== null && event.seq < first ? event : null));
    }

    // What pages bring

    /** A page is about to be asked for. @returns {Asking} */
    asking() {
        this.#asking += 1;
        return { at: this.#kept.length, from: this.first ?? 0, gaps: this.#gaps, pages: this.#pages };
    }

    /** It will not come. */
    gaveUp() {
        this.#asking -= 1;
        if (this.#asking === 0) {
            this.#kept = [];
            this.#overflowed = false;
        }
    }

    /**
     * The newest pages came, oldest first, without a hole between them: they replace the window. False when they have to
     * be asked for again.
     * @param {Asking} asking @param {Page[]} pages
     */
    tookNewest(asking, pages) {
        if (this.#overflowed || asking.gaps !== this.#gaps) {
            this.gaveUp();
            return false;
        }
        const head = pages.at(-1)?.head ?? 0;
        const since = this.#rows.filter((row) => row.message.seq > head && !row.doubtful);
        this.#rows = pages.flatMap(({ messages, head: asOf }) => messages.map((message) => ({ message, asOf })));
        for (const row of since) this.#insert(row);
        this.#pages += 1;
        this.hasOlder = pages[0]?.hasMore ?? false;
        this.state = "ready";
        this.error = null;
        this.#reapply(asking);
        this.#trim();
        return true;
    }

    /**
     * A page of what comes before the window came. False when it does not fit any more, because the window was replaced.
     * @param {Asking} asking @param {Page} page
     */
    tookOlder(asking, page) {
        const fits = !this.#overflowed && asking.gaps === this.#gaps && this.first === asking.from;
        if (fits) {
            this.#rows.unshift(
                ...page.messages
                    .filter((message) => message.seq < asking.from)
                    .map((message) => ({ message, asOf: page.head })),
            );
            this.hasOlder = page.hasMore && page.messages.length > 0;
            this.error = null;
            // Nothing leaves under the eyes of whoever reads up there.
            this.#limit = Math.min(this.#rows.length + MAX_MESSAGES, MOST_MESSAGES);
        }
        this.#reapply(asking);
        return fits;
    }

    /**
     * The answer to a change of one message came, with the state it has by then.
     * @param {Asking} asking @param {Message} message
     */
    tookOne(asking, message) {
        const row = this.#rows[this.#find(message.seq)];
        // A page that came meanwhile may be newer; what the answer knows and it does not, the stream brings.
        if (row && row.message.epoch === message.epoch && asking.pages === this.#pages) this.#set(row, message);
        this.#reapply(asking);
    }

    /** One of the messages was deleted, as the answer says; the stream will say it, too. @param {number} seq */
    deleted(seq) {
        const row = this.#rows[this.#find(seq)];
        if (row) this.#set(row, amended(row.message, { type: "delete" }));
    }

    /** The reader is back at the newest message: let go of what lies far above. */
    shrink() {
        this.#limit = MAX_MESSAGES;
        return this.#trim();
    }

    // Within

    /** @param {number} seq @returns {number} its place among the rows, below 0 when it is not there: ~(where it would be) */
    #find(seq) {
        let [low, high] = [0, this.#rows.length];
        while (low < high) {
            const middle = (low + high) >> 1;
            if (this.#rows[middle].message.seq < seq) low = middle + 1;
            else high = middle;
        }
        return this.#rows[low]?.message.seq === seq ? low : ~low;
    }

    /** @param {Row} row */
    #insert(row) {
        const at = this.#find(row.message.seq);
        if (at >= 0) {
            // The same message, perhaps from a page and newer; or another one under the number of one that was lost.
            if (this.#rows[at].message.epoch >= row.message.epoch) return false;
            this.#rows[at] = row;
        } else {
            // Above a window that has more further up, there is a hole that a page will fill.
            if (~at === 0 && this.hasOlder) return false;
            this.#rows.splice(~at, 0, row);
        }
        this.#messages = null;
        return true;
    }

    /** @param {Record<string, any>} event */
    #amend(event) {
        const row = this.#rows[this.#find(event.target)];
        if (!row || event.seq <= row.asOf) return false;
        return this.#set(row, amended(row.message, event));
    }

    /** @param {Row} row @param {Message} message */
    #set(row, message) {
        if (message === row.message) return false;
        row.message = message;
        this.#messages = null;
        return true;
    }

    /** An event of a new epoch takes the place of what was lost from there on. @param {Record<string, any>} event */
    #forgetLost({ seq, epoch = 0 }) {
        const before = this.#rows.length;
        const last = this.#rows.at(-1)?.message;
        if (last === undefined || last.seq < seq || (last.epoch ?? 0) >= epoch) return false;
        this.#rows = this.#rows.filter(({ message }) => message.seq < seq || (message.epoch ?? 0) >= epoch);
        for (const row of this.#rows) row.asOf = Math.min(row.asOf, seq - 1);
        this.#messages = null;
        return this.#rows.length !== before;
    }

    /** @param {Record<string, any>} event */
    #keep(event) {
        if (this.#asking === 0) return;
        if (this.#kept.length >= MAX_KEPT) this.#overflowed = true;
        else this.#kept.push(event);
    }

    /** Apply again what came since the page was asked for. @param {Asking} asking */
    #reapply(asking) {
        for (const event of this.#kept.slice(asking.at)) if (event !== null) this.#amend(event);
        this.#messages = null;
        this.gaveUp();
    }

    #trim() {
        if (this.#rows.length <= this.#limit) return false;
        this.#rows.splice(0, this.#rows.length - this.#limit);
        this.#messages = null;
        this.hasOlder = true;
        return true;
    }
}
