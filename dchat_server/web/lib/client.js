/**
 * The chat client of a page, behind one door: see README.md for how a page uses it.
 */

import { Backoff } from "./backoff.js";
import { Calls } from "./calls.js";
import { merge } from "./chat.js";
import { Alarm } from "./clock.js";
import { Connection, path } from "./connection.js";
import { ChatError, asChatError } from "./errors.js";
import { OutboxFull } from "./outbox.js";
import { watchPage } from "./page.js";
import { browserStorage } from "./postbox.js";
import { Sitting } from "./sitting.js";

/** Others are told at most this often that one is typing. */
const TYPING_MS = 3000;
/** A server that knows no typing is not told of it again for so long. */
const NO_TYPING_MS = 600_000;

/** @typedef {"starting" | "signed-out" | "signed-in"} State */

export class Client extends Calls {
    /** @type {State} */
    state = "starting";
    /** Why it is not simply signed in: the server cannot be reached, the session ended. @type {ChatError | null} */
    problem = null;

    #storage;
    #locks;
    #place;
    #alarm = new Alarm();
    /** @type {Map<string, Set<(value: any) => void>>} */
    #listeners = new Map();
    /** @type {import("./chat.js").Changes | null} */
    #changes = null;
    /** @type {Sitting | null} */
    #sitting = null;
    #stop = new AbortController();
    /** @type {BroadcastChannel | null} */
    #door = null;
    #typedAt = -Infinity;
    #noTypingUntil = -Infinity;
    /** Room → the marker that is to be stored. @type {Map<string, {seq: number, unread: boolean}>} */
    #marking = new Map();

    /**
     * `base` is the server's address without a path ("": the page's own), `storage` where what is to be sent is kept,
     * `locks` null has this tab do everything itself.
     * @param {{base?: string, storage?: Storage, locks?: LockManager | null, connection?: Connection}} [options]
     */
    constructor({ base = "", storage = browserStorage(), locks = navigator.locks ?? null, connection } = {}) {
        super(connection ?? new Connection({ base }));
        this.#place = new URL(base || "/", location.href).origin;
        this.#storage = storage;
        this.#locks = locks;
    }

