// The chat once somebody is signed in: which room is open, and who of the views is told what.

import { About } from "./about.js";
import { askedRoom, showRoom } from "./address.js";
import { Browse } from "./browse.js";
import { Composer } from "./composer.js";
import { Deeds } from "./deeds.js";
import { byId } from "./dom.js";
import { Drafts } from "./drafts.js";
import { face, roomName } from "./faces.js";
import { Found } from "./found.js";
import { RoomHead } from "./head.js";
import { Known } from "./known.js";
import { Log } from "./log.js";
import { summary } from "./markdown.js";
import { notice } from "./notices.js";
import { badge, tell } from "./notify.js";
import { Direct, Members } from "./people.js";
import { Picker } from "./picker.js";
import { Quotes } from "./quotes.js";
import { reach } from "./reach.js";
import { RoomList, firstOf, inOrder, neighbourOf } from "./roomlist.js";
import { Settings } from "./settings.js";
import { wireShortcuts } from "./shortcuts.js";
import { spoken } from "./spoken.js";
import { State } from "./state.js";
import { Switcher } from "./switcher.js";
import { Tools } from "./tools.js";

const CALM_MS = 5000;
const MOST_OPEN = 8;

export class Desk {
  /** The name of the room that is open; null without one. */
  room = null;

  #client;
  #drafts = null;
  #visited = []; // names of rooms, the last one first
  #calmUntil = 0;
  #does;
  #known;
  #picker = new Picker();
  #head = new RoomHead();
  #state;
  #list;
  #log;
  #quotes;
  #tools;
  #composer;
  #switcher;
  #browse;
  #direct;
  #members;
  #about;
  #settings;
  #found;

