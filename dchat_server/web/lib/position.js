/**
 * Where a reader is in each room, and by that, what is a repeat and what is missing. Pure. The twin of
 * dchat_client/position.py.
 *
 * A room numbers what happens in it densely: 1, 2, 3, … The *epoch* rises when the server may have lost the end of a
 * room; it then numbers on from what it still has, so (epoch, seq) always grows along the room as it is now, and an event
 * that is not above the last one seen, compared that way, has been seen or belongs to an end that no longer exists.
 */

/** @typedef {{epoch: number, seq: number}} Position `epoch` is UNKNOWN_EPOCH when only the number is known */

export const UNKNOWN_EPOCH = -1;

/** Below 0 when `a` comes before `b`, 0 when they are the same, else above. @param {Position} a @param {Position} b */
export function compare(a, b) {
    return a.epoch - b.epoch || a.seq - b.seq;
}

/** @param {Position} a @param {Position} b @returns {Position} */
export function later(a, b) {
    return compare(a, b) >= 0 ? a : b;
}

/**
 * Return room and position of a durable event or of a message from a page; null when it has no place.
 * @param {Record<string, any>} event
 * @returns {{room: string, position: Position} | null}
 */
export function placeOf(event) {
    const { room, seq, epoch = 0 } = event;
    if (typeof room !== "string" || !Number.isSafeInteger(seq) || !Number.isSafeInteger(epoch) || seq < 1) return null;
    return { room, position: { epoch, seq } };
}

/**
 * A reader's place: the cursor to resume from, and the last position taken in each room.
 *
 * The positions are needed beside the cursor because events that travel in one write share its one cursor: after taking
 * half of them the cursor is still before them all, and the positions tell the repeats.
 */
export class Bookmark {
    /** @param {string | null} cursor @param {Iterable<[string, Position]>} positions */
    constructor(cursor = null, positions = []) {
        this.cursor = cursor;
        /** @type {Map<string, Position>} */
        this.positions = new Map(positions);
    }

    /** Return an independent copy. */
    copy() {
        return new Bookmark(this.cursor, this.positions);
    }

    /** Move the room's position up to `position`; it never moves back. @param {string} room @param {Position} position */
    advance(room, position) {
        this.positions.set(room, later(position, this.positions.get(room) ?? position));
    }
}
