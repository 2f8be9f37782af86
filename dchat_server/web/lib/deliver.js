/**
 * An outbox that is emptied: the loop between outbox.js, which knows what to send, and connection.js, which can. The twin
 * of dchat_client/deliver.py.
 */

import { asChatError } from "./errors.js";

/**
 * Send what is in the outbox, in order, until `signal` is aborted; after an entry was added, `alarm.check()` gets it
 * going. `settled` gets each entry that is stored or refused for good, `changed` is called when a request begins or ends.
 * Throws ChatError when nobody is signed in; what is left stays in the outbox.
 * @param {object} what
 * @param {import("./connection.js").Connection} what.connection
 * @param {import("./outbox.js").Outbox} what.outbox
 * @param {import("./clock.js").Alarm} what.alarm
 * @param {() => number} what.clock
 * @param {(outcome: import("./outbox.js").Outcome) => void} what.settled
 * @param {() => void} what.changed
 * @param {AbortSignal} what.signal
 */
export async function deliver({ connection, outbox, alarm, clock, settled, changed, signal }) {
    while (!signal.aborted) {
        if (outbox.blocked !== null) throw outbox.blocked;
        const batch = outbox.take(clock());
        if (batch.length === 0) {
            await alarm.until(() => (outbox.length > 0 ? outbox.readyAt : null), signal);
            continue;
        }
        changed();
        /** @type {import("./outbox.js").Outcome[]} */
        let outcomes = [];
        try {
            // Not given up with the signal: what is on its way is better known to have arrived.
            outcomes = outbox.answered(await connection.postBatch(batch[0].room, batch), clock());
        } catch (thrown) {
            const error = asChatError(thrown);
            // After a fault of the server nobody knows either; the keys make a repeat safe.
            if (error.retryable || error.serverFault) {
                outbox.unclear(error, clock());
            } else {
                outcomes = outbox.failed(error);
            }
        }
        for (const outcome of outcomes) settled(outcome);
        changed();
    }
}