  constructor(client, { signOut }) {
    this.#client = client;
    const does = new Deeds(client, this);
    this.#does = does;
    this.#known = new Known(client, (asking) => does.listed(asking));
    const me = () => this.#me;
    const findRooms = (prefix) => does.listed(client.browse(prefix));
    const findUsers = (prefix) => does.listed(client.people(prefix));
    const go = (room) => this.go(room);
    const join = (room) => does.join(room);
    const write = async (user) => {
      const wrong = await does.writeTo([user]);
      if (wrong) notice(wrong);
    };
    this.#state = new State(() => client.reconnect());
    this.#list = new RoomList(go);
    this.#quotes = new Quotes(client, (room) => room === this.room && this.#drawLog());
    this.#log = new Log({
      older: () => this.#older(),
      quoted: (seq) => this.#quotes.get(this.room, seq),
      seen: (atEnd) => this.#seen(atEnd),
    });
    this.#tools = new Tools(this.#log, this.#lineDeeds());
    this.#composer = new Composer(this.#writing(), () => this.#known.forCompletion(this.room));
    this.#switcher = new Switcher({ rooms: () => this.#rooms, me, findRooms, findUsers, go, join, write });
    this.#browse = new Browse({ findRooms, join, go, create: (about) => does.create(about) });
    this.#direct = new Direct({ findUsers, write: (users) => does.writeTo(users), me });
    this.#members = new Members({ invite: (room, user) => does.invite(room, user), write, me });
    this.#about = new About({
      topic: (room, text) => does.topic(room, text),
      leave: (room) => does.leave(room),
      changed: () => this.#drawRooms(),
    });
    this.#settings = new Settings({ signOut });
    this.#found = new Found({ go: (room, seq) => this.#goTo(room, seq) });
    this.#wire();
  }

  // Coming and going

  /** Somebody is signed in and the rooms are known. */
  begin() {
    const { me, connection, rooms } = this.#client.model;
    this.#drafts = new Drafts(me.username);
    this.#settings.show(me);
    byId("open-settings").querySelector(".me-name").textContent = me.username;
    byId("open-settings").querySelector(".face").replaceWith(face(me.username));
    this.#state.show(connection);
    this.room = null;
    const asked = askedRoom();
    this.go(rooms.has(asked) ? asked : this.#first());
  }

  /** Nobody is signed in any more: nothing of what was shown stays. */
  end() {
    this.room = null;
    this.#drafts = null;
    this.#visited = [];
    this.#known.forget();
    this.#quotes.forget();
    this.#log.show(null, "", null);
    this.#composer.show(null, "", null);
    byId("spoken").replaceChildren();
  }

  /** Open a room; null when there is none to open. */
  go(name) {
    this.#list.close();
    if (name !== null && name === this.room) {
      this.#composer.focus();
      return;
    }
    this.room = name;
    const room = this.#current;
    showRoom(name);
    const transcript = name ? this.#open(name) : null;
    this.#drawRooms();
    this.#head.draw(name, room, transcript, this.#me);
    this.#composer.show(name, room ? roomName(room, this.#me) : "", this.#drafts);
    this.#log.show(transcript, this.#me, room?.unread ? room.read : null);
    this.#tools.refresh();
    this.#head.typing(name ? this.#client.model.typing(name) : []);
    if (matchMedia("(pointer: fine)").matches) this.#composer.focus();
  }

  /** Go to another room: this one was left. */
  leave() {
    this.go(this.#first());
  }

  // News

  /** What the client says has changed. */
  changed(changes) {
    const { room } = this;
    if (changes.connection) this.#state.show(this.#client.model.connection);
    if (changes.roomList || changes.rooms) this.#drawRooms();
    if (changes.transcripts?.has(room)) this.#drawLog();
    if (changes.roomList || changes.rooms?.has(room) || changes.transcripts?.has(room)) this.#drawHead();
    if (changes.typing?.has(room)) this.#head.typing(this.#client.model.typing(room));
    if (changes.members) this.#known.forget(changes.members);
    if (changes.members?.has(room) && this.#members.isOpen) this.openMembers();
  }

  /** Somebody said something. */
  said({ message, room: name, mention, own, live }) {
    const room = this.#client.model?.rooms.get(name);
    if (own || !live || !room) return;
    if (name === this.room) spoken(`${message.sender}: ${summary(message.text, 300)}`);
    if (this.#client.isOwner) tell(room, message, mention || room.kind === "dm", () => this.go(name));
  }

  // Dialogs that also commands open

  openBrowse() {
    this.#browse.open();
  }

  openDirect() {
    this.#direct.open();
  }

  openHelp() {
    this.#settings.openHelp();
  }

  openAbout() {
    if (this.#current) this.#about.open(this.#current, this.#me);
  }

  async openMembers() {
    const room = this.#current;
    if (!room) return;
    this.#members.open(room.room, room.kind !== "dm" && !room.archived);
    this.#known.forget([room.room]); // who is there changes without a word
    this.#members.render(room.room, await this.#known.members(room.room));
  }

  openFound(words, messages, where) {
    this.#found.show(words, messages, where);
  }

  // Within

  get #me() {
    return this.#client.model.me.username;
  }

  get #current() {
    return this.room ? this.#client.model.rooms.get(this.room) : null;
  }

  get #rooms() {
    return inOrder(this.#client.model.rooms.list(), this.#me);
  }

  #first() {
    return firstOf(this.#rooms);
  }

  /** The room's transcript. Those of the rooms one was in last are kept, others let go of. */
  #open(name) {
    this.#visited = [name, ...this.#visited.filter((each) => each !== name)];
    for (const left of this.#visited.splice(MOST_OPEN)) this.#client.close(left);
    return this.#client.open(name);
  }

  #drawRooms() {
    const rooms = this.#rooms;
    this.#list.render(rooms, this.room, this.#me);
    badge(rooms, this.#current ? roomName(this.#current, this.#me) : "");
  }

  #drawLog() {
    this.#log.render();
    this.#tools.refresh();
    this.#state.gap(this.#client.model.transcript(this.room).stale);
  }

  #drawHead() {
    const transcript = this.room ? this.#client.model.transcript(this.room) : null;
    this.#head.draw(this.room, this.#current, transcript, this.#me);
  }

  async #older() {
    const { room } = this;
    if (Date.now() < this.#calmUntil) return;
    // A server that cannot give them is not asked again with every step of the wheel.
    if (!(await this.#does.done(this.#client.older(room)))) this.#calmUntil = Date.now() + CALM_MS;
  }

  /** The end of the room is in view: it is read, if somebody is looking. */
  #seen(atEnd) {
    const room = this.#current;
    if (!atEnd || !room?.unread || document.visibilityState !== "visible") return;
    const transcript = this.#client.model.transcript(room.room);
    if (transcript?.state === "ready" && !transcript.stale) this.#client.markRead(room.room).catch(() => {});
  }

  /** Somebody looks at the page again: what came meanwhile is new to them. */
  #looked() {
    const room = this.#current;
    if (document.visibilityState === "visible" && room?.unread) this.#log.mark(room.read);
    this.#seen(this.#log.atEnd);
  }

  /** Show one message, also one that is further up than what was loaded. */
  async #goTo(room, seq) {
    if (room !== this.room) this.go(room);
    const reaching = reach(this.#client, this.#client.model.transcript(room), seq);
    if (!(await this.#does.done(reaching)) || this.room !== room) return;
    if (!(await reaching) || !this.#log.jump(seq)) notice("That message is too far up, or not there any more.");
  }

  #lineDeeds() {
    const does = this.#does;
    return {
      may: ({ message }) => does.may(message),
      pick: ({ message }) => this.#picker.open((emoji) => does.react(message, emoji)),
      react: ({ message }, emoji) => does.toggle(message, emoji),
      reply: ({ message }) => this.#composer.reply(message),
      edit: ({ message }) => this.#composer.edit(message),
      remove: ({ message }) => does.remove(message),
      jump: (seq) => this.#goTo(this.room, seq),
      retry: ({ clientId }) => this.#client.retry(clientId),
      cancel: ({ clientId }) => this.#client.cancel(clientId),
      write: () => this.#composer.focus(),
    };
  }

  #writing() {
    return {
      say: (room, text, replyTo) => {
        const taken = this.#does.say(room, text, replyTo);
        if (taken) this.#log.toNewest({ allIsRead: true });
        return taken;
      },
      edit: (message, text) => this.#does.edit(message, text),
      editLast: () => {
        const { messages } = this.#client.model.transcript(this.room);
        const own = messages.findLast((message) => message.sender === this.#me && !message.deleted);
        if (own) this.#composer.edit(own);
      },
      typing: (room) => void this.#client.typing(room),
      up: () => this.#tools.focus(),
      problem: notice,
      command: (name, rest) => this.#does.command(name, rest),
    };
  }

  #wire() {
    const opens = {
      "open-switcher": () => this.#switcher.open(),
      "open-browse": () => this.openBrowse(),
      "open-direct": () => this.openDirect(),
      "open-members": () => this.openMembers(),
      "open-about": () => this.openAbout(),
      "open-picker": () => this.#picker.open((emoji) => this.#composer.insert(emoji)),
      "find-room": () => this.openBrowse(),
      join: () => this.#does.join(this.room),
    };
    for (const [id, open] of Object.entries(opens)) byId(id).addEventListener("click", open);
    document.addEventListener("visibilitychange", () => this.#drafts && this.#looked());
    window.addEventListener("popstate", () => this.#drafts && askedRoom() && this.go(askedRoom()));
    wireShortcuts({
      isOn: () => this.#drafts !== null,
      switcher: () => this.#switcher.open(),
      nextRoom: (step, onlyUnread) => this.go(neighbourOf(this.room, this.#rooms, step, onlyUnread)),
      toNewest: () => this.#log.toNewest(),
    });
  }
}
