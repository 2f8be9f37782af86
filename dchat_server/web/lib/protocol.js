/**
 * The SSE decoder: bytes in, events out. No I/O, no JSON, no clock. The twin of dchat_client/protocol.py.
 *
 * It follows "Interpreting an event stream" of the WHATWG HTML standard
 * (https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation), so it gives what an
 * EventSource would give, however the bytes were cut on the way. The standard has no bounds; a stream that never ends a
 * line would eat all memory, so this decoder has two.
 */

const LF = 10;
const CR = 13;
const COLON = 58;
const BOM = [0xef, 0xbb, 0xbf];
/** Nobody waits for 10^18 ms; the Python twin reads no longer numbers. */
const MAX_RETRY_DIGITS = 18;

/** A line or an event of the stream went over its bound. The stream cannot be read on; open a new one. */
export class StreamTooLarge extends Error {}

/**
 * One dispatched event. `type` is "message" when the stream named none, `data` has its lines joined by "\n",
 * `lastEventId` is the id in force after it, which may stem from an earlier one ("": none was ever given).
 * @typedef {{type: string, data: string, lastEventId: string}} StreamEvent
 */

/** Turns the bytes of one connection into events; make a new one for each connection. */
export class Decoder {
    /** The id in force: it moves at the end of a block, also when the block held nothing but an `id:`. */
    lastEventId;
    /** The last reconnection time the server asked for on this connection, in milliseconds. @type {number | null} */
    retryMs = null;

    #maxLine;
    #maxEvent;
    /** @type {Uint8Array[]} */
    #partial = [];
    #partialBytes = 0;
    #atStart = true;
    #afterCr = false;
    /** @type {string | null} */
    #tooLarge = null;
    #id;
    #type = "";
    /** @type {string[]} */
    #data = [];
    #eventBytes = 0;
    // A BOM inside the stream is text; only the one at its very start is not, and that is taken off by hand.
    #utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

    /** @param {string} lastEventId the id of the connection before, as the standard asks; sizes are in bytes */
    constructor(lastEventId = "", { maxLineBytes = 1 << 20, maxEventBytes = 4 << 20 } = {}) {
        this.lastEventId = lastEventId;
        this.#id = lastEventId;
        this.#maxLine = maxLineBytes;
        this.#maxEvent = maxEventBytes;
    }

    /**
     * Return the events that `data` completed, in order; what is incomplete waits for the next call. Cutting the same
     * stream differently gives the same events. Throws StreamTooLarge, then and on every later call.
     * @param {Uint8Array} data
     * @returns {StreamEvent[]}
     */
    feed(data) {
        if (this.#tooLarge !== null) throw new StreamTooLarge(this.#tooLarge);
        const events = [];
        let start = 0;
        if (this.#afterCr && data.length > 0) {
            // "\r\n" is one line end also when the cut went right through it.
            this.#afterCr = false;
            if (data[0] === LF) start = 1;
        }
        for (let at = start; at < data.length; at += 1) {
            const byte = data[at];
            if (byte !== LF && byte !== CR) continue;
            const event = this.#line(this.#joined(data.subarray(start, at)));
            if (event !== null) events.push(event);
            if (byte === CR) {
                if (at + 1 === data.length) this.#afterCr = true;
                else if (data[at + 1] === LF) at += 1;
            }
            start = at + 1;
        }
        if (start < data.length) this.#keep(data.slice(start));
        return events;
    }

    /** @param {Uint8Array} end */
    #joined(end) {
        this.#checkLine(this.#partialBytes + end.length);
        if (this.#partialBytes === 0) return end;
        const line = new Uint8Array(this.#partialBytes + end.length);
        let at = 0;
        for (const part of [...this.#partial, end]) {
            line.set(part, at);
            at += part.length;
        }
        this.#partial = [];
        this.#partialBytes = 0;
        return line;
    }

    /** @param {Uint8Array} part */
    #keep(part) {
        this.#checkLine(this.#partialBytes + part.length);
        this.#partial.push(part);
        this.#partialBytes += part.length;
    }

    /** @param {number} size */
    #checkLine(size) {
        if (size > this.#maxLine) this.#overflow(`a line of the stream is longer than ${this.#maxLine} bytes`);
    }

    /** @param {Uint8Array} line @returns {StreamEvent | null} */
    #line(line) {
        if (this.#atStart) {
            this.#atStart = false;
            if (BOM.every((byte, at) => line[at] === byte)) line = line.subarray(3);
        }
        if (line.length === 0) return this.#dispatch();
        if (line[0] === COLON) return null;
        // Decoding a line at a time gives the same as decoding the stream: CR and LF never lie inside a UTF-8 sequence.
        const text = this.#utf8.decode(line);
        const colon = text.indexOf(":");
        const name = colon < 0 ? text : text.slice(0, colon);
        let value = colon < 0 ? "" : text.slice(colon + 1);
        if (value.startsWith(" ")) value = value.slice(1);
        if (name === "data") {
            this.#eventBytes += line.length;
            if (this.#eventBytes > this.#maxEvent) {
                this.#overflow(`an event of the stream is larger than ${this.#maxEvent} bytes`);
            }
            this.#data.push(value);
        } else if (name === "event") {
            this.#type = value;
        } else if (name === "id") {
            if (!value.includes("\0")) this.#id = value;
        } else if (name === "retry" && /^[0-9]+$/.test(value)) {
            const digits = value.replace(/^0+/, "");
            this.retryMs = digits.length <= MAX_RETRY_DIGITS ? Number(digits) : 10 ** MAX_RETRY_DIGITS;
        }
        return null;
    }

    /** @returns {StreamEvent | null} */
    #dispatch() {
        this.lastEventId = this.#id;
        const [type, lines] = [this.#type, this.#data];
        this.#type = "";
        this.#data = [];
        this.#eventBytes = 0;
        // The standard looks at the data buffer, in which even an empty `data:` line leaves a "\n".
        if (lines.length === 0) return null;
        return { type: type || "message", data: lines.join("\n"), lastEventId: this.lastEventId };
    }

    /** @param {string} what @returns {never} */
    #overflow(what) {
        this.#tooLarge = what;
        this.#partial = [];
        this.#partialBytes = 0;
        this.#data = [];
        throw new StreamTooLarge(what);
    }
}
