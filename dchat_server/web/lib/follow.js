/**
 * A session that is kept connected: the loop between session.js, which knows what to do, and connection.js, which can.
 * The twin of dchat_client/follow.py.
 */

import { ChatError, asChatError, unreachable } from "./errors.js";

/**
 * Keep `session` connected until `signal` is aborted. `take` gets each item, which is committed when it returns; `passOn`
 * gets the events as they are received, before anything is made of them. Throws ChatError when nobody is signed in; a page
 * that stays open has nothing better to do than to try again after anything else.
 * @param {object} what
 * @param {import("./connection.js").Connection} what.connection
 * @param {import("./session.js").Session} what.session
 * @param {import("./clock.js").Alarm} what.alarm looked at whenever something wakes the page
 * @param {() => number} what.clock
 * @param {(item: import("./items.js").Item) => void} what.take
 * @param {(events: import("./items.js").Heard[]) => void} what.passOn
 * @param {AbortSignal} what.signal
 */
export async function follow({ connection, session, alarm, clock, take, passOn, signal }) {
    while (!signal.aborted) {
        const attach = session.connecting(clock());
        takeAll(session, take);
        /** @type {ChatError | null} */
        let failure = null;
        try {
            const stream = await connection.stream(attach, signal);
            try {
                while (!session.closing) {
                    const data = await read(stream, session, alarm, clock);
                    if (data === null || signal.aborted) break;
                    session.receive(data, clock(), passOn);
                    takeAll(session, take);
                    if (session.status.phase === "offline") {
                        throw new ChatError(session.status.reason, { code: "unauthorized", status: 401 });
                    }
                }
            } finally {
                stream.close();
            }
        } catch (error) {
            failure = asChatError(error);
        }
        if (signal.aborted) return;
        if (failure?.signInNeeded) session.stop(failure.detail);
        else session.lost(clock(), failure?.detail ?? "the server closed the stream", failure?.retryAfterS);
        takeAll(session, take);
        if (failure?.signInNeeded) throw failure;
        await alarm.until(() => session.deadline, signal);
    }
}

/**
 * Hand out what a session has, and commit it.
 * @param {import("./session.js").Session} session @param {(item: import("./items.js").Item) => void} take
 */
export function takeAll(session, take) {
    for (const item of session.items()) {
        take(item);
        session.commit(item);
    }
}

/**
 * @param {import("./connection.js").Stream} stream @param {import("./session.js").Session} session
 * @param {import("./clock.js").Alarm} alarm @param {() => number} clock
 */
async function read(stream, session, alarm, clock) {
    session.reading(clock());
    const came = new AbortController();
    let silent = false;
    void alarm
        .until(() => session.deadline, came.signal)
        .then(() => {
            if (came.signal.aborted) return;
            silent = true;
            stream.close();
        });
    try {
        return await stream.read();
    } catch (error) {
        throw silent ? unreachable("nothing came any more") : error;
    } finally {
        came.abort();
    }
}
