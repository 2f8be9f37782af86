/** Gives the golden streams to the page's decoder, whole and cut in every way. */

import { answerOf } from "/web/lib/answers.js";
import { Decoder } from "/web/lib/protocol.js";

const utf8 = new TextEncoder();

/** What a decoder made of a stream in these pieces. */
function decoded(pieces, options) {
    const decoder = new Decoder("", options);
    const events = pieces.flatMap((piece) => decoder.feed(piece));
    return {
        events: events.map(({ type, data, lastEventId }) => ({ type, data, last_event_id: lastEventId })),
        last_event_id: decoder.lastEventId,
        retry_ms: decoder.retryMs,
    };
}

/** What the decoder makes of the stream, and in which cuts it makes something else of it. `base64` are the bytes. */
export function read(base64) {
    const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
    const whole = decoded([bytes]);
    const wanted = JSON.stringify(whole);
    const differing = [];
    const check = (name, pieces) => {
        if (JSON.stringify(decoded(pieces)) !== wanted) differing.push(name);
    };
    check("a byte at a time", Array.from(bytes, (byte) => Uint8Array.of(byte)));
    check("with empty pieces between", Array.from(bytes).flatMap((byte) => [new Uint8Array(), Uint8Array.of(byte)]));
    for (let at = 1; at < bytes.length; at += 1) check(`cut at ${at}`, [bytes.subarray(0, at), bytes.subarray(at)]);
    return { whole, differing };
}

/** The message of the error that comes when a decoder with small bounds reads the pieces; null when none comes. */
export function refused(pieces, options) {
    try {
        decoded(
            pieces.map((piece) => utf8.encode(piece)),
            options,
        );
        return null;
    } catch (error) {
        return error.message;
    }
}

/** What each line of a batch's answer means. */
export function answers(lines) {
    return lines.map((line) => {
        const { status, message, error } = answerOf(line);
        if (error === null) return { status, seq: message.seq };
        return { status, code: error.code, ...(error.retryAfterS === null ? {} : { retry_after_s: error.retryAfterS }) };
    });
}