    /** What the page shows; null while nobody is signed in. */
    get model() {
        return this.state === "signed-in" ? (this.#sitting?.chat ?? null) : null;
    }

    /** Whether this tab is the one that has the stream; where only one tab is to make a sound, it is this. */
    get isOwner() {
        return this.#sitting?.tabs.isOwner ?? false;
    }

    /**
     * Call `listener` from now on: "change" with what changed (chat.js, `Changes`), at most once a task; "said" with each
     * new message (`Said`). Returns a function that ends it.
     * @param {"change" | "said"} name @param {(value: any) => void} listener
     */
    on(name, listener) {
        const there = this.#listeners.get(name) ?? new Set();
        this.#listeners.set(name, there.add(listener));
        return () => there.delete(listener);
    }

    // Coming and going

    /** Find out who is signed in and begin. Tries until the server answers. */
    async start() {
        const { signal } = this.#stop;
        this.#door = new BroadcastChannel(`dchat:${this.#place}`);
        this.#door.onmessage = () => void this.#again();
        signal.addEventListener("abort", () => this.#door?.close());
        const freeze = () => this.#sitting?.freeze();
        watchPage({ wake: (why) => this.#woke(why), offline: () => void this.#sitting?.offline(), freeze }, signal);
        await this.#again();
    }

    /** Close everything. */
    stop() {
        this.#stop.abort();
        this.#sitting?.end();
        this.#sitting = null;
    }

    /** @param {string} username @param {string} password */
    async signIn(username, password) {
        await this.#enter("/v1/login", { username, password });
    }

    /** @param {{username: string, password: string, displayName?: string, invite?: string}} who */
    async register({ username, password, displayName, invite }) {
        await this.#enter("/v1/register", { username, password, display_name: displayName, invite });
    }

    /** Sign out, in all tabs. What is not sent yet stays in this browser for the next time. */
    async signOut() {
        try {
            await this.connection.request("POST", "/v1/logout", { repeatable: true });
        } catch (error) {
            if (!asChatError(error).signInNeeded) throw error;
        }
        this.#left(null);
        this.#door?.postMessage("changed");
    }

    /** Try to connect now. */
    reconnect() {
        this.#alarm.check();
        this.#sitting?.reconnect();
    }

    // Reading

    /**
     * The transcript of a room, kept up from now on. It loads by itself; "change" tells when it has.
     * @param {string} room
     */
    open(room) {
        const { chat, pages } = this.#here();
        const transcript = chat.open(room);
        if (transcript.state !== "ready") {
            if (transcript.state === "failed") transcript.state = "loading";
            pages.newest(transcript).catch(() => this.#sitting?.look());
        }
        this.#here().collect();
        return transcript;
    }

    /** Let go of a transcript that is not shown any more. @param {string} room */
    close(room) {
        this.#sitting?.chat.close(room);
    }

    /** Load older messages of an open transcript. @param {string} room */
    async older(room) {
        const { chat, pages } = this.#here();
        const transcript = chat.transcript(room);
        if (transcript) await this.#mine(pages.older(transcript));
    }

    /** One has read a room up to `seq` (everything, when not given). @param {string} room @param {number} [seq] */
    async markRead(room, seq) {
        const known = this.#here().chat.rooms.get(room);
        const to = seq ?? known?.head ?? 0;
        if (known === null || known === undefined || (to <= known.read && known.unread === 0)) return;
        if (to > known.read) this.#here().chat.markRead(room, to);
        await this.#mark(room, { seq: to, unread: false });
    }

    /** Take the read marker back to before `seq`. @param {string} room @param {number} seq */
    async markUnread(room, seq) {
        await this.#mark(room, { seq: seq - 1, unread: true });
    }

    // Writing

    /**
     * Write a message. It is kept in this browser until the server has it. Throws ChatError outbox_full.
     * @param {string} room @param {string} text @param {{replyTo?: number | null}} [options]
     * @returns {string} its key
     */
    send(room, text, { replyTo = null } = {}) {
        const { postbox } = this.#here();
        try {
            const { clientId } = postbox.add({ room, text, replyTo });
            this.#here().collect();
            return clientId;
        } catch (error) {
            if (error instanceof OutboxFull) throw new ChatError(error.message, { code: "outbox_full" });
            throw error;
        }
    }

    /** Send a failed message again, as a new one. @param {string} clientId */
    retry(clientId) {
        const { postbox } = this.#here();
        const entry = postbox.all().find((each) => each.clientId === clientId);
        if (!entry) return;
        postbox.remove(clientId);
        this.send(entry.room, entry.text, { replyTo: entry.replyTo });
    }

    /** Take back a message that is not sent; one whose request is under way may still arrive. @param {string} clientId */
    cancel(clientId) {
        const { postbox } = this.#here();
        if (postbox.remove(clientId)) this.#here().collect();
    }

    /** @param {string} room @param {number} seq @param {string} text */
    async edit(room, seq, text) {
        await this.#change(room, (where) => this.connection.request("PATCH", where, { body: { text } }), seq);
    }

    /** @param {string} room @param {number} seq */
    async remove(room, seq) {
        const { chat } = this.#here();
        await this.#mine(this.connection.request("DELETE", path`/v1/rooms/${room}/messages/${seq}`));
        chat.transcript(room)?.deleted(seq);
        chat.touched(room);
    }

    /** Add a reaction, or take it back. @param {string} room @param {number} seq @param {string} emoji */
    async react(room, seq, emoji, add = true) {
        const method = add ? "PUT" : "DELETE";
        const end = path`/reactions/${emoji}`;
        await this.#change(room, (where) => this.connection.request(method, where + end), seq);
    }

    /** Others see that one is typing. Never throws. @param {string} room */
    async typing(room) {
        const now = Date.now();
        if (now < this.#typedAt + TYPING_MS || now < this.#noTypingUntil) return;
        this.#typedAt = now;
        try {
            await this.connection.request("POST", path`/v1/rooms/${room}/typing`, { tries: 1 });
        } catch (error) {
            if ([404, 405].includes(asChatError(error).status ?? 0)) this.#noTypingUntil = now + NO_TYPING_MS;
        }
    }

    // Rooms

    /** @param {string} room */
    async join(room) {
        await this.#mine(this.connection.request("PUT", path`/v1/rooms/${room}/members/me`, { body: {} }));
        await this.#took(room);
    }

    /** @param {string} room */
    async leave(room) {
        const { chat } = this.#here();
        await this.#mine(this.connection.request("DELETE", path`/v1/rooms/${room}/members/me`));
        chat.left(room);
    }

    /**
     * Make a room. Returns its name.
     * @param {{room: string, kind?: "public" | "private", topic?: string, displayName?: string}} what
     */
    async create({ room, kind = "public", topic, displayName }) {
        const body = { room, kind, topic, display_name: displayName };
        return this.#entered(await this.#mine(this.connection.request("POST", "/v1/rooms", { body })));
    }

    /** The conversation with exactly these people. Returns its name. @param {string[]} users */
    async dm(users) {
        const body = { users };
        return this.#entered(await this.#mine(this.connection.request("POST", "/v1/dms", { body, repeatable: true })));
    }

    /** @param {string} room @param {{topic?: string, displayName?: string, archived?: boolean}} changes */
    async update(room, { topic, displayName, archived }) {
        const body = { topic, display_name: displayName, archived };
        const { chat } = this.#here();
        chat.took((await this.#mine(this.connection.request("PATCH", path`/v1/rooms/${room}`, { body }))).room);
    }

    /** @param {string} room @param {string} topic */
    topic(room, topic) {
        return this.update(room, { topic });
    }

    // Within

    #here() {
        if (this.#sitting === null) throw new ChatError("Nobody is signed in.", { code: "unauthorized", status: 401 });
        return this.#sitting;
    }

    /** A request whose 401 ends the sitting. @template T @param {Promise<T>} work @returns {Promise<T>} */
    async #mine(work) {
        try {
            return await work;
        } catch (error) {
            if (asChatError(error).signInNeeded) this.#left(asChatError(error));
            throw error;
        }
    }

    /** @param {string} where @param {Record<string, unknown>} body */
    async #enter(where, body) {
        // The answer has a token, for programs. The page lives by the cookie that came with it and forgets the token.
        await this.connection.request("POST", where, { body });
        this.#door?.postMessage("changed");
        await this.#again();
    }

    /** Find out who is signed in, and begin (again). */
    async #again() {
        const backoff = new Backoff({ baseS: 0.5, capS: 15 });
        const { signal } = this.#stop;
        while (!signal.aborted) {
            try {
                const { user } = await this.connection.request("GET", "/v1/me", { tries: 1, signal });
                if (this.state === "signed-in" && this.model?.me.username === user.username) return;
                await this.#begin(user);
                return;
            } catch (thrown) {
                const error = asChatError(thrown);
                if (signal.aborted) return;
                if (error.signInNeeded) {
                    this.#left(this.state === "signed-in" ? error : null);
                    return;
                }
                this.problem = error;
                this.#changed({ state: true });
                await this.#alarm.sleep(backoff.next(error.retryAfterS), signal);
            }
        }
    }

    /** @param {Record<string, any>} me */
    async #begin(me) {
        this.#sitting?.end();
        const sitting = new Sitting({
            ...{ connection: this.connection, me, storage: this.#storage, locks: this.#locks, place: this.#place },
            changed: (changes) => this.#changed(changes),
            said: (said) => this.#emit("said", said),
            ended: (error) => this.#over(sitting, error),
        });
        this.#sitting = sitting;
        await sitting.begin();
        if (sitting.signal.aborted) return;
        this.state = "signed-in";
        this.problem = null;
        this.#changed({ state: true, me: true, roomList: true, connection: true });
    }

    /** @param {Sitting} sitting @param {ChatError | null} error */
    #over(sitting, error) {
        if (this.#sitting !== sitting) return;
        if (error?.signInNeeded) this.#left(error);
        else {
            // Somebody else signed in, or something went wrong: begin anew.
            this.#sitting = null;
            this.state = "starting";
            this.problem = error;
            this.#changed({ state: true });
            void this.#again();
        }
    }

    /** @param {ChatError | null} problem */
    #left(problem) {
        this.#sitting?.end();
        this.#sitting = null;
        this.state = "signed-out";
        this.problem = problem;
        this.#changed({ state: true });
    }

    /** @param {{online?: boolean}} why */
    #woke(why) {
        this.#alarm.check();
        this.#sitting?.wake(why);
    }

    /** @param {string} room */
    async #took(room) {
        const { chat } = this.#here();
        chat.took(await this.#mine(this.room(room)));
        const transcript = chat.transcript(room);
        if (transcript) transcript.stale = true;
        this.#here().look();
    }

    /** @param {Record<string, any>} answer */
    #entered({ room }) {
        this.#here().chat.took(room);
        return room.room;
    }

    /**
     * @param {string} room @param {(where: string) => Promise<Record<string, any>>} ask @param {number} seq
     */
    async #change(room, ask, seq) {
        const { chat } = this.#here();
        const transcript = chat.transcript(room);
        const asking = transcript?.asking();
        try {
            const { message } = await this.#mine(ask(path`/v1/rooms/${room}/messages/${seq}`));
            if (transcript && asking) transcript.tookOne(asking, message);
            chat.touched(room);
        } catch (error) {
            transcript?.gaveUp();
            throw error;
        }
    }

    /** One request a room at a time; what is asked for meanwhile follows. @param {string} room @param {{seq: number, unread: boolean}} marker */
    async #mark(room, marker) {
        const under = this.#marking.has(room);
        this.#marking.set(room, marker);
        if (under) return;
        try {
            for (let next = this.#marking.get(room), last = null; next && next !== last; next = this.#marking.get(room)) {
                last = next;
                const body = next.unread ? { seq: next.seq, unread: true } : { seq: next.seq };
                const answer = await this.#mine(this.connection.request("PUT", path`/v1/rooms/${room}/read`, { body }));
                if (next === this.#marking.get(room)) this.#sitting?.chat.markRead(room, answer.read);
            }
        } catch (error) {
            if (!asChatError(error).retryable) throw error;
            // Not stored: the server's counts will show again, until somebody reads on.
        } finally {
            this.#marking.delete(room);
            this.#sitting?.look();
        }
    }

    /** @param {import("./chat.js").Changes} changes */
    #changed(changes) {
        if (Object.keys(changes).length === 0) return;
        if (this.#changes === null) {
            queueMicrotask(() => {
                const all = this.#changes;
                this.#changes = null;
                this.#emit("change", all);
            });
        }
        this.#changes = merge(this.#changes ?? {}, changes);
    }

    /** @param {string} name @param {any} value */
    #emit(name, value) {
        for (const listener of [...(this.#listeners.get(name) ?? [])]) {
            // One part of the page that fails must not keep the news from the others.
            try {
                listener(value);
            } catch (error) {
                reportError(error);
            }
        }
    }
}
