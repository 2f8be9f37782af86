/**
 * The way to the server: the only file that asks it anything. The twin of dchat_client/connection.py.
 *
 * Requests have time-outs and are repeated a bounded number of times, but only those that may be: a request whose outcome
 * is unknown is repeated only when doing it twice does the same as doing it once. Whatever goes wrong comes out as a
 * ChatError. The session cookie goes along by itself; nothing here knows a token.
 *
 * The stream is read by `fetch`, not by EventSource. EventSource hides the status and Retry-After of a refusal, gives up
 * for good on some of them, knows no silence that is too long, cannot be told to wait, and reconnects with the last id it
 * received, not with the last that was taken.
 */

import { answerOf, decoded, linesOf, refusal } from "./answers.js";
import { Backoff } from "./backoff.js";
import { Alarm } from "./clock.js";
import { ChatError, asChatError, notDchat, unreachable } from "./errors.js";
import { bodyOf } from "./outbox.js";

/** Answers that come before anything was done. Other 502, 503, 504 may come after the deed. */
const SURELY_NOT_DONE = ["overloaded", "draining", "rate_limited", "too_many_rooms"];

/** `/v1/rooms/{room}/…` with each part made safe. @param {TemplateStringsArray} words @param {(string | number)[]} parts */
export function path(words, ...parts) {
    return String.raw({ raw: words }, ...parts.map((part) => encodeURIComponent(String(part))));
}

/** An open event stream: bytes, as they come. */
export class Stream {
    #reader;
    #abort;

    /** @param {ReadableStreamDefaultReader<Uint8Array>} reader @param {AbortController} abort */
    constructor(reader, abort) {
        this.#reader = reader;
        this.#abort = abort;
    }

    /** Return the next bytes; null when the server closed. Throws ChatError unreachable when it broke. */
    async read() {
        try {
            const { done, value } = await this.#reader.read();
            return done ? null : value;
        } catch (error) {
            throw unreachable(`the connection broke: ${words(error)}`);
        }
    }

    close() {
        this.#abort.abort();
    }
}

/** Requests and streams to one server, as whoever the session cookie says. */
export class Connection {
    #base;
    #timeoutS;
    #patienceS;
    #tries;
    #alarm;

    /**
     * `base` is the server's address without a path ("": the page's own). `timeoutS` bounds one try of a request,
     * `patienceS` all its tries and waits together.
     * @param {{base?: string, timeoutS?: number, patienceS?: number, tries?: number, alarm?: Alarm}} [options]
     */
    constructor({ base = "", timeoutS = 15, patienceS = 30, tries = 5, alarm = new Alarm() } = {}) {
        this.#base = base;
        this.#timeoutS = timeoutS;
        this.#patienceS = patienceS;
        this.#tries = tries;
        this.#alarm = alarm;
    }

