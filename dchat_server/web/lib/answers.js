/**
 * Reading what a server answered: JSON objects, NDJSON lines, problem documents, and what is none of these. The twin of
 * dchat_client/answers.py.
 */

import { asChatError, fromProblem, notDchat, unreachable } from "./errors.js";

/** Larger than any answer of the interface: 200 messages of 16 KiB, escaped. */
const MAX_ANSWER_BYTES = 16 << 20;
const MAX_ERROR_BYTES = 64 << 10;

/** The JSON object of a successful answer, {} for 204. Throws ChatError. @param {Response} response */
export async function decoded(response) {
    return response.status === 204 ? {} : objectOf(await textOf(response, MAX_ANSWER_BYTES));
}

/** The error that an answer of 300 and above stands for. @param {Response} response */
export async function refusal(response) {
    let problem = null;
    try {
        problem = JSON.parse(await textOf(response, MAX_ERROR_BYTES));
    } catch {
        // What is no problem document is told by its status.
    }
    return fromProblem(response.status, problem, seconds(response.headers.get("Retry-After")));
}

/** The body as text. Throws ChatError when it breaks or is larger than `limit` bytes. @param {Response} response @param {number} limit */
async function textOf(response, limit) {
    const utf8 = new TextDecoder();
    let size = 0;
    let text = "";
    for await (const part of partsOf(response)) {
        size += part.length;
        if (size > limit) throw notDchat(`the answer is larger than ${limit} bytes`);
        text += utf8.decode(part, { stream: true });
    }
    return text + utf8.decode();
}

/** The lines of an NDJSON answer as they come. A cut connection throws after the last whole line. @param {Response} response */
export async function* linesOf(response) {
    const utf8 = new TextDecoder();
    let rest = "";
    for await (const part of partsOf(response)) {
        const lines = (rest + utf8.decode(part, { stream: true })).split("\n");
        rest = lines.pop() ?? "";
        yield* lines.filter((line) => line.trim());
        if (rest.length > MAX_ANSWER_BYTES) throw notDchat("a line of the answer is too long");
    }
    if (rest.trim()) yield rest;
}

/** @param {Response} response @returns {AsyncGenerator<Uint8Array>} */
async function* partsOf(response) {
    if (response.body === null) return;
    const reader = response.body.getReader();
    try {
        for (;;) {
            const { done, value } = await reader.read();
            if (done) return;
            yield value;
        }
    } catch (error) {
        throw unreachable(`the connection broke: ${asChatError(error).message}`);
    } finally {
        reader.cancel().catch(() => {});
    }
}

/** @param {string} text @returns {Record<string, any>} */
function objectOf(text) {
    let value = null;
    try {
        value = JSON.parse(text);
    } catch {
        // Told below, as anything else that is no object.
    }
    if (value === null || typeof value !== "object" || Array.isArray(value)) {
        throw notDchat("the server answered something that is not D-Chat's");
    }
    return value;
}

/** What one line of a batch's answer says. Throws ChatError when it makes no sense. @param {string} line */
export function answerOf(line) {
    const value = objectOf(line);
    const { status, message } = value;
    if (!Number.isInteger(status)) throw notDchat("the answer to a batch has a line that makes no sense");
    if (status >= 300) {
        return { status, message: null, error: fromProblem(status, value.error, seconds(value.retry_after)) };
    }
    if (message === null || typeof message !== "object") throw notDchat("the answer has no message");
    return { status, message, error: null };
}

/** @param {unknown} value */
function seconds(value) {
    const found = value === null || value === undefined || value === "" ? NaN : Number(value);
    return found >= 0 && found < 1e9 ? found : null;
}
