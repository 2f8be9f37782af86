/**
 * Time that also passes while the machine sleeps, and waits that notice it.
 *
 * `performance.now` may stand still during sleep, the wall clock may be set back. `monotonic` takes whichever of the two
 * went further since it was last asked, so it never goes back and never oversleeps. A timer does not fire during sleep,
 * late after it, and once a minute at most in a hidden tab; so an `Alarm` looks at its deadlines whenever anything wakes
 * the page, not only when its timer fires.
 */

/** @returns {() => number} a clock in seconds */
export function monotonicClock() {
    let wall = Date.now();
    let page = performance.now();
    let at = page / 1000;
    return () => {
        const [nowWall, nowPage] = [Date.now(), performance.now()];
        at += Math.max(nowWall - wall, nowPage - page, 0) / 1000;
        wall = nowWall;
        page = nowPage;
        return at;
    };
}

export const monotonic = monotonicClock();

const LONGEST_TIMER_S = 3600;

/** Waits until a time of `clock`. `check` looks whether it has come. */
export class Alarm {
    #clock;
    /** @type {Set<() => boolean>} each ends its wait and tells so when its time has come */
    #waits = new Set();

    /** @param {() => number} [clock] */
    constructor(clock = monotonic) {
        this.#clock = clock;
    }

    /** The time of its clock, in seconds. */
    get now() {
        return this.#clock();
    }

    /** Look at all waits, because something woke the page. */
    check() {
        for (const due of [...this.#waits]) due();
    }

    /**
     * Resolve at `deadline()`, which may move while one waits (null: never), or when `signal` is aborted.
     * @param {() => number | null} deadline @param {AbortSignal} [signal] @returns {Promise<void>}
     */
    until(deadline, signal) {
        return new Promise((resolve) => {
            /** @type {ReturnType<typeof setTimeout> | undefined} */
            let timer;
            const end = () => {
                clearTimeout(timer);
                signal?.removeEventListener("abort", end);
                this.#waits.delete(due);
                resolve();
            };
            const due = () => {
                const at = deadline();
                const left = at === null ? Infinity : at - this.#clock();
                if (left <= 0) {
                    end();
                    return true;
                }
                clearTimeout(timer);
                if (left < Infinity) timer = setTimeout(due, Math.min(left, LONGEST_TIMER_S) * 1000 + 1);
                return false;
            };
            if (signal?.aborted) {
                resolve();
                return;
            }
            signal?.addEventListener("abort", end);
            this.#waits.add(due);
            due();
        });
    }

    /** Wait for `seconds`. @param {number} seconds @param {AbortSignal} [signal] */
    sleep(seconds, signal) {
        const deadline = this.#clock() + seconds;
        return this.until(() => deadline, signal);
    }
}