    /**
     * Return the decoded answer of `where` ("/v1/me"); {} for 204. Tried again when the server cannot be reached or is
     * busy; with `repeatable` false (the default for POST) only when it surely was not done. Throws ChatError.
     * @param {string} method
     * @param {string} where
     * @param {object} [options]
     * @param {unknown} [options.body]
     * @param {Record<string, string | number | undefined>} [options.params]
     * @param {boolean} [options.repeatable]
     * @param {number} [options.tries]
     * @param {AbortSignal} [options.signal]
     * @returns {Promise<Record<string, any>>}
     */
    async request(method, where, { body, params, repeatable = method !== "POST", tries = this.#tries, signal } = {}) {
        const backoff = new Backoff({ baseS: 0.3, capS: 5 });
        const giveUpAt = Date.now() + this.#patienceS * 1000;
        for (;;) {
            try {
                return await this.#once(method, where, { body, params, signal });
            } catch (error) {
                const mayRepeat = error instanceof ChatError && error.retryable;
                if (!mayRepeat || !(repeatable || SURELY_NOT_DONE.includes(error.code))) throw error;
                const waitS = backoff.next(error.retryAfterS);
                if (backoff.tries >= tries || Date.now() + waitS * 1000 > giveUpAt || signal?.aborted) throw error;
                await this.#alarm.sleep(waitS, signal);
            }
        }
    }

    /**
     * Send entries of one room in one request and return the answers that came, in order. One try. Fewer answers than
     * entries: the connection broke after them and the rest is unknown. Throws ChatError when not even one came.
     * @param {string} room @param {import("./outbox.js").Entry[]} entries @param {AbortSignal} [signal]
     * @returns {Promise<import("./outbox.js").Answer[]>}
     */
    async postBatch(room, entries, signal) {
        const lines = entries.map((entry) => JSON.stringify(bodyOf(entry)) + "\n").join("");
        const headers = { "Content-Type": "application/x-ndjson", Accept: "application/x-ndjson" };
        /** @type {import("./outbox.js").Answer[]} */
        const answers = [];
        try {
            await this.#within(signal, async (within) => {
                const response = await this.#fetch("POST", path`/v1/rooms/${room}/messages`, within, headers, lines);
                if (response.status >= 300) throw await refusal(response);
                for await (const line of linesOf(response)) answers.push(answerOf(line));
            });
        } catch (error) {
            if (answers.length === 0) throw error;
        }
        return answers;
    }

    /**
     * Open the event stream. One try. Throws ChatError when it was refused or did not open; `signal` closes it.
     * @param {import("./session.js").Attach} attach @param {AbortSignal} signal @returns {Promise<Stream>}
     */
    async stream(attach, signal) {
        /** @type {Record<string, string>} */
        const headers = { Accept: "text/event-stream", "Cache-Control": "no-cache" };
        /** @type {Record<string, string>} */
        const params = {};
        if (attach.rooms !== null) params.rooms = attach.rooms.join(",");
        if (attach.cursor !== null) {
            // The header is what EventSource sends; a cursor that cannot stand in one goes into the query.
            if (/^[\x21-\x7e]+$/.test(attach.cursor)) headers["Last-Event-ID"] = attach.cursor;
            else params.cursor = attach.cursor;
        } else if (attach.since !== null) {
            params.since = attach.since;
        }
        const abort = new AbortController();
        const leave = () => abort.abort();
        if (signal.aborted) leave();
        signal.addEventListener("abort", leave, { once: true });
        try {
            // The time-out is for the head; the body may take days.
            const response = await this.#withTimeout(abort, (within) =>
                this.#fetch("GET", withParams("/v1/events", params), within, headers),
            );
            if (response.status >= 300) throw await refusal(response);
            const kind = response.headers.get("Content-Type") ?? "";
            if (!kind.startsWith("text/event-stream")) throw notDchat(`${kind} came instead of an event stream`);
            return new Stream(/** @type {ReadableStream<Uint8Array>} */ (response.body).getReader(), abort);
        } catch (error) {
            leave();
            signal.removeEventListener("abort", leave);
            throw error;
        }
    }

    /**
     * @param {string} method @param {string} where
     * @param {{body?: unknown, params?: Record<string, string | number | undefined>, signal?: AbortSignal}} options
     */
    #once(method, where, { body, params = {}, signal }) {
        return this.#within(signal, async (within) => {
            /** @type {Record<string, string>} */
            const headers = { Accept: "application/json" };
            const data = body === undefined ? undefined : JSON.stringify(body);
            if (data !== undefined) headers["Content-Type"] = "application/json";
            const response = await this.#fetch(method, withParams(where, params), within, headers, data);
            if (response.status >= 300) throw await refusal(response);
            return decoded(response);
        });
    }

    /**
     * Run `work` with a signal that is aborted with `signal` or when a try has taken too long.
     * @template T @param {AbortSignal | undefined} signal @param {(within: AbortSignal) => Promise<T>} work
     */
    async #within(signal, work) {
        const abort = new AbortController();
        const leave = () => abort.abort();
        if (signal?.aborted) leave();
        signal?.addEventListener("abort", leave, { once: true });
        try {
            return await this.#withTimeout(abort, work);
        } finally {
            signal?.removeEventListener("abort", leave);
        }
    }

    /** @template T @param {AbortController} abort @param {(within: AbortSignal) => Promise<T>} work */
    async #withTimeout(abort, work) {
        const done = new AbortController();
        let late = false;
        void this.#alarm.sleep(this.#timeoutS, done.signal).then(() => {
            if (done.signal.aborted) return;
            late = true;
            abort.abort();
        });
        try {
            return await work(abort.signal);
        } catch (error) {
            throw late ? unreachable("the server did not answer in time") : error;
        } finally {
            done.abort();
        }
    }

    /**
     * @param {string} method @param {string} where @param {AbortSignal} signal
     * @param {Record<string, string>} headers @param {string} [body]
     */
    async #fetch(method, where, signal, headers, body) {
        let response;
        try {
            response = await fetch(this.#base + where, {
                ...{ method, headers, body, signal },
                ...{ credentials: "same-origin", redirect: "manual", cache: "no-store", referrerPolicy: "no-referrer" },
            });
        } catch (error) {
            throw unreachable(`the server cannot be reached: ${words(error)}`);
        }
        if (response.type === "opaqueredirect") throw notDchat("the server points to another address");
        return response;
    }
}

/** @param {string} where @param {Record<string, string | number | undefined>} params */
function withParams(where, params) {
    const given = Object.entries(params).filter(([, value]) => value !== undefined);
    return given.length === 0 ? where : `${where}?${new URLSearchParams(given.map(([name, value]) => [name, `${value}`]))}`;
}

/** @param {unknown} error */
function words(error) {
    return asChatError(error).message;
}
