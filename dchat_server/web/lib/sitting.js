/**
 * One person at one page, from signing in to signing out: the session, the other tabs, what is to be sent, put together.
 *
 * Each tab judges the events by a session of its own and keeps a model of its own. The owner among the tabs (tabs.js)
 * receives them from the server and passes them on; the others hear them from it. So a tab that becomes the owner goes on
 * from its own place, and what it was told twice it knows.
 */

import { Chat } from "./chat.js";
import { Alarm, monotonic } from "./clock.js";
import { deliver } from "./deliver.js";
import { ChatError, asChatError } from "./errors.js";
import { follow, takeAll } from "./follow.js";
import { Lease } from "./lease.js";
import { Mending } from "./mending.js";
import { Outbox } from "./outbox.js";
import { Pages } from "./pages.js";
import { Bookmark, UNKNOWN_EPOCH } from "./position.js";
import { Postbox } from "./postbox.js";
import { Session } from "./session.js";
import { Tabs } from "./tabs.js";

/** A page that comes into sight again asks for a snapshot when its last one is older. */
const OLD_S = 60;
/** After a break many pages come back at once; they ask for their snapshots within this time. */
const SPREAD_S = 2;

export class Sitting {
    /** What the page shows. @type {Chat} */
    chat;
    /** What was written and is not confirmed. */
    postbox;
    pages;
    alarm;
    tabs;
    #connection;
    #storage;
    #clock = monotonic;
    /** @type {Session | null} */
    #session = null;
    /** What the owner said before this tab had its snapshot. @type {(() => void)[] | null} */
    #unheard = [];
    /** The outbox, while this tab is the one that sends. @type {Outbox | null} */
    #outbox = null;
    /** Keys whose request is under way, in whichever tab. @type {string[]} */
    #sending = [];
    #mending;
    #syncedAt = 0;
    /** A stream has begun since the first snapshot. */
    #greeted = false;
    #end = new AbortController();
    #ended;

