/**
 * What the page remembers from second to second: workers that went, and what happened. The server tells the present
 * only, and a page that comes back at another worker has missed something; so what happened is read off the difference
 * between two presents, wherever they came from. No DOM.
 *
 * Bounds: `MOST_GONE` workers for `GONE_MS`, the last `MOST_TOLD` happenings.
 */

import { kind, state, WORKER_STATES } from "./words.js";

const GONE_MS = 120_000;
const MOST_GONE = 8;
const MOST_TOLD = 200;

const PART_NAMES = { log: "Message log", election: "Election", archive: "Archive" };
/** A part's states in which it does its work. */
const FINE = { log: ["ok"], election: ["connected", "local"], archive: ["ok", "starting"] };

/** States that a change of leaders brings along and takes away; the leaders' own lines tell it. */
const PASSING = ["no_leader", "silent", "starting"];

/** Whether a part (`log`, `election`, `archive`) does its work; null when nobody knows. */
export function isFine(name, told) {
  return told === "unknown" ? null : FINE[name].includes(told);
}

export class Memory {
  /** What happened, newest first: `{at, mark, text}`. Marks: `+` came, `-` went, `*` leader, `!` trouble, `=` mended. */
  told = [];
  /** Workers that went lately: `{worker, at, drained, row}`, newest first. */
  gone = [];
  /** The cluster as it was last, as clusterOf gives it; null before the first. */
  cluster = null;

  /** Note what is another than it was. `at` in ms since 1970. */
  see(cluster, at) {
    this.gone = this.gone.filter((each) => at - each.at < GONE_MS);
    if (this.cluster === null) {
      this.note(at, "+", `Watching ${workers(cluster.workers.length)}${leads(cluster.leader)}.`);
    } else {
      // Where nobody can say who is there, nobody has gone.
      if (cluster.boardKnown) this.#compareWorkers(cluster, at);
      else cluster = { ...cluster, workers: unheard(this.cluster.workers, cluster.workers) };
      this.#compareLeader(cluster.leader, at);
      for (const name of Object.keys(PART_NAMES)) this.#comparePart(name, cluster.parts[name].state, at);
    }
    this.cluster = cluster;
  }

  /** Add a line that somebody else noticed. */
  note(at, mark, text) {
    this.told = [{ at, mark, text }, ...this.told].slice(0, MOST_TOLD);
  }

  #compareWorkers(cluster, at) {
    const before = new Map(this.cluster.workers.map((row) => [row.worker, row]));
    const now = new Map(cluster.workers.map((row) => [row.worker, row]));
    for (const [worker, row] of now) {
      const was = before.get(worker);
      if (!was) {
        const where = row.address ? ` at ${row.address}` : "";
        const version = row.version ? `, version ${row.version}` : "";
        this.note(at, "+", `Worker ${worker} joined${where}${version}.`);
        this.gone = this.gone.filter((each) => each.worker !== worker);
      } else if (was.state !== row.state) this.#compareState(was, row, at);
    }
    for (const [worker, row] of before) {
      if (now.has(worker)) continue;
      const drained = row.state === "drains";
      this.note(at, "-", drained ? `Worker ${worker} left after draining.` : `Worker ${worker} is gone.`);
      this.gone = [{ worker, at, drained, row }, ...this.gone].slice(0, MOST_GONE);
    }
  }

  #compareState(was, row, at) {
    const troubled = ["silent", "missing"];
    if (row.state === "drains") this.note(at, "-", `Worker ${row.worker} drains: it takes no more streams.`);
    else if (was.state === "drains") this.note(at, "+", `Worker ${row.worker} takes streams again.`);
    else if (troubled.includes(row.state)) this.note(at, "!", `Worker ${row.worker}: ${WORKER_STATES[row.state]}.`);
    else if (troubled.includes(was.state)) this.note(at, "=", `Worker ${row.worker} is heard again.`);
  }

  #compareLeader(leader, at) {
    const before = this.cluster.leader;
    if (before?.worker === leader?.worker && before?.epoch === leader?.epoch) return;
    if (leader === null) this.note(at, "!", `No leader: ${before.worker} leads no more.`);
    else {
      const when = before?.worker === leader.worker ? "again" : "now";
      this.note(at, "*", `${leader.worker} leads ${when}, epoch ${leader.epoch}.`);
    }
  }

  #comparePart(name, told, at) {
    const before = this.cluster.parts[name].state;
    if (before === told || PASSING.includes(told)) return;
    const [was, is] = [isFine(name, before), isFine(name, told)];
    if (is === false || (is === null && was !== null)) this.note(at, "!", `${PART_NAMES[name]}: ${state(told)}.`);
    else if (is === true && was !== true && !PASSING.includes(before)) {
      this.note(at, "=", `${PART_NAMES[name]}: ${state(told)} again.`);
    }
  }
}

/** The workers known before, as unknown but for those that are told now. */
function unheard(before, now) {
  const told = new Map(now.map((row) => [row.worker, row]));
  const rows = before.map((row) => told.get(row.worker) ?? { ...row, state: "unknown" });
  return [...rows, ...now.filter((row) => !before.some((each) => each.worker === row.worker))];
}

function workers(many) {
  return many === 1 ? "1 worker" : `${many} workers`;
}

function leads(leader) {
  return leader ? `; ${leader.worker} leads, epoch ${leader.epoch}` : "; nobody leads";
}

/** What to call a part: its kind, or what it does where nobody said. */
export function partName(name, told) {
  return kind(told.kind, PART_NAMES[name]);
}
