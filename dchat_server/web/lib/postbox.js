/**
 * The outbox as it lies in the browser's storage: what was typed survives a reload, a closed tab and a dead battery.
 *
 * One key an entry, because two tabs that change one value at the same time would lose one of the changes. The key says
 * who wrote it and when, so the entries of one person can be found and put in order without being read:
 *
 *     dchat.outbox.<user>.<milliseconds since 1970, 15 digits>.<clientId>
 *
 * The server keeps an idempotency key for 24 hours. An entry older than 23 may have been stored by a try whose answer was
 * lost, and sent again it might appear twice; so it is marked as failed and left to whoever wrote it.
 */

import { ChatError } from "./errors.js";
import { OutboxFull, newKey, sizeOf } from "./outbox.js";

export const KEEP_MS = 23 * 3600 * 1000;
const MAX_ENTRIES = 200;
const MAX_BYTES = 1 << 20;
const NAME = /^(\d{15})\.([0-9a-f]{24})$/;

/**
 * A message that is not stored by the server yet. `at` is when it was written, in ms since 1970, each later than the one
 * before; `error` why it will not be sent again by itself.
 * @typedef {import("./outbox.js").Entry & {at: number, error: ChatError | null}} Written
 */

/** What one person has written and the server has not confirmed. All tabs of a browser see the same. */
export class Postbox {
    #storage;
    #prefix;
    #now;
    #last = 0;

    /** @param {Storage} storage @param {string} user @param {() => number} [now] */
    constructor(storage, user, now = Date.now) {
        this.#storage = storage;
        this.#prefix = `dchat.outbox.${user}.`;
        this.#now = now;
    }

    /** Tell whether a key of the storage is one of these. @param {string | null} key */
    owns(key) {
        return key !== null && key.startsWith(this.#prefix) && NAME.test(key.slice(this.#prefix.length));
    }

    /** What is there, oldest first. Entries that have become too old are marked as failed. @returns {Written[]} */
    all() {
        return this.#keys().flatMap((key) => this.#read(key) ?? []);
    }

    /**
     * Keep a message to be sent. Throws OutboxFull.
     * @param {{room: string, text: string, replyTo?: number | null}} message @returns {Written}
     */
    add({ room, text, replyTo = null }) {
        const there = this.all();
        const entry = { room, text, clientId: newKey(), replyTo, at: this.#tick(), error: null };
        const bytes = [...there, entry].reduce((sum, each) => sum + sizeOf(each), 0);
        if (there.length >= MAX_ENTRIES || (there.length > 0 && bytes > MAX_BYTES)) {
            throw new OutboxFull(`${there.length} messages are waiting to be sent`);
        }
        try {
            this.#write(entry);
        } catch (error) {
            throw new OutboxFull("the browser has no room left for messages that wait to be sent", { cause: error });
        }
        return entry;
    }

    /** Forget an entry: it was stored, or taken back. False when it was not there. @param {string} clientId */
    remove(clientId) {
        const key = this.#keyOf(clientId);
        if (key === null) return false;
        this.#storage.removeItem(key);
        return true;
    }

    /** An entry was refused for good. @param {string} clientId @param {ChatError} error */
    fail(clientId, error) {
        const key = this.#keyOf(clientId);
        const entry = key === null ? null : this.#read(key);
        if (entry) this.#write({ ...entry, error });
    }

    /** @param {string} clientId */
    #keyOf(clientId) {
        return this.#keys().find((key) => key.endsWith(`.${clientId}`)) ?? null;
    }

    #keys() {
        const keys = Array.from({ length: this.#storage.length }, (_, at) => this.#storage.key(at));
        return keys.flatMap((key) => (key !== null && this.owns(key) ? key : [])).sort();
    }

    /** Now, but after everything that was written before in this tab. */
    #tick() {
        this.#last = Math.max(this.#now(), this.#last + 1);
        return this.#last;
    }

    /** @param {Written} entry */
    #write({ room, text, clientId, replyTo, at, error }) {
        const value = { room, text, replyTo, ...(error ? { error: error.toJSON() } : {}) };
        this.#storage.setItem(`${this.#prefix}${String(at).padStart(15, "0")}.${clientId}`, JSON.stringify(value));
    }

    /** @param {string} key @returns {Written | null} */
    #read(key) {
        const [, at, clientId] = /** @type {RegExpExecArray} */ (NAME.exec(key.slice(this.#prefix.length)));
        let value = null;
        try {
            value = JSON.parse(this.#storage.getItem(key) ?? "null");
        } catch {
            // Not ours any more; left where it is.
        }
        if (typeof value?.room !== "string" || typeof value?.text !== "string") return null;
        const replyTo = Number.isSafeInteger(value.replyTo) ? value.replyTo : null;
        let error = value.error ? ChatError.from(value.error) : null;
        if (error === null && this.#now() - Number(at) > KEEP_MS) error = tooOld();
        return { room: value.room, text: value.text, clientId, replyTo, at: Number(at), error };
    }
}

function tooOld() {
    return new ChatError("This waited for most of a day. It may have been sent; look before you send it again.", {
        code: "too_old",
    });
}

/** A Storage of this page alone, for browsers that allow none. @implements {Storage} */
export class MemoryStorage {
    /** @type {Map<string, string>} */
    #items = new Map();

    get length() {
        return this.#items.size;
    }

    /** @param {number} at */
    key(at) {
        return [...this.#items.keys()][at] ?? null;
    }

    /** @param {string} key */
    getItem(key) {
        return this.#items.get(key) ?? null;
    }

    /** @param {string} key @param {string} value */
    setItem(key, value) {
        this.#items.set(key, String(value));
    }

    /** @param {string} key */
    removeItem(key) {
        this.#items.delete(key);
    }

    clear() {
        this.#items.clear();
    }
}

/** The browser's storage; one of this page alone where it is forbidden. @returns {Storage} */
export function browserStorage() {
    try {
        const storage = globalThis.localStorage;
        storage.setItem("dchat.probe", "1");
        storage.removeItem("dchat.probe");
        return storage;
    } catch {
        return new MemoryStorage();
    }
}
