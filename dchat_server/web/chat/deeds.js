// What a person does, by button, key or slash command, each as one request; and a word about it when it was not done.

import { confirmed } from "./dialogs.js";
import { matching } from "./found.js";
import { summary } from "./markdown.js";
import { notice } from "./notices.js";

const MODERATORS = ["owner", "moderator"];

export class Deeds {
  #client;
  #desk;

  /** `desk`: `room` (the open one's name), `go(room)`, `leave()` (to another room), and the views' `open…`. */
  constructor(client, desk) {
    this.#client = client;
    this.#desk = desk;
  }

  /** Wait for `doing`; false, and a word about it, when it was not done. */
  async done(doing) {
    try {
      await doing;
      return true;
    } catch (error) {
      notice(error.message);
      return false;
    }
  }

  // Messages

  /** What one may do with a message: write (answer, react), edit, remove. */
  may({ sender }) {
    const { rooms, me } = this.#client.model;
    const room = rooms.get(this.#desk.room);
    const write = Boolean(room) && !room.archived && room.role !== "reader";
    const isOwn = sender === me.username;
    return { write, edit: write && isOwn, remove: write && (isOwn || MODERATORS.includes(room.role)) };
  }

  /** Queue a message; false when it was not taken. */
  say(room, text, replyTo = null) {
    try {
      this.#client.send(room, text, { replyTo });
      return true;
    } catch (error) {
      notice(error.message);
      return false;
    }
  }

  edit({ room, seq }, text) {
    return this.done(this.#client.edit(room, seq, text));
  }

  async remove({ room, seq, text }) {
    if (await confirmed("Delete this message?", summary(text), "Delete"))
      await this.done(this.#client.remove(room, seq));
  }

  react({ room, seq }, emoji) {
    return this.done(this.#client.react(room, seq, emoji, true));
  }

  /** React as others did, or take one's own reaction back. */
  toggle({ room, seq, reactions = [] }, emoji) {
    const me = this.#client.model.me.username;
    const isMine = reactions.some((each) => each.emoji === emoji && each.users.includes(me));
    return this.done(this.#client.react(room, seq, emoji, !isMine));
  }

  // Rooms and people

  async join(room) {
    if (await this.done(this.#client.join(room))) this.#desk.go(room);
  }

  async leave(room) {
    if ((await this.done(this.#client.leave(room))) && this.#desk.room === room) this.#desk.leave();
  }

  /** Make a room and go there; returns what went wrong, or null. */
  async create(about) {
    return this.#entered(this.#client.create(about));
  }

  /** Go to the conversation with these people; returns what went wrong, or null. */
  async writeTo(users) {
    return this.#entered(this.#client.dm(users));
  }

  async #entered(entering) {
    try {
      this.#desk.go(await entering);
      return null;
    } catch (error) {
      return error.message;
    }
  }

  topic(room, text) {
    return this.done(this.#client.topic(room, text));
  }

  async invite(room, user) {
    const isDone = await this.done(this.#client.invite(room, user));
    if (isDone) notice(`${user} is in the room now.`);
    return isDone;
  }

  /** What the server lists; nothing, and a word about it, when it does not answer. */
  async listed(asking) {
    try {
      return await asking;
    } catch (error) {
      notice(error.message);
      return [];
    }
  }

  // Commands

  /** Do a slash command of the message field. */
  async command(name, rest) {
    const word = rest.split(/\s/, 1)[0].replace(/^[@#]/, "").toLowerCase();
    const { room } = this.#desk;
    const commands = {
      join: () => (word ? this.join(word) : this.#desk.openBrowse()),
      leave: () => this.leave(word || room),
      create: () => (word ? this.#make(word) : this.#desk.openBrowse()),
      invite: () => (word ? this.invite(room, word) : this.#desk.openMembers()),
      reconnect: () => this.#client.reconnect(),
      topic: () => (rest ? this.topic(room, rest) : this.#desk.openAbout()),
      members: () => this.#desk.openMembers(),
      help: () => this.#desk.openHelp(),
      search: () => this.#search(room, rest),
      msg: () => (word ? this.#message(word, rest.slice(rest.search(/\s|$/)).trim()) : this.#desk.openDirect()),
    };
    await commands[name]();
  }

  async #make(room) {
    const wrong = await this.create({ room });
    if (wrong) notice(wrong);
  }

  async #message(user, text) {
    const wrong = await this.writeTo([user]);
    if (wrong) notice(wrong);
    else if (text) this.say(this.#desk.room, text);
  }

  /** By the server, where it can; else among what this page has of the room. */
  async #search(room, words) {
    if (!words) {
      notice("Say what to look for: /search words");
      return;
    }
    let found;
    try {
      const { hits } = await this.#client.connection.request("GET", "/v1/search", { params: { q: words }, tries: 1 });
      found = hits.map((hit) => ({ text: hit.snippet, ...hit, ...hit.message }));
    } catch (error) {
      if (![404, 405].includes(error.status)) return notice(error.message);
    }
    const here = () => matching(this.#client.model.transcript(room)?.messages ?? [], words);
    this.#desk.openFound(words, found ?? here(), found ? "in all your rooms" : "in what is loaded of this room");
  }
}
