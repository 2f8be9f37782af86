/**
 * One of a person's tabs does the standing work, the stream and the sending, for all of them.
 *
 * Theory of operation
 * ===================
 *
 * *Who.* Whoever holds a Web Lock owns the work; the others wait for the lock. The browser gives it to the next when the
 * owner's tab is closed or crashes. A tab that is about to be frozen lets go of it. Where that cannot be relied on (a tab
 * that is suspended without a word), the others notice that the owner says nothing, not even when asked, and steal it.
 *
 * *Words.* What the owner receives it says on a BroadcastChannel before it makes anything of it. Its words carry its
 * *term*, which is higher than any before, and a number, dense within the term: so a listener sees that it missed one,
 * and does not listen to an owner that was deposed and does not know it yet. Who missed something asks, and the owner
 * answers with its *reign*: up to where it has passed on each room's events. What the asker does not have of that is a hole
 * and is fetched (session.js, `align`). A new owner begins with its reign, because it goes on from its own place, which
 * may be ahead of another tab's.
 *
 * *A tab that joins* listens first and then asks the server for a snapshot. What was said before it listened is in the
 * snapshot; what was said since, it has heard.
 *
 * *Time.* Timers of a hidden tab fire once a second, later once a minute; messages are not held back. So tabs in sight
 * tick while they wait for something, and any message has the owner look at its deadlines.
 *
 * On pages without Web Locks (plain HTTP from another machine is no secure context) a note in the storage stands in for
 * the lock, see lease.js. It matters there, too: a browser opens six connections to such a server and no more, so tabs with
 * a stream each would soon leave none for anything else.
 */

import { Alarm, monotonic } from "./clock.js";

const BEAT_S = 5;
/** An owner's stream brings a ping every 15 s, whatever becomes of its timers. */
const SILENT_S = 20;
const ANSWER_S = 4;
const TICK_S = 2;

/**
 * What the tabs do with each other, as their holder sees it.
 * @typedef {object} Holder
 * @property {(signal: AbortSignal) => Promise<void>} own do the work until `signal` is aborted
 * @property {() => any} state what a tab that missed something needs to know of the owner
 * @property {(state: any) => void} align the owner's state
 * @property {(word: any) => void} hear one word of the owner, in order
 * @property {(note: any) => void} note something that any tab tells the others
 * @property {() => boolean} busy whether this tab waits for something that the owner does
 */

/** @typedef {Pick<LockManager, "request"> | import("./lease.js").LeaseLocks} Locks */

export class Tabs {
    /** Whether this tab does the work. */
    isOwner = false;
    #name;
    #locks;
    /** @type {BroadcastChannel | null} */
    #channel = null;
    #alarm;
    #clock;
    /** @type {Holder | null} */
    #holder = null;
    #term = 0;
    #number = 0;
    #heardAt = 0;
    /** The owner is to be asked at this time whether it is there. */
    #probeAt = Infinity;
    #frozen = false;
    #steal = false;
    /** Ends the wait for the lock, or the reign. */
    #turn = new AbortController();

    /**
     * `name` tells the tabs of one person at one server; `locks` is what they compete by.
     * @param {{name: string, locks: Locks, alarm?: Alarm, clock?: () => number}} options
     */
    constructor({ name, locks, alarm = new Alarm(), clock = monotonic }) {
        this.#name = name;
        this.#locks = locks;
        this.#alarm = alarm;
        this.#clock = clock;
    }

