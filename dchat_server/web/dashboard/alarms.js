/**
 * What is wrong, in words, and what to do about it. Pure: `look` gets the cluster and the recent figures and answers a
 * list. guide.html has a section for each code; a test compares the two.
 *
 * What comes and goes by itself (an election, one slow second) is not cried out: an alarm waits for its time, and one
 * about a rate stays until the rate has been nought for a while.
 */

import { isFine } from "./memory.js";
import { count, milliseconds, span } from "./words.js";

const LEADERLESS_S = 5;
const ARCHIVE_S = 8;
const ERRORS_S = 15;
const LAG_S = 600;
const LAG_GROWS_S = 60;
const LAG_OVER_S = 120;
const SLOW_MS = 2000;
const SLOW_S = 10;
const HELD_UP_MS = 500;
const GONE_S = 60;
const FLAPS = 4;
const FLAPS_S = 600;

/** States of the archive (see /docs) that need somebody, and whether chat itself suffers. */
const ARCHIVE = {
  archive_unavailable: "The archive does not answer: old pages fail, and nothing is archived.",
  log_unavailable: "The message log does not answer the leader: nothing is archived.",
  restoring: "The message log lost data, which is being brought back from the archive.",
  people_unsaved: "Accounts or read markers cannot be saved in the archive.",
  duty_failing: "A duty of the leader fails again and again.",
  stuck_rooms: "Some rooms cannot be archived; the others go on.",
  no_archive: "A worker was elected and cannot lead: the archive does not answer it.",
  no_log: "A worker was elected and cannot lead: the message log does not answer it.",
  fenced: "The election gives lower epochs than the archive has seen: was ZooKeeper wiped?",
  silent: "There is a leader, and it reports nothing.",
};

/** Every code an alarm may have, with what to do first. */
export const TO_DO = {
  log_unavailable: "Is Redis there, and can the workers reach it? Until it is, messages are refused.",
  board_unknown: "Redis answers late or not at all: is it overloaded, or cut off?",
  no_leader: "Does ZooKeeper have a quorum, and do the workers reach it? Chat goes on; archiving waits.",
  election_lost: "Look at ZooKeeper, and at the network between it and this worker.",
  leader_flaps: "Is a machine overloaded or freezing? A longer DCHAT_ZOOKEEPER_SESSION_S helps.",
  archive: "“dchat admin lag” says more, and the leader's log.",
  lag: "Archiving is slower than people write: more write capacity, or a faster machine for the leader.",
  lag_grows: "Watch it: is the archive throttled, or the leader busy?",
  errors: "Look into the workers' logs for the reason.",
  slow: "Which part is slow? Look at Redis and at the workers' loop lag.",
  held_up: "Too much for one process: add workers.",
  worker_gone: "If nobody stopped it: look into its log, and start it again.",
  worker_silent: "Is its machine frozen or cut off? It is taken for dead after 10 s.",
};

export class Alarms {
  /** Since when each condition holds, by its code: seconds. */
  #since = new Map();
  #erred = { at: -Infinity, rate: 0 };
  #leaders = [];
  #leader = undefined;

  /**
   * What is wrong now: `[{code, level: "bad"|"warn", text, todo}]`, the worst first. `memory` is a Memory that has seen
   * the present, `ring` a Ring of the series of stats.js, `now` in seconds.
   */
  look(memory, ring, now) {
    const { cluster } = memory;
    const found = [];
    const cry = (code, level, text) => found.push({ code, level, text, todo: TO_DO[code] });
    this.#log(cluster, cry);
    this.#leadership(cluster, now, cry);
    this.#archive(cluster, ring, now, cry);
    this.#answers(ring, now, cry);
    this.#workers(memory, now, cry);
    return found.sort((one, other) => Number(other.level === "bad") - Number(one.level === "bad"));
  }

