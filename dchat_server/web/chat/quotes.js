// Messages that are answered and lie further up than what was loaded, one by one.

const MOST = 500;

export class Quotes {
  #client;
  #came;
  #messages = new Map(); // "room:seq" → the message; null while it is not here

  /** `came(room)` is called when one has come. */
  constructor(client, came) {
    this.#client = client;
    this.#came = came;
  }

  /** The message, or null for now: it is asked for once. */
  get(room, seq) {
    const id = `${room}:${seq}`;
    if (!this.#messages.has(id)) void this.#ask(room, seq, id);
    return this.#messages.get(id) ?? null;
  }

  forget() {
    this.#messages.clear();
  }

  async #ask(room, seq, id) {
    if (this.#messages.size >= MOST) this.#messages.clear();
    this.#messages.set(id, null);
    const message = await this.#client.message(room, seq).catch(() => null);
    if (!message) return;
    this.#messages.set(id, message);
    this.#came(room);
  }
}
