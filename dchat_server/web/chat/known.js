// Whom and what one may mean while writing: people of the open room and of one's conversations, one's rooms.

export class Known {
  #client;
  #ask;
  #members = new Map(); // room → its members; asked for once, until somebody comes or goes

  /** `ask(promise)` waits for a list, and gives an empty one (and says so) when it does not come. */
  constructor(client, ask) {
    this.#client = client;
    this.#ask = ask;
  }

  /** The members of a room. */
  async members(room) {
    if (!this.#members.has(room)) this.#members.set(room, await this.#ask(this.#client.members(room)));
    return this.#members.get(room);
  }

  /** Who is in these rooms has changed; without names, forget all. */
  forget(rooms) {
    if (rooms) for (const room of rooms) this.#members.delete(room);
    else this.#members.clear();
  }

  /** For completion.js, in the room `name`. */
  forCompletion(name) {
    const { me, rooms } = this.#client.model;
    const all = rooms.list();
    const people = new Map();
    for (const { users = [] } of all) for (const user of users) people.set(user, user);
    for (const { sender } of this.#client.model.transcript(name)?.messages ?? []) people.set(sender, sender);
    for (const { user, display_name: shown } of this.#members.get(name) ?? []) people.set(user, shown);
    if (rooms.has(name)) void this.members(name); // for the next letter
    people.delete(me.username);
    const sorted = [...people].map(([user, shown]) => ({ user, name: shown }));
    sorted.sort((one, other) => one.user.localeCompare(other.user));
    return { people: sorted, rooms: all.filter((room) => room.kind !== "dm") };
  }
}
