/** Messages as pages. The twin of dchat_client/history.py. */

import { path } from "./connection.js";
import { notDchat } from "./errors.js";

/** Messages in the largest page the server gives. */
export const PAGE = 200;

/**
 * Messages of a room, oldest first. `head` was the newest `seq` of the room before the messages were read, so they are in
 * a state at least as new as that; `hasMore` looks the way asked for.
 * @typedef {{messages: Record<string, any>[], head: number, hasMore: boolean}} Page
 */

/**
 * Return one page: before or after a `seq` (both exclusive), or the newest. One request; throws ChatError.
 * @param {import("./connection.js").Connection} connection
 * @param {string} room
 * @param {{before?: number, after?: number, around?: number, limit?: number}} [bounds]
 * @param {AbortSignal} [signal]
 * @returns {Promise<Page>}
 */
export async function page(connection, room, bounds = {}, signal) {
    const params = { limit: PAGE, ...bounds };
    const answer = await connection.request("GET", path`/v1/rooms/${room}/messages`, { params, signal });
    const { messages, head } = answer;
    if (!Array.isArray(messages) || !Number.isSafeInteger(head)) throw notDchat("the page has no messages or no head");
    const kept = messages.filter((message) => Number.isSafeInteger(message?.seq));
    return { messages: kept, head, hasMore: Boolean(answer.has_more) };
}
