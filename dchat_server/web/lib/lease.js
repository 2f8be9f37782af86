/**
 * What Web Locks do, for pages that have none: plain HTTP from another machine is no secure context. A note in the storage
 * says who holds the lock and until when.
 *
 * Two tabs may believe for a moment that they hold it, or a holder whose timers the browser held back may have lost it and
 * not know; so it may only guard what is safe to do twice. The work of the tabs is: what is received twice is known by its
 * place, what is sent twice by its key, and the older of two owners gives way (tabs.js).
 */

import { newKey } from "./outbox.js";

/** Timers of a hidden tab may fire once a minute. A holder that is gone without a word is found out sooner, in tabs.js. */
const TERM_MS = 90_000;
const RENEW_S = 5;
const LOOK_S = 2;
/** How long to wait before believing one's own note: another tab may have written at the same moment. */
const SETTLE_S = 0.2;

/** The part of a LockManager that tabs.js uses. */
export class LeaseLocks {
    #storage;
    #alarm;

    /** @param {Storage} storage @param {import("./clock.js").Alarm} alarm */
    constructor(storage, alarm) {
        this.#storage = storage;
        this.#alarm = alarm;
    }

    /**
     * Run `work` while holding the lock. Rejects with an AbortError when `signal` ends the wait, or when the lock was lost.
     * @param {string} name @param {{signal?: AbortSignal, steal?: boolean}} options @param {() => Promise<void>} work
     */
    async request(name, { signal, steal = false }, work) {
        const lease = new Lease(this.#storage, `dchat.lease.${name}`);
        const done = new AbortController();
        const free = () => lease.release();
        addEventListener("pagehide", free, { signal: done.signal });
        // Another tab let go, or took it.
        addEventListener("storage", () => this.#alarm.check(), { signal: done.signal });
        try {
            await this.#take(lease, steal, signal);
            await Promise.race([work(), this.#lost(lease, done.signal)]);
        } finally {
            done.abort();
            free();
        }
    }

    /** @param {Lease} lease @param {boolean} steal @param {AbortSignal} [signal] */
    async #take(lease, steal, signal) {
        for (;;) {
            if (!steal) await this.#until(() => lease.isFree, signal);
            if (signal?.aborted) throw new DOMException("the wait was given up", "AbortError");
            lease.write();
            await this.#alarm.sleep(SETTLE_S * (1 + Math.random()), signal);
            if (lease.isMine && !signal?.aborted) return;
            steal = false;
        }
    }

    /** @param {Lease} lease @param {AbortSignal} done */
    async #lost(lease, done) {
        while (lease.isMine) {
            lease.write();
            await this.#until(() => !lease.isMine, done, RENEW_S);
            if (done.aborted) return;
        }
        throw new DOMException("another tab took the lock", "AbortError");
    }

    /**
     * Wait until `is` is true, for `seconds` at most, looking now and then and whenever anything wakes the page.
     * @param {() => boolean} is @param {AbortSignal} [signal]
     */
    async #until(is, signal, seconds = Infinity) {
        const end = this.#alarm.now + seconds;
        while (!is() && !signal?.aborted && this.#alarm.now < end) {
            const look = this.#alarm.now + LOOK_S;
            await this.#alarm.until(() => (is() ? 0 : look), signal);
        }
    }
}

/** One note: who, until when. */
class Lease {
    #storage;
    #key;
    #me = newKey();

    /** @param {Storage} storage @param {string} key */
    constructor(storage, key) {
        this.#storage = storage;
        this.#key = key;
    }

    get isFree() {
        return this.#holder() === null;
    }

    get isMine() {
        return this.#holder() === this.#me;
    }

    write() {
        this.#storage.setItem(this.#key, JSON.stringify({ holder: this.#me, until: Date.now() + TERM_MS }));
    }

    release() {
        if (this.isMine) this.#storage.removeItem(this.#key);
    }

    #holder() {
        try {
            const { holder, until } = JSON.parse(this.#storage.getItem(this.#key) ?? "{}");
            // One that ends later than any we give was written under another clock.
            return typeof holder === "string" && until > Date.now() && until <= Date.now() + TERM_MS ? holder : null;
        } catch {
            return null;
        }
    }
}
