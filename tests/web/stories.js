/** Runs the stories of tests/golden/session/ on the page's session, as tests/unit/client/session_stories.py does on its twin. */

import { Backoff } from "/web/lib/backoff.js";
import { Bookmark } from "/web/lib/position.js";
import { Session } from "/web/lib/session.js";

const utf8 = new TextEncoder();

/**
 * What is to be seen after each step of each story. `piece` is how many bytes are given at once.
 * @returns {any[][]}
 */
export function tell(stories, piece = Infinity) {
    return stories.map(({ options, steps }) => {
        const story = new Story(options, piece);
        return steps.map((step) => story.do(step));
    });
}

class Story {
    #handed = [];

    constructor({ me, rooms, since, bookmark, idle_timeout_s: idleTimeoutS, stable_s: stableS }, piece) {
        const backoff = new Backoff({ baseS: 1, capS: 30, dice: () => 0.5 });
        const known = bookmark && new Bookmark(bookmark.cursor, positionsOf(bookmark.positions));
        this.session = new Session({ me, rooms, since, bookmark: known, idleTimeoutS, stableS, backoff });
        this.piece = piece;
    }

    do(step) {
        const shown = {};
        const { session } = this;
        switch (step.do) {
            case "connecting":
                shown.attach = session.connecting(step.at);
                break;
            case "receive":
                if (!this.#receive(utf8.encode(step.bytes.join("")), step.at)) shown.broken = true;
                shown.items = this.#take(step.commit ?? true, step.recovering ?? []);
                break;
            case "take":
                shown.items = this.#take(true, []);
                break;
            case "reading":
                session.reading(step.at);
                break;
            case "lost":
                session.lost(step.at, step.reason, step.retry_after_s);
                break;
            case "stop":
                session.stop(step.reason);
                break;
            case "commit":
                session.commit(this.#handed[step.item]);
                break;
            case "recovered":
                session.recovered(step.message);
                break;
            case "begin":
                session.begin(step.room, { epoch: step.position[0], seq: step.position[1] });
                break;
            case "rewind":
                session.rewind();
                break;
            default:
                throw new Error(`no story has a step ${step.do}`);
        }
        const { bookmark, status, deadline, closing } = session;
        return {
            ...shown,
            cursor: bookmark.cursor,
            positions: Object.fromEntries([...bookmark.positions].map(([room, at]) => [room, [at.epoch, at.seq]])),
            status: [status.phase, status.retryInS, status.reason],
            deadline,
            closing,
        };
    }

    #receive(bytes, at) {
        try {
            for (let start = 0; start < bytes.length; start += this.piece) {
                this.session.receive(bytes.subarray(start, start + this.piece), at);
            }
            return true;
        } catch (error) {
            if (error.code !== "stream_broken") throw error;
            return false;
        }
    }

    #take(commit, recovering) {
        const shown = [];
        for (const item of this.session.items()) {
            this.#handed.push(item);
            shown.push(show(item));
            if (item.kind === "gap") for (const message of recovering) this.session.recovered(message);
            if (commit) this.session.commit(item);
        }
        return shown;
    }
}

function positionsOf(rows) {
    return Object.entries(rows).map(([room, [epoch, seq]]) => [room, { epoch, seq }]);
}

function show(item) {
    switch (item.kind) {
        case "delivery":
            return ["delivery", item.room, item.position.epoch, item.position.seq];
        case "passing":
            return ["passing", item.event.type];
        case "gap": {
            const ranges = item.ranges.map(({ room, first, last, seen }) => [
                ...[room, first, last],
                seen && [seen.epoch, seen.seq],
            ]);
            return ["gap", item.announced ? "announced" : "counted", ranges];
        }
        case "status":
            return ["status", item.status.phase, item.hello !== null];
        case "resumed":
            return ["resumed", item.replayed];
    }
}
