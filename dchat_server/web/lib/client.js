/**
 * The chat client of a page, behind one door: see README.md for how a page uses it.
 */

import { Acts } from "./acts.js";
import { Backoff } from "./backoff.js";
import { merge } from "./chat.js";
import { Alarm } from "./clock.js";
import { Connection } from "./connection.js";
import { ChatError, asChatError } from "./errors.js";
import { watchPage } from "./page.js";
import { browserStorage } from "./postbox.js";
import { Sitting } from "./sitting.js";

const AGAIN_S = 1;

/** @typedef {"starting" | "signed-out" | "signed-in"} State */

export class Client extends Acts {
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
    /** Counts the looks for who is signed in; only the last one counts. */
    #look = 0;
    /** @type {BroadcastChannel | null} */
    #door = null;

    /**
     * `base` is the server's address without a path ("": the page's own), `storage` where what is to be sent is kept,
     * `locks` null has tabs do without Web Locks.
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

    // Within

    /** What runs while somebody is signed in. Throws ChatError when nobody is. */
    here() {
        if (this.#sitting === null) throw new ChatError("Nobody is signed in.", { code: "unauthorized", status: 401 });
        return this.#sitting;
    }

    /** The server says that nobody is signed in any more. @param {ChatError} error */
    signedOut(error) {
        this.#left(error);
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
        const look = (this.#look += 1);
        while (!signal.aborted && look === this.#look) {
            try {
                const { user } = await this.connection.request("GET", "/v1/me", { tries: 1, signal });
                if (look !== this.#look) return;
                if (this.state === "signed-in" && this.model?.me.username === user.username) return;
                await this.#begin(user);
                return;
            } catch (thrown) {
                const error = asChatError(thrown);
                if (signal.aborted || look !== this.#look) return;
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
        this.state = "starting";
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
            // Somebody else signed in, or something went wrong: begin anew, but not in a circle.
            this.#sitting = null;
            this.state = "starting";
            this.problem = error;
            this.#changed({ state: true });
            void this.#alarm.sleep(AGAIN_S, this.#stop.signal).then(() => this.#again());
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
