/**
 * One person at one page, from signing in to signing out: the session, the other tabs, what is to be sent, put together.
 *
 * Each tab judges the events by a session of its own and keeps a model of its own. The owner among the tabs (tabs.js)
 * receives them from the server and passes them on; the others hear them from it. So a tab that becomes the owner goes on
 * from its own place, and what it was told twice it knows.
 */

import { Chat, TYPING_MS } from "./chat.js";
import { Alarm, monotonic } from "./clock.js";
import { ChatError, asChatError } from "./errors.js";
import { follow, takeAll } from "./follow.js";
import { LeaseLocks } from "./lease.js";
import { Mending } from "./mending.js";
import { Pages } from "./pages.js";
import { Bookmark, UNKNOWN_EPOCH } from "./position.js";
import { Sending } from "./sending.js";
import { Session } from "./session.js";
import { Tabs } from "./tabs.js";

/** A page that comes into sight again asks for a snapshot when its last one is older. */
const OLD_S = 60;
/** After a break many pages come back at once; they ask for their snapshots within this time. */
const SPREAD_S = 2;

export class Sitting {
    /** What the page shows. @type {Chat} */
    chat;
    pages;
    alarm;
    tabs;
    sending;
    #connection;
    #clock = monotonic;
    /** @type {Session | null} */
    #session = null;
    /** What the owner said before this tab had its snapshot. @type {(() => void)[] | null} */
    #unheard = [];
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
     * @param {LockManager | null} what.locks null where the browser has none
     * @param {string} what.place tells this server from others the browser knows
     * @param {(changes: import("./chat.js").Changes) => void} what.changed
     * @param {(said: import("./chat.js").Said) => void} what.said
     * @param {(error: ChatError | null) => void} what.ended nobody is signed in any more, or (null) somebody else
     */
    constructor({ connection, me, storage, locks, place, changed, said, ended }) {
        this.#connection = connection;
        this.#ended = ended;
        this.alarm = new Alarm(this.#clock);
        this.chat = new Chat(me, changed, said);
        const name = `dchat:${place}:${me.username}`;
        const found = locks ?? new LeaseLocks(storage, this.alarm);
        this.tabs = new Tabs({ name, locks: found, alarm: this.alarm, clock: this.#clock });
        this.pages = new Pages(connection, this.#end.signal, (room) => this.chat.touched(room));
        const { chat, pages, alarm, tabs } = this;
        const another = () => this.#finish(null);
        this.sending = new Sending({ connection, chat, tabs, storage, alarm, clock: this.#clock, another });
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
        this.sending.begin(signal);
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
            this.sending.hurry();
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
                sending: this.sending.underWay,
            }),
            align: (state) => this.#heard((session) => {
                this.sending.sends(state.sending);
                this.#connected(state.connection);
                session.align(state.positions);
            }),
            hear: (word) => this.#heard((session) => {
                if (word.events) session.hear(word.events);
                else this.#connected(word.connection);
            }),
            note: (note) => {
                if (note.kind !== "reconnect") this.sending.noted(note);
                else if (this.tabs.isOwner) this.wake({ online: true });
            },
            busy: () => this.chat.connection.phase !== "live" || this.sending.waits,
        };
    }

    /** Do the standing work for all tabs. @param {AbortSignal} signal */
    async #own(signal) {
        const session = /** @type {Session} */ (this.#session);
        const take = (/** @type {import("./items.js").Item} */ item) => this.#take(item);
        const passOn = (/** @type {import("./items.js").Heard[]} */ events) => this.tabs.say({ events });
        const { alarm } = this;
        const following = { connection: this.#connection, session, alarm, clock: this.#clock, take, passOn, signal };
        await Promise.all([follow(following), this.sending.run(signal)]);
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

    /** @param {import("./items.js").Item} item */
    #take(item) {
        switch (item.kind) {
            case "delivery":
                this.#delivered(item.event);
                break;
            case "passing":
                this.chat.pass(item.event);
                // Who stops typing does so without a word.
                if (item.event.type === "typing") setTimeout(() => this.chat.forgetTyping(), TYPING_MS + 1);
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
        if (event.type === "message" && event.sender === me) this.sending.echoed(event.client_id);
        if (event.type !== "member" || event.user !== me) return;
        if (event.action === "leave" || event.action === "kick") this.chat.left(event.room);
        else if (!this.chat.rooms.has(event.room)) {
            // What the room is like, and how much of it one has read, the server knows; its transcript has a hole.
            const transcript = this.chat.transcript(event.room);
            if (transcript) transcript.stale = true;
            this.#resync(0);
        }
    }

    /** @param {import("./items.js").GapRange} range */
    #missing({ room, first }) {
        this.chat.rooms.gap(room, first);
        this.chat.transcript(room)?.gap(first);
    }

    /** @param {import("./items.js").StatusChanged} item */
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
