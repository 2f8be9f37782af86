/**
 * What a reader was handed and what it has taken: the book-keeping behind `Session.commit`. Pure. The twin of
 * dchat_client/ledger.py.
 */

import { Bookmark, UNKNOWN_EPOCH, later } from "./position.js";

/** @typedef {import("./position.js").Position} Position */

/**
 * What committing item `number` moves. A `silent` mark has no item and follows the one before it.
 * @typedef {object} Mark
 * @property {number} number
 * @property {string | null} cursor
 * @property {[string, Position][]} moves
 * @property {[string, number][]} covers
 * @property {string | null} forgets
 * @property {boolean} silent
 */

/** Two places: `seen`, up to which items were handed out, and the committed one, which a new connection resumes from. */
export class Ledger {
    #committed;
    /** @type {Map<string, Position>} */
    #seen;
    /** @type {Mark[]} */
    #marks = [];
    #number = 0;

    /** @param {Bookmark | null} [bookmark] */
    constructor(bookmark = null) {
        this.#committed = bookmark?.copy() ?? new Bookmark();
        this.#seen = new Map(this.#committed.positions);
    }

    /** The committed cursor. */
    get cursor() {
        return this.#committed.cursor;
    }

    /** Nothing waits to be committed. */
    get isSettled() {
        return this.#marks.length === 0;
    }

    /** Return a copy of the committed place. */
    bookmark() {
        return this.#committed.copy();
    }

    /** Return the last position handed out of `room`; null when it has none. @param {string} room */
    seen(room) {
        return this.#seen.get(room) ?? null;
    }

    /** Return the number of the next item. */
    nextNumber() {
        this.#number += 1;
        return this.#number;
    }

    /**
     * Item `number` goes to the face: `seen` moves now, the committed place with the item.
     *
     * `moves` are positions it brings; `covers` says up to which `seq` it accounts for a room, whatever the epoch.
     * @param {number} number
     * @param {string | null} cursor
     * @param {{moves?: [string, Position][], covers?: [string, number][], forgets?: string | null}} [what]
     */
    handOut(number, cursor, { moves = [], covers = [], forgets = null } = {}) {
        for (const [room, position] of moves) this.#seen.set(room, position);
        for (const [room, last] of covers) cover(this.#seen, room, last);
        if (forgets !== null) this.#seen.delete(forgets);
        this.#marks.push({ number, cursor, moves, covers, forgets, silent: false });
    }

    /**
     * The stream moved to `cursor` with nothing to show: committed as soon as all before it is.
     * @param {string | null} cursor
     */
    passBy(cursor) {
        if (cursor === null) return;
        const mark = { number: this.#number, cursor, moves: [], covers: [], forgets: null, silent: true };
        if (this.#marks.length === 0) this.#settle(mark);
        else if (this.#marks[this.#marks.length - 1].silent) this.#marks[this.#marks.length - 1] = mark;
        else this.#marks.push(mark);
    }

    /** Everything up to item `number` was taken. @param {number} number */
    commit(number) {
        let done = 0;
        while (done < this.#marks.length && (this.#marks[done].silent || this.#marks[done].number <= number)) {
            this.#settle(this.#marks[done]);
            done += 1;
        }
        this.#marks.splice(0, done);
    }

    /**
     * The face took the room up to `position` by other means than the stream.
     * @param {string} room @param {Position} position
     */
    take(room, position) {
        this.#seen.set(room, later(position, this.#seen.get(room) ?? position));
        this.#committed.advance(room, position);
    }

    /**
     * The face took an event of a gap that is handed out and not committed yet.
     *
     * `seen` stays at the end of the gap, now with the epoch known. The committed place does not go there before the gap
     * is committed: a restart in the middle of recovering must find the rest of it missing.
     * @param {string} room @param {Position} position
     */
    recover(room, position) {
        const seen = this.#seen.get(room) ?? position;
        this.#seen.set(room, {
            epoch: Math.max(seen.epoch, position.epoch),
            seq: Math.max(seen.seq, position.seq),
        });
        this.#committed.advance(room, position);
    }

    /** Forget what was handed out and not committed. */
    rewind() {
        this.#marks = [];
        this.#seen = new Map(this.#committed.positions);
    }

    /** @param {Mark} mark */
    #settle(mark) {
        if (mark.cursor !== null) this.#committed.cursor = mark.cursor;
        for (const [room, position] of mark.moves) this.#committed.advance(room, position);
        for (const [room, last] of mark.covers) cover(this.#committed.positions, room, last);
        if (mark.forgets !== null) this.#committed.positions.delete(mark.forgets);
    }
}

/**
 * Move a room up to `last`. When that lies within what was seen it stays: the epoch tells what was lost.
 * @param {Map<string, Position>} positions @param {string} room @param {number} last
 */
function cover(positions, room, last) {
    const seen = positions.get(room) ?? { epoch: UNKNOWN_EPOCH, seq: 0 };
    if (last > seen.seq) positions.set(room, { epoch: seen.epoch, seq: last });
}