  #log(cluster, cry) {
    const detail = (part) => cluster.errors.find((error) => error.part === part)?.detail;
    if (isFine("log", cluster.parts.log.state) === false) {
      cry("log_unavailable", "bad", detail("log") ?? "The message log is unavailable.");
    } else if (!cluster.boardKnown) {
      cry("board_unknown", "warn", `Not all is known of the workers. ${detail("board")}`);
    }
  }

  #leadership(cluster, now, cry) {
    const without = this.#lasts("leaderless", cluster.leader === null && cluster.boardKnown, now);
    if (without >= LEADERLESS_S) cry("no_leader", "bad", `Nobody has led for ${span(Math.round(without))}.`);
    if (isFine("election", cluster.parts.election.state) === false) {
      const detail = cluster.errors.find((error) => error.part === "election")?.detail;
      cry("election_lost", "warn", detail ?? `The election is ${cluster.parts.election.state}.`);
    }
    const leader = cluster.leader && `${cluster.leader.worker} ${cluster.leader.epoch}`;
    if (leader && leader !== this.#leader) {
      if (this.#leader !== undefined) this.#leaders.push(now);
      this.#leader = leader;
    }
    this.#leaders = this.#leaders.filter((at) => at > now - FLAPS_S).slice(-100);
    if (this.#leaders.length >= FLAPS) {
      cry("leader_flaps", "warn", `The leader changed ${this.#leaders.length} times within ten minutes.`);
    }
  }

  #archive(cluster, ring, now, cry) {
    const text = ARCHIVE[cluster.parts.archive.state];
    // A new leader has reported nothing yet, and what it finds at first may be over soon.
    if (this.#lasts("archive", text !== undefined, now) >= ARCHIVE_S) {
      cry("archive", cluster.parts.archive.state === "restoring" ? "warn" : "bad", text);
    }
    const lag = ring.summary("lag_s", now - 5).now;
    const before = ring.summary("lag_s", now - LAG_OVER_S);
    if (lag > LAG_S) cry("lag", "bad", `The archive is ${span(lag)} behind.`);
    else if (lag > LAG_GROWS_S && lag >= before.high && lag - before.low > LAG_GROWS_S / 2) {
      cry("lag_grows", "warn", `The archive falls behind: ${span(lag)} now, ${span(before.low)} two minutes ago.`);
    }
  }

  #answers(ring, now, cry) {
    const errors = ring.summary("errors_per_s", now - 5).now;
    if (errors > 0) this.#erred = { at: now, rate: errors };
    if (now - this.#erred.at < ERRORS_S) {
      const when = errors > 0 ? "" : `, the last ${span(Math.round(now - this.#erred.at))} ago`;
      cry("errors", "bad", `Requests fail: ${count(this.#erred.rate)} answers a second with a server's error${when}.`);
    }
    const slow = ring.summary("send_p99", now - 5).now;
    if (this.#lasts("slow", slow > SLOW_MS, now) >= SLOW_S) {
      cry("slow", "warn", `Sending is slow: one of a hundred messages takes ${milliseconds(slow)} or more.`);
    }
  }

  #workers(memory, now, cry) {
    const named = (rows) => rows.map((row) => row.worker).slice(0, 3).join(", ") + (rows.length > 3 ? ", …" : "");
    const silent = memory.cluster.workers.filter((row) => row.state === "silent" || row.state === "missing");
    if (silent.length) cry("worker_silent", "warn", `Not heard lately: ${named(silent)}.`);
    const gone = memory.gone.filter((each) => !each.drained && now - each.at / 1000 < GONE_S);
    if (gone.length) cry("worker_gone", "warn", `Gone within the last minute: ${named(gone)}.`);
    const held = memory.cluster.workers.filter((row) => row.loop_lag_ms > HELD_UP_MS);
    const lasts = this.#lasts("held_up", held.length > 0, now);
    if (lasts >= SLOW_S) cry("held_up", "warn", `Held up: ${named(held)}.`);
  }

  /** For how many seconds a condition has held without a break. */
  #lasts(code, holds, now) {
    if (!holds) {
      this.#since.delete(code);
      return 0;
    }
    if (!this.#since.has(code)) this.#since.set(code, now);
    return now - this.#since.get(code);
  }
}
