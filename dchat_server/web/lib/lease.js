/**
 * One holder at a time among the tabs of a browser, where there are no Web Locks: a note in the storage that says who and
 * until when. Two tabs may believe for a moment that they hold it, so it may only guard what is safe to do twice; sending
 * is, by its idempotency keys, and loses at most the order of two tabs' messages.
 */

import { newKey } from "./outbox.js";

const TERM_MS = 10_000;
const RENEW_S = 3;
/** How long to wait before believing one's own note: another tab may have written at the same moment. */
const SETTLE_S = 0.2;

export class Lease {
    #storage;
    #key;
    #alarm;
    #me = newKey();

    /** @param {Storage} storage @param {string} name @param {import("./clock.js").Alarm} alarm */
    constructor(storage, name, alarm) {
        this.#storage = storage;
        this.#key = `dchat.lease.${name}`;
        this.#alarm = alarm;
    }

    /**
     * Run `work` whenever the lease is ours, until `signal` is aborted; the signal it gets ends with the lease.
     * @param {(signal: AbortSignal) => Promise<void>} work @param {AbortSignal} signal
     */
    async hold(work, signal) {
        while (!signal.aborted) {
            if (await this.#take(signal)) await this.#held(work, signal);
            else await this.#alarm.sleep(RENEW_S, signal);
        }
    }

    /** @param {(signal: AbortSignal) => Promise<void>} work @param {AbortSignal} signal */
    async #held(work, signal) {
        const term = new AbortController();
        const end = () => term.abort();
        signal.addEventListener("abort", end, { once: true });
        try {
            await Promise.race([work(term.signal), this.#renew(term.signal)]);
        } finally {
            signal.removeEventListener("abort", end);
            end();
            if (this.#holder() === this.#me) this.#storage.removeItem(this.#key);
        }
    }

    /** Resolves when the lease is lost. @param {AbortSignal} signal */
    async #renew(signal) {
        while (!signal.aborted && this.#holder() === this.#me) {
            this.#write();
            await this.#alarm.sleep(RENEW_S, signal);
        }
    }

    /** @param {AbortSignal} signal */
    async #take(signal) {
        const holder = this.#holder();
        if (holder !== null && holder !== this.#me) return false;
        this.#write();
        await this.#alarm.sleep(SETTLE_S * (1 + Math.random()), signal);
        return !signal.aborted && this.#holder() === this.#me;
    }

    #write() {
        this.#storage.setItem(this.#key, JSON.stringify({ holder: this.#me, until: Date.now() + TERM_MS }));
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
