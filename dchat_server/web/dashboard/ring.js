/**
 * The last minutes of some series of numbers, one sample a second, in typed arrays that are taken once: a screen on the
 * wall runs for months. A second without a sample is a hole in the lines, not a line across it.
 */

/** Samples further apart than this have a hole between them. */
const HOLE_S = 3;
/** A clock that was set back by more than this begins anew; by less, samples are left out until it has caught up. */
const BACK_S = 5;

export class Ring {
  #names;
  #times;
  #columns;
  #next = 0;
  #size = 0;

  /** `capacity` samples of each of `names`: 8 bytes each. */
  constructor(names, capacity) {
    this.#names = [...names];
    this.#times = new Float64Array(capacity);
    this.#columns = new Map(this.#names.map((name) => [name, new Float64Array(capacity)]));
  }

  /** How many samples it holds, holes included. */
  get size() {
    return this.#size;
  }

  /** When the last sample was taken, in seconds since 1970; -Infinity before the first. */
  get last() {
    return this.#size ? this.#times[this.#at(this.#size - 1)] : -Infinity;
  }

  /** Keep a sample taken at `time` (seconds since 1970). What `values` does not have, or has as null, is not known. */
  push(time, values) {
    if (time < this.last - BACK_S) this.clear();
    if (time <= this.last) return;
    if (this.#size && time - this.last > HOLE_S) this.#put(this.last + 1, {});
    this.#put(time, values);
  }

  clear() {
    this.#next = this.#size = 0;
  }

  /** What uPlot takes: times since `from`, then each of `names`, null where it is not known. */
  columns(names, from) {
    const first = this.#since(from);
    const indices = Array.from({ length: this.#size - first }, (_, index) => this.#at(first + index));
    const times = indices.map((index) => this.#times[index]);
    return [times, ...names.map((name) => indices.map((index) => known(this.#columns.get(name)[index])))];
  }

  /** `{now, low, high, mean}` of a series since `from`, each null when nothing is known. */
  summary(name, from) {
    const column = this.#columns.get(name);
    let [low, high, sum, count] = [Infinity, -Infinity, 0, 0];
    for (let index = this.#since(from); index < this.#size; index += 1) {
      const value = column[this.#at(index)];
      if (Number.isNaN(value)) continue;
      [low, high, sum, count] = [Math.min(low, value), Math.max(high, value), sum + value, count + 1];
    }
    const now = this.#size ? known(column[this.#at(this.#size - 1)]) : null;
    return count ? { now, low, high, mean: sum / count } : { now, low: null, high: null, mean: null };
  }

  /** The number of the first sample at or after `from`; they are in order. */
  #since(from) {
    let [low, high] = [0, this.#size];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#times[this.#at(middle)] < from) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Where the sample with this number, counted from the oldest, lies. */
  #at(number) {
    const capacity = this.#times.length;
    return (this.#next - this.#size + number + capacity) % capacity;
  }

  #put(time, values) {
    this.#times[this.#next] = time;
    for (const name of this.#names) this.#columns.get(name)[this.#next] = values[name] ?? NaN;
    this.#next = (this.#next + 1) % this.#times.length;
    this.#size = Math.min(this.#size + 1, this.#times.length);
  }
}

function known(value) {
  return Number.isNaN(value) ? null : value;
}
