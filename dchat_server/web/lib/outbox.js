/**
 * What one sender still has to send: in order, bounded, and safe to repeat. Pure. The twin of dchat_client/outbox.py.
 *
 * Every entry carries a `clientId`, the server's idempotency key. When the outcome of a request is unknown, its entries
 * are sent again with the same keys, and the server answers with the first message instead of making a second one. The
 * server keeps a key for 24 hours; postbox.js sees to it that nothing older is sent again unasked.
 *
 * Order: one request is in flight at a time, it takes entries from the front only, and answers are read in order up to
 * the first that is not final. From there on everything stays and is sent again, whatever the rest of the answer says:
 * an entry that may still be refused for now must not be overtaken.
 */

import { Backoff } from "./backoff.js";

/** @typedef {import("./errors.js").ChatError} ChatError */
/** @typedef {{room: string, text: string, clientId: string, replyTo: number | null}} Entry one message to send */

/**
 * What became of an entry: a stored message (`repeat` when it was stored by an earlier try), or a refusal.
 * @typedef {{entry: Entry, message: Record<string, any> | null, error: ChatError | null, repeat: boolean}} Outcome
 */

/**
 * One line of a batch's answer: the message with 201 or 200, or the error that line got.
 * @typedef {{status: number, message: Record<string, any> | null, error: ChatError | null}} Answer
 */

/** The outbox holds as much as it may; wait until something was sent. */
export class OutboxFull extends Error {}

const utf8 = new TextEncoder();

/** About how many bytes an entry takes in a request. @param {Entry} entry */
export function sizeOf(entry) {
    return utf8.encode(entry.text).length + 128;
}

/** The JSON object the server takes. @param {Entry} entry */
export function bodyOf(entry) {
    const reply = entry.replyTo === null ? {} : { reply_to: entry.replyTo };
    return { text: entry.text, client_id: entry.clientId, ...reply };
}

/** A new idempotency key. crypto.randomUUID is not there on pages that came over plain HTTP from another machine. */
export function newKey() {
    return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A bounded queue of entries and the rules by which answers empty it. */
export class Outbox {
    /** Set when nothing can be sent until somebody signs in again. Nothing is dropped. @type {ChatError | null} */
    blocked = null;
    /** Not before this time is the next request to be made. */
    readyAt = 0;

    /** @type {Entry[]} */
    #entries = [];
    #bytes = 0;
    #maxEntries;
    #maxBytes;
    #batchEntries;
    #batchBytes;
    #step;
    /** @type {Entry[]} */
    #inFlight = [];
    #backoff;

    constructor({
        maxEntries = 1000,
        maxBytes = 4 << 20,
        batchEntries = 500,
        batchBytes = 256 << 10,
        backoff = new Backoff({ baseS: 0.5, capS: 15 }),
    } = {}) {
        this.#maxEntries = maxEntries;
        this.#maxBytes = maxBytes;
        this.#batchEntries = batchEntries;
        this.#batchBytes = batchBytes;
        this.#step = batchEntries;
        this.#backoff = backoff;
    }

    get length() {
        return this.#entries.length;
    }

    /** The entries whose request is under way. */
    get inFlight() {
        return this.#inFlight;
    }

    /** Tell whether an entry waits here. @param {string} clientId */
    has(clientId) {
        return this.#entries.some((entry) => entry.clientId === clientId);
    }

    /** Queue a message. Throws OutboxFull; then nothing was queued. @param {Entry} entry */
    add(entry) {
        const full = this.#entries.length >= this.#maxEntries || this.#bytes + sizeOf(entry) > this.#maxBytes;
        if (this.#entries.length > 0 && full) throw new OutboxFull(`${this.#entries.length} messages are waiting to be sent`);
        this.#entries.push(entry);
        this.#bytes += sizeOf(entry);
    }

    /** Take an entry back; false when its request is under way, or it is not here. @param {string} clientId */
    withdraw(clientId) {
        if (this.#inFlight.some((entry) => entry.clientId === clientId)) return false;
        const at = this.#entries.findIndex((entry) => entry.clientId === clientId);
        if (at < 0) return false;
        this.#bytes -= sizeOf(this.#entries[at]);
        this.#entries.splice(at, 1);
        return true;
    }

    /** Take back all entries but these, as far as they are not under way. @param {Set<string>} clientIds */
    retain(clientIds) {
        for (const { clientId } of [...this.#entries]) if (!clientIds.has(clientId)) this.withdraw(clientId);
    }

    /**
     * Return the entries of the next request: one room's, from the front. Empty when there is nothing to do yet.
     * Exactly one of `answered`, `unclear` or `failed` must follow before it gives the next.
     * @param {number} now @returns {Entry[]}
     */
    take(now) {
        if (this.#inFlight.length > 0 || this.blocked || now < this.readyAt || this.#entries.length === 0) return [];
        /** @type {Entry[]} */
        const batch = [];
        let size = 0;
        for (const entry of this.#entries) {
            size += sizeOf(entry);
            const tooMuch = batch.length >= this.#step || size > this.#batchBytes;
            if (batch.length > 0 && (tooMuch || entry.room !== batch[0].room)) break;
            batch.push(entry);
        }
        this.#inFlight = batch;
        return batch;
    }

    /**
     * Take the answers to the request in flight, in order, and return what is settled by them. Fewer answers than
     * entries: the rest is unknown and will be sent again.
     * @param {Answer[]} answers @param {number} now @returns {Outcome[]}
     */
    answered(answers, now) {
        const batch = this.#inFlight;
        this.#inFlight = [];
        /** @type {Outcome[]} */
        const settled = [];
        /** @type {ChatError | null} */
        let halt = null;
        for (const [at, entry] of batch.entries()) {
            if (at >= answers.length) break;
            const { status, message, error } = answers[at];
            if (error !== null && (error.retryable || error.signInNeeded)) {
                halt = error;
                break;
            }
            this.#dropFirst();
            settled.push({ entry, message, error, repeat: status === 200 });
        }
        if (halt?.signInNeeded) {
            this.blocked = halt;
        } else if (settled.length < batch.length) {
            // A server that took 50 of 500 need not be sent 500 again in a second.
            this.#step = Math.max(settled.length, 10);
            if (settled.length > 0) this.#backoff.reset();
            this.readyAt = now + this.#backoff.next(halt?.retryAfterS);
        } else {
            this.#step = Math.min(this.#step * 2, this.#batchEntries);
            this.#backoff.reset();
        }
        return settled;
    }

    /**
     * The request in flight failed as a whole for now, or nobody knows: all of it will be sent again.
     * @param {ChatError} error @param {number} now
     */
    unclear(error, now) {
        this.#inFlight = [];
        this.readyAt = now + this.#backoff.next(error.retryAfterS);
    }

    /**
     * The request in flight was refused as a whole for good. Returns its entries as refused, except for a 401.
     * @param {ChatError} error @returns {Outcome[]}
     */
    failed(error) {
        const batch = this.#inFlight;
        this.#inFlight = [];
        if (error.signInNeeded) {
            this.blocked = error;
            return [];
        }
        for (const _ of batch) this.#dropFirst();
        return batch.map((entry) => ({ entry, message: null, error, repeat: false }));
    }

    /** Somebody signed in, or the network is back: go on from the front, now. */
    unblock() {
        this.blocked = null;
        this.readyAt = 0;
    }

    #dropFirst() {
        const first = this.#entries.shift();
        if (first) this.#bytes -= sizeOf(first);
    }
}
