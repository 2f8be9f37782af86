/** What a session hands to its face: plain values, in the order in which they are to be shown. The twin of items.py. */

/** @typedef {import("./position.js").Position} Position */
/** @typedef {"connecting" | "live" | "degraded" | "reconnecting" | "offline"} Phase */
/** @typedef {{phase: Phase, retryInS: number | null, reason: string}} Status `retryInS` is given while reconnecting */
/** @typedef {[Record<string, any>, string | null]} Heard an event's JSON and the cursor that came with it */

/**
 * Events `first`..`last` (inclusive) of `room` did not come over the stream, or have changed. `seen` is what had been
 * taken of the room before; null when nothing.
 * @typedef {{room: string, first: number, last: number, seen: Position | null}} GapRange
 */

/**
 * What a session hands to its face, in the order in which it is to be shown. Committing an item commits all with a lower
 * number.
 * @typedef {{kind: "delivery", number: number, event: Record<string, any>, room: string, position: Position}} Delivery
 * @typedef {{kind: "passing", number: number, event: Record<string, any>}} Passing
 * @typedef {{kind: "gap", number: number, ranges: GapRange[], announced: boolean}} Gap
 * @typedef {{kind: "status", number: number, status: Status, hello: Record<string, any> | null}} StatusChanged
 * @typedef {{kind: "resumed", number: number, replayed: number}} Resumed
 * @typedef {Delivery | Passing | Gap | StatusChanged | Resumed} Item
 */

/** @param {Phase} phase @param {string} [reason] @param {number | null} [retryInS] @returns {Status} */
export function status(phase, reason = "", retryInS = null) {
    return { phase, retryInS, reason };
}
