// How the connection is doing, always in view: a lamp with a word, and a line of its own when something is wrong.

import { byId } from "./dom.js";
import { visibleLine } from "./visible.js";

const WORDS = {
  connecting: "connecting",
  live: "live",
  degraded: "delayed",
  reconnecting: "reconnecting",
  offline: "offline",
};

export class State {
  #status = { phase: "connecting" };
  #until = 0;
  #isStale = false;
  #timer = null;

  /** `reconnect()` tries at once. */
  constructor(reconnect) {
    byId("reconnect").addEventListener("click", reconnect);
  }

  /** `status`: `{phase, retryAt, reason}` as the chat model has it. */
  show(status) {
    this.#status = status;
    this.#until = status.retryAt ?? 0;
    clearInterval(this.#timer);
    this.#timer = status.phase === "reconnecting" ? setInterval(() => this.#draw(), 1000) : null;
    const place = byId("connection");
    place.dataset.phase = status.phase;
    byId("connection-text").textContent = WORDS[status.phase] ?? status.phase;
    this.#draw();
  }

  /** Whether what is shown of the room is known to have a hole, until it was read anew. */
  gap(isStale) {
    if (isStale === this.#isStale) return;
    this.#isStale = isStale;
    this.#draw();
  }

  #draw() {
    const words = this.#words();
    byId("trouble").hidden = !words;
    // Not a live region: the countdown would be read out every second. The lamp's word is one.
    byId("trouble-text").textContent = words ?? "";
    byId("trouble-text").title = visibleLine(this.#status.reason ?? "");
    byId("reconnect").hidden = this.#isStale && this.#status.phase === "live";
  }

  #words() {
    const { phase } = this.#status;
    const seconds = Math.ceil((this.#until - Date.now()) / 1000);
    if (phase === "reconnecting")
      return seconds > 0 ? `No connection to the server. Trying again in ${seconds} s.` : "Reconnecting …";
    if (phase === "offline") return "Offline. What you write is sent once there is a connection.";
    if (phase === "degraded") return "The server says that messages may come late.";
    if (this.#isStale) return "Something was missed. Reading this room anew …";
    return null;
  }
}
