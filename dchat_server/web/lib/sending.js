/**
 * What was written, until the server has it: from the postbox, which all tabs share, into the outbox of the tab that
 * sends, and out of both when the answer or the echo came.
 */

import { deliver } from "./deliver.js";
import { Outbox } from "./outbox.js";
import { Postbox } from "./postbox.js";

export class Sending {
    /** What was written and is not confirmed. */
    postbox;
    /** Keys whose request is under way, in whichever tab. @type {string[]} */
    underWay = [];
    #connection;
    #chat;
    #tabs;
    #alarm;
    #clock;
    #another;
    /** The outbox, while this tab is the one that sends. @type {Outbox | null} */
    #outbox = null;

    /**
     * @param {object} what
     * @param {import("./connection.js").Connection} what.connection
     * @param {import("./chat.js").Chat} what.chat
     * @param {import("./tabs.js").Tabs} what.tabs
     * @param {Storage} what.storage
     * @param {import("./clock.js").Alarm} what.alarm
     * @param {() => number} what.clock
     * @param {() => void} what.another called when the session is another person's
     */
    constructor({ connection, chat, tabs, storage, alarm, clock, another }) {
        this.#connection = connection;
        this.#chat = chat;
        this.#tabs = tabs;
        this.#alarm = alarm;
        this.#clock = clock;
        this.#another = another;
        this.postbox = new Postbox(storage, chat.me.username);
    }

    /** Show what is there, and take up what other tabs write. @param {AbortSignal} signal */
    begin(signal) {
        // A note from another tab may be here before what that tab stored can be read; this event never is.
        const stored = (/** @type {StorageEvent} */ { key }) => this.postbox.owns(key) && this.collect();
        addEventListener("storage", stored, { signal });
        this.collect();
    }

    /** Send what is there and what comes, until `signal` is aborted; for the tab that owns the work. @param {AbortSignal} signal */
    async run(signal) {
        const outbox = new Outbox();
        this.#outbox = outbox;
        this.collect();
        try {
            await deliver({
                ...{ connection: this.#connection, outbox, alarm: this.#alarm, clock: this.#clock, signal },
                settled: (outcome) => this.#settled(outcome),
                changed: () => {
                    const keys = outbox.inFlight.map((entry) => entry.clientId);
                    this.sends(keys);
                    this.#tabs.tell({ kind: "sends", keys });
                },
            });
        } finally {
            // The next one may have begun while this one waited for its last answer.
            if (this.#outbox === outbox) this.#outbox = null;
        }
    }

    /** Something is to be sent, or being sent. */
    get waits() {
        return this.postbox.all().some((entry) => entry.error === null);
    }

    /** The network is back: do not wait any longer. */
    hurry() {
        if (this.#outbox) this.#outbox.readyAt = 0;
        this.#alarm.check();
    }

    /** Put into the outbox what is new in the postbox, take out what is not there any more, and show it. */
    collect() {
        const written = this.postbox.all();
        const underWay = new Set(this.underWay);
        this.#chat.wrote(
            written.map((entry) => ({
                ...entry,
                state: entry.error ? "failed" : underWay.has(entry.clientId) ? "sending" : "pending",
            })),
        );
        if (this.#outbox === null) return;
        const waiting = written.filter((entry) => entry.error === null);
        this.#outbox.retain(new Set(waiting.map((entry) => entry.clientId)));
        for (const entry of waiting) if (!this.#outbox.has(entry.clientId)) this.#outbox.add(entry);
        this.#alarm.check();
    }

    /** The stream brought one's own message. @param {string} key */
    echoed(key) {
        if (this.postbox.remove(key)) this.collect();
    }

    /** These entries' request is under way, in another tab. @param {string[]} keys */
    sends(keys) {
        this.underWay = keys;
        this.collect();
    }

    /** Another tab told something. @param {any} note */
    noted(note) {
        if (note.kind === "sends") this.sends(note.keys);
        else if (note.kind === "stored") this.#stored(note.key, note.message);
    }

    /** @param {import("./outbox.js").Outcome} outcome */
    #settled({ entry, message, error }) {
        if (message !== null) {
            this.#tabs.tell({ kind: "stored", key: entry.clientId, message });
            this.#stored(entry.clientId, message);
        } else if (error !== null) {
            this.postbox.fail(entry.clientId, error);
            this.collect();
        }
    }

    /** @param {string} key @param {Record<string, any>} message */
    #stored(key, message) {
        if (message.sender !== this.#chat.me.username) {
            this.#another();
            return;
        }
        if (this.#chat.transcript(message.room)?.place(message)) this.#chat.touched(message.room);
        this.postbox.remove(key);
        this.collect();
    }
}
