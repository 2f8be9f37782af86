/**
 * Whatever may be wrong on the page is made right again: counts in doubt, transcripts with holes, all of it after a break.
 * One loop with one backoff, so that a badge never sticks and a server in trouble is not asked by every part of the page.
 */

import { Backoff } from "./backoff.js";
import { path } from "./connection.js";
import { ChatError } from "./errors.js";

/** With more rooms in doubt than this, all are asked for at once. */
const MAX_ROOMS = 5;
/** How long to wait for more to do together. */
const SHORTLY_S = 0.2;

export class Mending {
    #connection;
    #chat;
    #pages;
    #alarm;
    #clock;
    #backoff = new Backoff({ baseS: 1, capS: 30 });
    #all = false;
    /** @type {number | null} */
    #due = null;
    #busy = false;
    #another;

    /**
     * @param {object} what
     * @param {import("./connection.js").Connection} what.connection
     * @param {import("./chat.js").Chat} what.chat
     * @param {import("./pages.js").Pages} what.pages
     * @param {import("./clock.js").Alarm} what.alarm
     * @param {() => number} what.clock
     * @param {() => void} what.another called when the session is another person's
     */
    constructor({ connection, chat, pages, alarm, clock, another }) {
        this.#connection = connection;
        this.#chat = chat;
        this.#pages = pages;
        this.#alarm = alarm;
        this.#clock = clock;
        this.#another = another;
    }

    /** Ask for a snapshot of all rooms, within `spreadS` seconds, so that many pages do not ask at once. */
    all(spreadS = 0) {
        this.#all = true;
        this.#soon(SHORTLY_S + spreadS * Math.random());
    }

    /** Something may have come into doubt: look. */
    look() {
        if (!this.#busy && this.#needed()) this.#soon(SHORTLY_S);
    }

    /** The network is back: do not wait any longer. */
    hurry() {
        if (this.#due !== null) this.#due = Math.min(this.#due, this.#clock() + SHORTLY_S);
        this.#alarm.check();
    }

    /** Mend until `signal` is aborted. Throws ChatError when nobody is signed in. @param {AbortSignal} signal */
    async run(signal) {
        while (!signal.aborted) {
            await this.#alarm.until(() => this.#due, signal);
            if (signal.aborted) return;
            this.#due = null;
            this.#busy = true;
            try {
                await this.#mend(signal);
                if (!this.#needed()) this.#backoff.reset();
                else this.#soon(this.#backoff.next());
            } catch (error) {
                if (signal.aborted) return;
                if (error instanceof ChatError && error.signInNeeded) throw error;
                this.#soon(this.#backoff.next(error instanceof ChatError ? error.retryAfterS : null));
            } finally {
                this.#busy = false;
            }
        }
    }

    #needed() {
        return this.#all || this.#chat.rooms.inDoubt().length > 0 || this.#stale().length > 0;
    }

    /** Transcripts that are to be loaded again; what the server refused is not asked for again. */
    #stale() {
        return this.#chat.transcripts.filter(({ stale, error }) => stale && (error?.retryable ?? true));
    }

    /** @param {AbortSignal} signal */
    async #mend(signal) {
        const inDoubt = this.#chat.rooms.inDoubt();
        if (this.#all || inDoubt.length > MAX_ROOMS) await this.#sync(signal);
        else for (const room of inDoubt) await this.#room(room, signal);
        await Promise.all(this.#stale().map((transcript) => this.#pages.newest(transcript)));
    }

    /** @param {AbortSignal} signal */
    async #sync(signal) {
        this.#all = false;
        try {
            const versions = this.#chat.rooms.versions();
            const sync = await this.#connection.request("GET", "/v1/sync", { tries: 1, signal });
            if (sync.user?.username === this.#chat.me.username) this.#chat.synced(sync, versions);
            else this.#another();
        } catch (error) {
            this.#all = true;
            throw error;
        }
    }

    /** @param {string} room @param {AbortSignal} signal */
    async #room(room, signal) {
        const version = this.#chat.rooms.versions().get(room) ?? null;
        try {
            const answer = await this.#connection.request("GET", path`/v1/rooms/${room}`, { tries: 1, signal });
            this.#chat.took(answer.room, version);
        } catch (error) {
            if (!(error instanceof ChatError && error.code === "room_not_found")) throw error;
            this.#chat.left(room);
        }
    }

    /** @param {number} seconds */
    #soon(seconds) {
        const at = this.#clock() + seconds;
        this.#due = this.#due === null ? at : Math.min(this.#due, at);
        this.#alarm.check();
    }
}
