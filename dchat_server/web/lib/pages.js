/** Brings pages into transcripts: the newest, older ones, and all of the window again after a gap. */

import { asChatError } from "./errors.js";
import { page } from "./history.js";

/** Messages of a first page and of each older one. */
export const PAGE = 50;
/** Messages in each page when a window is loaded again, and how many pages; what lay further up leaves the window. */
const AGAIN = 200;
const MAX_AGAIN = 5;
/** How often a page is asked for again because too much happened meanwhile. */
const TRIES = 3;

export class Pages {
    #connection;
    #signal;
    #touched;
    /** @type {Map<import("./transcript.js").Transcript, Promise<void>>} */
    #loading = new Map();

    /**
     * @param {import("./connection.js").Connection} connection @param {AbortSignal} signal
     * @param {(room: string) => void} touched called when a transcript changed
     */
    constructor(connection, signal, touched) {
        this.#connection = connection;
        this.#signal = signal;
        this.#touched = touched;
    }

    /**
     * Load the newest messages, and those of the present window again. Joins a load that is under way, unless the
     * transcript became stale meanwhile. Errors are told in the transcript, which stays stale, and thrown.
     * @param {import("./transcript.js").Transcript} transcript @returns {Promise<void>}
     */
    newest(transcript) {
        const under = this.#loading.get(transcript);
        if (under) return under;
        const load = this.#newest(transcript).finally(() => this.#loading.delete(transcript));
        this.#loading.set(transcript, load);
        return load;
    }

    /** @param {import("./transcript.js").Transcript} transcript */
    async #newest(transcript) {
        try {
            for (let tries = 0; tries < TRIES; tries += 1) {
                transcript.stale = false;
                const asking = transcript.asking();
                try {
                    const pages = await this.#window(transcript.room, transcript.first);
                    const fits = transcript.tookNewest(asking, pages);
                    this.#touched(transcript.room);
                    if (fits && !transcript.stale) return;
                } catch (error) {
                    transcript.gaveUp();
                    throw error;
                }
            }
            transcript.stale = true;
        } catch (thrown) {
            transcript.stale = true;
            transcript.error = asChatError(thrown);
            if (transcript.state === "loading") transcript.state = "failed";
            this.#touched(transcript.room);
            throw transcript.error;
        }
    }

    /** Pages from the newest back to `first`, oldest first. @param {string} room @param {number | null} first */
    async #window(room, first) {
        const pages = [await page(this.#connection, room, { limit: first === null ? PAGE : AGAIN }, this.#signal)];
        while (first !== null && pages.length < MAX_AGAIN) {
            const [{ messages, hasMore }] = pages;
            if (!hasMore || messages.length === 0 || messages[0].seq <= first) break;
            pages.unshift(await page(this.#connection, room, { before: messages[0].seq, limit: AGAIN }, this.#signal));
        }
        return pages;
    }

    /**
     * Load a page of messages before the window. Does nothing while one is under way, or when there are none.
     * Errors are told in the transcript and thrown.
     * @param {import("./transcript.js").Transcript} transcript
     */
    async older(transcript) {
        const before = transcript.first;
        if (transcript.loadingOlder || !transcript.hasOlder || before === null) return;
        transcript.loadingOlder = true;
        this.#touched(transcript.room);
        const asking = transcript.asking();
        try {
            transcript.tookOlder(asking, await page(this.#connection, transcript.room, { before, limit: PAGE }, this.#signal));
        } catch (error) {
            transcript.gaveUp();
            transcript.error = asChatError(error);
            throw transcript.error;
        } finally {
            transcript.loadingOlder = false;
            this.#touched(transcript.room);
        }
    }
}
