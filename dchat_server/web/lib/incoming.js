/** One connection's bytes as the objects they carry, each with the cursor that came with it. Pure. */

import { streamBroken } from "./errors.js";
import { Decoder, StreamTooLarge } from "./protocol.js";

/** What a connection brings; make a new one for each. */
export class Incoming {
    #decoder = new Decoder();
    #id = "";

    /** The reconnection time the server asked for, in milliseconds; null when it did not. */
    get retryMs() {
        return this.#decoder.retryMs;
    }

    /**
     * Put the events that `data` completed into `heard`, as far as they can be read. Throws ChatError stream_broken.
     * @param {Uint8Array} data @param {import("./items.js").Heard[]} heard
     */
    read(data, heard) {
        let events;
        try {
            events = this.#decoder.feed(data);
        } catch (error) {
            if (error instanceof StreamTooLarge) throw streamBroken(error.message);
            throw error;
        }
        for (const event of events) {
            // Only an id of its own moves the cursor: one in force from before may lie behind a ping's.
            const cursor = event.lastEventId === this.#id ? null : event.lastEventId || null;
            this.#id = event.lastEventId;
            heard.push([objectOf(event), cursor]);
        }
        if (this.#decoder.lastEventId !== this.#id) {
            this.#id = this.#decoder.lastEventId;
            heard.push([{}, this.#id || null]);
        }
    }
}

/** @param {import("./protocol.js").StreamEvent} event @returns {Record<string, any>} */
function objectOf(event) {
    let body = null;
    try {
        body = JSON.parse(event.data);
    } catch {
        // Told below, as anything else that is no object.
    }
    if (body === null || typeof body !== "object" || Array.isArray(body)) {
        throw streamBroken("the stream carried something that is not a JSON object");
    }
    if (!Object.hasOwn(body, "type")) body.type = event.type;
    return body;
}