    /**
     * @param {object} what
     * @param {import("./connection.js").Connection} what.connection
     * @param {Record<string, any>} what.me the account
     * @param {Storage} what.storage
     * @param {LockManager | null} what.locks
     * @param {string} what.place tells this server from others the browser knows
     * @param {(changes: import("./chat.js").Changes) => void} what.changed
     * @param {(said: import("./chat.js").Said) => void} what.said
     * @param {(error: ChatError | null) => void} what.ended nobody is signed in any more, or (null) somebody else
     */
    constructor({ connection, me, storage, locks, place, changed, said, ended }) {
        this.#connection = connection;
        this.#storage = storage;
        this.#ended = ended;
        this.alarm = new Alarm(this.#clock);
        this.chat = new Chat(me, changed, said);
        this.postbox = new Postbox(storage, me.username);
        this.tabs = new Tabs({ name: `dchat:${place}:${me.username}`, locks, alarm: this.alarm, clock: this.#clock });
        this.pages = new Pages(connection, this.#end.signal, (room) => this.chat.touched(room));
        const { chat, pages, alarm } = this;
        const another = () => this.#finish(null);
        this.#mending = new Mending({ connection, chat, pages, alarm, clock: this.#clock, another });
    }

    /** Aborted when this is over. */
    get signal() {
        return this.#end.signal;
    }

    /** Listen, take the snapshot, go on from it. Throws ChatError when there is no snapshot. */
    async begin() {
        const { signal } = this.#end;
        this.tabs.listen(this.#holder(), signal);
        const sync = await this.#connection.request("GET", "/v1/sync", { signal });
        if (sync.user?.username !== this.chat.me.username) {
            this.#finish(null);
            return;
        }
        this.#syncedAt = this.#clock();
        this.chat.synced(/** @type {any} */ (sync));
        // The heads are known, not their epochs: enough to see that something is missing.
        const places = sync.rooms.map((/** @type {any} */ { room, head }) => [room, { epoch: UNKNOWN_EPOCH, seq: head }]);
        this.#session = new Session({ me: this.chat.me.username, bookmark: new Bookmark(sync.cursor, places) });
        for (const hear of this.#unheard ?? []) hear();
        this.#unheard = null;
        // A note from another tab may be here before what that tab stored can be read; this event never is.
        const stored = (/** @type {StorageEvent} */ { key }) => this.postbox.owns(key) && this.collect();
        addEventListener("storage", stored, { signal });
        this.collect();
        for (const work of [this.tabs.run(signal), this.#mending.run(signal)]) {
            work.catch((error) => this.#finish(asChatError(error)));
        }
    }

    /** It is over: signed out, or the page goes. */
    end() {
        this.#end.abort();
    }

    /** Some counts or transcripts may have come into doubt. */
    look() {
        this.#mending.look();
    }

    /** The page woke, came into sight, or the network came back. @param {{online?: boolean}} [why] */
    wake({ online = false } = {}) {
        const now = this.#clock();
        if (online) {
            // What was open before is of another network; a new stream costs little and goes on from the same place.
            this.#session?.doubt(now);
            this.#session?.hurry(now);
            if (this.#outbox) this.#outbox.readyAt = 0;
            this.#mending.hurry();
        }
        if (this.#session !== null && now - this.#syncedAt > OLD_S) this.#resync();
        this.tabs.wake();
    }

    /** The browser says that there is no network; a server on this very machine may be there all the same. */
    async offline() {
        try {
            await this.#connection.request("GET", "/healthz", { tries: 1, signal: this.#end.signal });
        } catch {
            this.#session?.doubt(this.#clock());
            this.alarm.check();
        }
    }

    /** Try to connect now. */
    reconnect() {
        this.wake({ online: true });
        this.tabs.tell({ kind: "reconnect" });
    }

    /** The page is about to be frozen. */
    freeze() {
        this.tabs.freeze();
    }

    /** @returns {import("./tabs.js").Holder} */
    #holder() {
        return {
            own: (signal) => this.#own(signal),
            state: () => ({
                positions: [...(this.#session?.bookmark.positions ?? [])],
                connection: this.chat.connection,
                sending: this.#sending,
            }),
            align: (state) => this.#heard((session) => {
                this.#sending = state.sending;
                this.#connected(state.connection);
                session.align(state.positions);
            }),
            hear: (word) => this.#heard((session) => {
                if (word.events) session.hear(word.events);
                else this.#connected(word.connection);
            }),
            note: (note) => this.#noted(note),
            busy: () => this.chat.connection.phase !== "live" || this.postbox.all().some((entry) => entry.error === null),
        };
    }

    /** Do the standing work for all tabs. @param {AbortSignal} signal */
    async #own(signal) {
        const session = /** @type {Session} */ (this.#session);
        const take = (/** @type {import("./session.js").Item} */ item) => this.#take(item);
        const passOn = (/** @type {import("./session.js").Heard[]} */ events) => this.tabs.say({ events });
        const { alarm } = this;
        const following = { connection: this.#connection, session, alarm, clock: this.#clock, take, passOn, signal };
        const sending = this.tabs.shared
            ? this.#send(signal)
            : new Lease(this.#storage, this.chat.me.username, alarm).hold((held) => this.#send(held), signal);
        await Promise.all([follow(following), sending]);
    }

    /** @param {AbortSignal} signal */
    async #send(signal) {
        const outbox = new Outbox();
        this.#outbox = outbox;
        this.collect();
        try {
            await deliver({
                ...{ connection: this.#connection, outbox, alarm: this.alarm, clock: this.#clock, signal },
                settled: (outcome) => this.#settled(outcome),
                changed: () => this.#sends(outbox.inFlight.map((entry) => entry.clientId)),
            });
        } finally {
            if (this.#outbox === outbox) this.#outbox = null;
        }
    }

    /** Put into the outbox what is new in the postbox, and take out what is not there any more. */
    collect() {
        const written = this.postbox.all();
        const sending = new Set(this.#sending);
        this.chat.wrote(
            written.map((entry) => ({
                ...entry,
                state: entry.error ? "failed" : sending.has(entry.clientId) ? "sending" : "pending",
            })),
        );
        if (this.#outbox === null) return;
        const waiting = written.filter((entry) => entry.error === null);
        this.#outbox.retain(new Set(waiting.map((entry) => entry.clientId)));
        for (const entry of waiting) if (!this.#outbox.has(entry.clientId)) this.#outbox.add(entry);
        this.alarm.check();
    }

    /** @param {string[]} keys */
    #sends(keys) {
        this.#sending = keys;
        this.collect();
        this.tabs.tell({ kind: "sends", keys });
    }

    /** @param {import("./outbox.js").Outcome} outcome */
    #settled({ entry, message, error }) {
        if (message !== null) {
            this.tabs.tell({ kind: "stored", key: entry.clientId, message });
            this.#stored(entry.clientId, message);
        } else if (error !== null) {
            this.postbox.fail(entry.clientId, error);
            this.collect();
        }
    }

    /** @param {string} key @param {Record<string, any>} message */
    #stored(key, message) {
        if (message.sender !== this.chat.me.username) {
            this.#finish(null);
            return;
        }
        if (this.chat.transcript(message.room)?.place(message)) this.chat.touched(message.room);
        this.postbox.remove(key);
        this.collect();
    }

    /** @param {any} note */
    #noted(note) {
        switch (note.kind) {
            case "sends":
                this.#sending = note.keys;
                this.collect();
                break;
            case "stored":
                this.#stored(note.key, note.message);
                break;
            case "reconnect":
                if (this.tabs.isOwner) this.wake({ online: true });
                break;
        }
    }

    /** The owner said something. @param {(session: Session) => void} tell */
    #heard(tell) {
        const session = this.#session;
        if (session === null) {
            this.#unheard?.push(() => this.#heard(tell));
            return;
        }
        tell(session);
        takeAll(session, (item) => this.#take(item));
    }

    /** @param {import("./session.js").Item} item */
    #take(item) {
        switch (item.kind) {
            case "delivery":
                this.#delivered(item.event);
                break;
            case "passing":
                this.chat.pass(item.event);
                break;
            case "gap":
                for (const range of item.ranges) this.#missing(range);
                this.#resync();
                break;
            case "resumed":
                this.chat.caughtUp();
                break;
            case "status":
                this.#status(item);
                break;
        }
        this.#mending.look();
    }

    /** @param {Record<string, any>} event */
    #delivered(event) {
        const me = this.chat.me.username;
        this.chat.deliver(event);
        if (event.type === "message" && event.sender === me && this.postbox.remove(event.client_id)) this.collect();
        if (event.type !== "member" || event.user !== me) return;
        if (event.action === "leave" || event.action === "kick") this.chat.left(event.room);
        else if (!this.chat.rooms.has(event.room)) {
            // What the room is like, and how much of it one has read, the server knows; its transcript has a hole.
            const transcript = this.chat.transcript(event.room);
            if (transcript) transcript.stale = true;
            this.#resync(0);
        }
    }

    /** @param {import("./session.js").GapRange} range */
    #missing({ room, first }) {
        this.chat.rooms.gap(room, first);
        this.chat.transcript(room)?.gap(first);
    }

    /** @param {import("./session.js").StatusChanged} item */
    #status({ status, hello }) {
        if (this.tabs.isOwner) {
            const retryAt = status.retryInS === null ? null : Date.now() + status.retryInS * 1000;
            const connection = { phase: status.phase, retryAt, reason: status.reason, shared: false };
            this.chat.connected(connection);
            this.tabs.say({ connection });
        } else if (status.phase === "offline") {
            this.#finish(new ChatError(status.reason, { code: "unauthorized", status: 401 }));
        }
        if (hello === null) return;
        // Read markers that moved while nobody listened were not told.
        if (this.#greeted || this.#clock() - this.#syncedAt > SPREAD_S) this.#resync();
        this.#greeted = true;
    }

    /** @param {import("./chat.js").ConnectionState} connection */
    #connected(connection) {
        this.chat.connected({ ...connection, shared: true });
        if (connection.phase === "live") this.chat.caughtUp();
    }

    #resync(spreadS = SPREAD_S) {
        this.#syncedAt = this.#clock();
        this.#mending.all(spreadS);
    }

    /** @param {ChatError | null} error */
    #finish(error) {
        if (this.#end.signal.aborted) return;
        this.end();
        this.#ended(error);
    }
}