    /** Listen to the other tabs. @param {Holder} holder @param {AbortSignal} signal ends everything */
    listen(holder, signal) {
        this.#holder = holder;
        const channel = new BroadcastChannel(this.#name);
        this.#channel = channel;
        channel.onmessage = (event) => this.#received(event.data);
        signal.addEventListener("abort", () => {
            channel.close();
            this.#channel = null;
        });
    }

    /** Compete for the work until `signal` is aborted. */
    async run(/** @type {AbortSignal} */ signal) {
        const holder = /** @type {Holder} */ (this.#holder);
        signal.addEventListener("abort", () => this.#turn.abort());
        this.#heardAt = this.#clock();
        this.#post({ kind: "ask" });
        void this.#watch(signal);
        void this.#tick(signal, holder);
        while (!signal.aborted) {
            await this.#alarm.until(() => (this.#frozen ? null : 0), signal);
            if (!signal.aborted) await this.#compete(holder);
        }
    }

    /** Tell the other tabs what came, in order; they make of it what this one does. For the owner. @param {any} word */
    say(word) {
        this.#number += 1;
        this.#post({ kind: "word", term: this.#term, number: this.#number, word });
    }

    /** Tell the other tabs something. @param {any} note */
    tell(note) {
        this.#post({ kind: "note", note });
    }

    /** The page came into sight or woke: is the owner still there? */
    wake() {
        this.#frozen = false;
        this.#probeAt = this.#clock();
        this.#alarm.check();
    }

    /** The page is about to stop running: let another tab do the work. */
    freeze() {
        this.#frozen = true;
        this.#turn.abort();
    }

    /** @param {Holder} holder */
    async #compete(holder) {
        const turn = new AbortController();
        this.#turn = turn;
        const options = this.#steal ? { steal: true } : { signal: turn.signal };
        this.#steal = false;
        let reign = Promise.resolve();
        try {
            await this.#locks.request(this.#name, options, () => (reign = this.#reign(holder, turn.signal)));
        } catch (error) {
            // Somebody stole the lock, or this wait for it was given up.
            if (!(error instanceof DOMException && error.name === "AbortError")) throw error;
        } finally {
            turn.abort();
            await reign;
        }
    }

    /** @param {Holder} holder @param {AbortSignal} signal */
    async #reign(holder, signal) {
        if (signal.aborted) return;
        this.#term = Math.max(this.#term + 1, Date.now());
        this.#number = 0;
        this.isOwner = true;
        const done = new AbortController();
        try {
            const work = holder.own(signal);
            this.#post(this.#reigning(holder));
            void this.#beat(done.signal);
            // A page that is frozen gets no chance to wind its work up; the lock goes at once.
            await Promise.race([work, aborted(signal)]);
        } finally {
            done.abort();
            this.isOwner = false;
            this.#heardAt = this.#clock();
        }
    }

    /** @param {Holder} holder */
    #reigning(holder) {
        return { kind: "reign", term: this.#term, number: this.#number, state: holder.state() };
    }

    /** @param {AbortSignal} signal */
    async #beat(signal) {
        for (;;) {
            await this.#alarm.sleep(BEAT_S, signal);
            if (signal.aborted) return;
            this.#post({ kind: "beat", term: this.#term, number: this.#number });
        }
    }

    /** @param {any} message */
    #received(message) {
        const holder = /** @type {Holder} */ (this.#holder);
        this.#alarm.check();
        switch (message.kind) {
            case "note":
                holder.note(message.note);
                break;
            case "ask":
                if (this.isOwner) this.#post(this.#reigning(holder));
                break;
            case "reign":
            case "word":
            case "beat":
                this.#ofOwner(message, holder);
                break;
        }
    }

    /** @param {any} message @param {Holder} holder */
    #ofOwner({ kind, term, number, word, state }, holder) {
        if (term < this.#term || (term === this.#term && this.isOwner)) return;
        if (term > this.#term && this.isOwner) this.#turn.abort(); // another tab took over and we did not notice
        const missed = term > this.#term || number > this.#number + (kind === "word" ? 1 : 0);
        const repeat = term === this.#term && number <= this.#number;
        this.#number = term > this.#term ? number : Math.max(number, this.#number);
        this.#term = term;
        this.#heardAt = this.#clock();
        if (kind === "reign") holder.align(state);
        else if (kind === "word" && !repeat) holder.hear(word);
        if (missed && kind !== "reign") this.#post({ kind: "ask" });
    }

    /** Ask an owner that says nothing, and steal its lock when it does not answer. @param {AbortSignal} signal */
    async #watch(signal) {
        const due = () => (this.isOwner || this.#frozen ? null : Math.min(this.#probeAt, this.#heardAt + SILENT_S));
        for (;;) {
            await this.#alarm.until(due, signal);
            if (signal.aborted) return;
            this.#probeAt = Infinity;
            const asked = this.#clock();
            this.#post({ kind: "ask" });
            // Not all at the same moment: whoever comes first begins a reign that the others hear of.
            await this.#alarm.sleep(ANSWER_S * (1 + Math.random() / 2), signal);
            if (signal.aborted) return;
            if (this.isOwner || this.#frozen || this.#heardAt >= asked) continue;
            this.#heardAt = this.#clock();
            this.#steal = true;
            this.#turn.abort();
        }
    }

    /** @param {AbortSignal} signal @param {Holder} holder */
    async #tick(signal, holder) {
        for (;;) {
            await this.#alarm.sleep(TICK_S, signal);
            if (signal.aborted) return;
            if (!this.isOwner && document.visibilityState === "visible" && holder.busy()) this.#post({ kind: "tick" });
        }
    }

    /** @param {any} message */
    #post(message) {
        this.#channel?.postMessage(message);
    }
}

/** Resolves when `signal` is aborted. @param {AbortSignal} signal @returns {Promise<void>} */
function aborted(signal) {
    return new Promise((resolve) => {
        if (signal.aborted) resolve();
        signal.addEventListener("abort", () => resolve(), { once: true });
    });
}
