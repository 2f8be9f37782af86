/**
 * The cluster's stream, `GET /v1/cluster/events`, kept open for good.
 *
 * Theory of operation. There is no cursor: whoever comes back gets the present at once, so all that matters is to
 * notice soon that a connection is dead and to come back politely. The server speaks once a second; after `SILENT_MS`
 * without a byte (a frozen worker, a cable, a laptop that slept) the connection is given up. Then the next try comes after a wait
 * that doubles and is jittered, so that a hundred screens do not come back together; `reconnect` and `Retry-After` name
 * the least of it. The address is this page's own: behind a balancer, whichever worker answers. What is shown
 * meanwhile is the caller's business: `heardAt` says how old it is.
 *
 * Bounds: one connection; lines and events as large as the decoder takes them, or the connection is given up.
 */

import { Backoff } from "../lib/backoff.js";
import { Decoder } from "../lib/protocol.js";
import { parse } from "./stats.js";

export const OPEN_MS = 10_000;
export const SILENT_MS = 8_000;
const LONGEST_WAIT_S = 20;
const LOOK_MS = 1_000;
const STEADY_MS = 10_000;

export class Feed {
  /** `connecting`, `live`, `waiting` (until `againAt`), `signed_out`, `forbidden`, `stopped`. */
  phase = "stopped";
  /** Why it is not live, for people. */
  why = "";
  /** When something was heard last, ms since 1970; 0: never. */
  heardAt = 0;
  againAt = 0;

  #url;
  #hear;
  #changed;
  #stopping = new AbortController();
  #connection = new AbortController();
  #open = false;
  #backoff = new Backoff({ capS: LONGEST_WAIT_S });
  #hurry = () => {};

  /** `hear(event)` gets each event as an object; `changed()` is called when `phase` is another one. */
  constructor(url, hear, changed) {
    [this.#url, this.#hear, this.#changed] = [url, hear, changed];
  }

  /** Begin, or begin anew: after signing in. */
  start() {
    this.stop();
    this.#stopping = new AbortController();
    this.#backoff.reset();
    void this.#run(this.#stopping.signal);
  }

  stop() {
    this.#stopping.abort();
    this.#connection.abort();
    this.#hurry();
    this.#be("stopped");
  }

  /** Somebody looks again, or the network is back: do not wait any longer for what may work now. */
  wake() {
    this.#hurry();
    this.#look();
  }

  async #run(stopped) {
    while (!stopped.aborted) {
      this.#be("connecting", this.why);
      const end = await this.#once();
      if (stopped.aborted) return;
      if (end.phase) {
        this.#be(end.phase, end.why);
        return;
      }
      const wait = this.#backoff.next((end.afterMs ?? 0) / 1000) * 1000;
      this.againAt = Date.now() + wait;
      this.#be("waiting", end.why);
      await this.#pause(wait);
    }
  }

  /** One connection, until it ends. `{why}`; `afterMs` when the server named a wait, `phase` when it is for good. */
  async #once() {
    const connection = (this.#connection = new AbortController());
    const began = Date.now();
    let looking = setTimeout(() => connection.abort(), OPEN_MS);
    this.#open = false;
    try {
      const response = await fetch(this.#url, {
        headers: { Accept: "text/event-stream" },
        cache: "no-store",
        signal: connection.signal,
      });
      clearTimeout(looking);
      if (!response.ok || !response.body) return await refusal(response);
      this.#open = true;
      this.heardAt = Date.now();
      looking = setInterval(() => this.#look(), LOOK_MS);
      return await this.#read(response.body.getReader());
    } catch {
      if (connection.signal.aborted) return { why: this.#open ? "The worker went silent" : "No worker answers" };
      return { why: this.#open ? "The connection broke" : "No worker can be reached" };
    } finally {
      clearTimeout(looking);
      clearInterval(looking);
      connection.abort();
      this.#open = false;
      if (Date.now() - began > STEADY_MS) this.#backoff.reset();
    }
  }

  async #read(reader) {
    const decoder = new Decoder();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return { why: "The worker ended the connection" };
      this.heardAt = Date.now();
      for (const { data } of decoder.feed(value)) {
        const event = parse(data);
        const { type, after_ms: afterMs, reason } = event;
        if (type === "reconnect") return { why: "The worker sends its readers elsewhere", afterMs };
        if (type === "auth_expired") return { phase: "signed_out", why: `The session is over (${reason}).` };
        if (type === "stats") this.#be("live");
        try {
          this.#hear(event);
        } catch (error) {
          reportError(error); // a mistake of the page: no reason to part with the server
        }
      }
    }
  }

  /** Give up a connection that has gone silent. */
  #look() {
    if (this.#open && Date.now() - this.heardAt > SILENT_MS) this.#connection.abort();
  }

  #pause(milliseconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#hurry = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #be(phase, why = "") {
    const before = this.phase;
    [this.phase, this.why] = [phase, why];
    if (phase !== before) this.#changed();
  }
}

/** What an answer other than 200 means. */
async function refusal(response) {
  const problem = await response.json().catch(() => null);
  if (response.status === 401) return { phase: "signed_out", why: "" };
  if (response.status === 403) return { phase: "forbidden", why: String(problem?.detail || problem?.title || "") };
  const after = Number(response.headers.get("Retry-After")) || 0;
  // What is no problem of ours comes from a balancer that has nobody to ask.
  const why = problem?.title ?? `The balancer finds no worker (${response.status})`;
  return { why: String(why), afterMs: after * 1000 };
}
