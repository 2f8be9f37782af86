/** What somebody does who is signed in, a method a deed; what comes of it is seen in the model. All throw ChatError. */

import { Calls } from "./calls.js";
import { path } from "./connection.js";
import { ChatError, asChatError } from "./errors.js";
import { OutboxFull } from "./outbox.js";

/** The server is told this often that one is typing; it passes on every third second what holds for six. */
const TYPING_MS = 2000;
/** A server that knows no typing is not told of it again for so long. */
const NO_TYPING_MS = 600_000;

export class Acts extends Calls {
    /** Where and when one typed last. */
    #typed = { room: "", at: -Infinity };
    #noTypingUntil = -Infinity;
    /** Room → the marker that is to be stored. @type {Map<string, {seq: number, unread: boolean}>} */
    #marking = new Map();

    /** What runs while somebody is signed in. Throws ChatError when nobody is. @returns {import("./sitting.js").Sitting} */
    here() {
        throw new Error("to be told by the client");
    }

    /** The server says that nobody is signed in any more. @param {ChatError} error */
    signedOut(error) {
        throw error;
    }

    // Reading

    /**
     * The transcript of a room, kept up from now on. It loads by itself; "change" tells when it has.
     * @param {string} room
     */
    open(room) {
        const sitting = this.here();
        const { chat, pages, sending } = sitting;
        const transcript = chat.open(room);
        if (transcript.state !== "ready") {
            if (transcript.state === "failed") transcript.state = "loading";
            pages.newest(transcript).catch(() => sitting.look());
        }
        sending.collect();
        return transcript;
    }

    /** Let go of a transcript that is not shown any more. @param {string} room */
    close(room) {
        this.here().chat.close(room);
    }

    /** Load older messages of an open transcript. @param {string} room */
    async older(room) {
        const { chat, pages } = this.here();
        const transcript = chat.transcript(room);
        if (transcript) await this.#mine(pages.older(transcript));
    }

    /** One has read a room up to `seq` (everything, when not given). @param {string} room @param {number} [seq] */
    async markRead(room, seq) {
        const known = this.here().chat.rooms.get(room);
        const to = seq ?? known?.head ?? 0;
        if (known === null || known === undefined || (to <= known.read && known.unread === 0)) return;
        if (to > known.read) this.here().chat.markRead(room, to);
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
        const { sending } = this.here();
        try {
            const { clientId } = sending.postbox.add({ room, text, replyTo });
            sending.collect();
            return clientId;
        } catch (error) {
            if (error instanceof OutboxFull) throw new ChatError(error.message, { code: "outbox_full" });
            throw error;
        }
    }

    /** Send a failed message again, as a new one. @param {string} clientId */
    retry(clientId) {
        const { postbox } = this.here().sending;
        const entry = postbox.all().find((each) => each.clientId === clientId);
        if (!entry) return;
        postbox.remove(clientId);
        this.send(entry.room, entry.text, { replyTo: entry.replyTo });
    }

    /** Take back a message that is not sent; one whose request is under way may still arrive. @param {string} clientId */
    cancel(clientId) {
        const { sending } = this.here();
        if (sending.postbox.remove(clientId)) sending.collect();
    }

    /** @param {string} room @param {number} seq @param {string} text */
    async edit(room, seq, text) {
        await this.#change(room, (where) => this.connection.request("PATCH", where, { body: { text } }), seq);
    }

    /** @param {string} room @param {number} seq */
    async remove(room, seq) {
        const { chat } = this.here();
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
        const { room: last, at } = this.#typed;
        if ((room === last && now < at + TYPING_MS) || now < this.#noTypingUntil) return;
        this.#typed = { room, at: now };
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
        const { chat } = this.here();
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
        const { chat } = this.here();
        chat.took((await this.#mine(this.connection.request("PATCH", path`/v1/rooms/${room}`, { body }))).room);
    }

    /** @param {string} room @param {string} topic */
    topic(room, topic) {
        return this.update(room, { topic });
    }

    // Within

    /** A request whose 401 ends the sitting. @template T @param {Promise<T>} work @returns {Promise<T>} */
    async #mine(work) {
        try {
            return await work;
        } catch (error) {
            if (asChatError(error).signInNeeded) this.signedOut(asChatError(error));
            throw error;
        }
    }

    /** @param {string} room */
    async #took(room) {
        const { chat } = this.here();
        chat.took(await this.#mine(this.room(room)));
        const transcript = chat.transcript(room);
        if (transcript) transcript.stale = true;
        this.here().look();
    }

    /** @param {Record<string, any>} answer */
    #entered({ room }) {
        this.here().chat.took(room);
        return room.room;
    }

    /**
     * @param {string} room @param {(where: string) => Promise<Record<string, any>>} ask @param {number} seq
     */
    async #change(room, ask, seq) {
        const { chat } = this.here();
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
        const sitting = this.here();
        try {
            for (let next = this.#marking.get(room), last = null; next && next !== last; next = this.#marking.get(room)) {
                last = next;
                const body = next.unread ? { seq: next.seq, unread: true } : { seq: next.seq };
                const answer = await this.#mine(this.connection.request("PUT", path`/v1/rooms/${room}/read`, { body }));
                if (next === this.#marking.get(room)) sitting.chat.markRead(room, answer.read);
            }
        } catch (error) {
            if (!asChatError(error).retryable) throw error;
            // Not stored: the server's counts will show again, until somebody reads on.
        } finally {
            this.#marking.delete(room);
            sitting.look();
        }
    }
}
