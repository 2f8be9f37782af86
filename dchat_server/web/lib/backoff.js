/** How long to wait before the next try. Pure: the dice are passed in. The twin of dchat_client/backoff.py. */

/**
 * Waits that double and are jittered over their full width, so that many clients do not come back together.
 *
 * "Full jitter" after Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015): the wait is drawn evenly
 * from 0 to min(capS, baseS × 2^tries). What a server asks for (Retry-After, `retry:`) comes on top, as a floor, cut at
 * `maxFloorS`.
 */
export class Backoff {
    tries = 0;
    #baseS;
    #capS;
    #maxFloorS;
    #dice;

    constructor({ baseS = 1, capS = 30, maxFloorS = 300, dice = Math.random } = {}) {
        this.#baseS = baseS;
        this.#capS = capS;
        this.#maxFloorS = maxFloorS;
        this.#dice = dice;
    }

    /** Return the next wait in seconds, at least `floorS`, and count one try. @param {number | null} [floorS] */
    next(floorS = null) {
        const width = Math.min(this.#capS, this.#baseS * 2 ** Math.min(this.tries, 30));
        this.tries += 1;
        return this.floor(floorS) + this.#dice() * width;
    }

    /** Return what a server asked for in seconds, within 0 and `maxFloorS`. @param {number | null} [askedS] */
    floor(askedS = null) {
        return Math.min(Math.max(askedS ?? 0, 0), this.#maxFloorS);
    }

    /** Begin again with the shortest wait; to be called once things have gone well for a while. */
    reset() {
        this.tries = 0;
    }
}
