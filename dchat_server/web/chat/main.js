// The chat page: signing in (entrance.js), and then the chat (desk.js). What is true and what goes over the network is
// ../lib's part; the modules here draw it, each one noun of the page:
//
//   log.js, line.js, place.js, window.js, tools.js   the messages, where the reader stands, what to do with one
//   markdown.js, visible.js, emoji.js                other people's text, made harmless and readable
//   composer.js, completion.js, commands.js, drafts.js   writing
//   roomlist.js, head.js, state.js                   the rooms, the open one, the connection
//   switcher.js, browse.js, people.js, about.js, found.js, picker.js, settings.js   the dialogs (dialogs.js)
//   deeds.js, known.js, quotes.js, reach.js          what is asked of the server beside
//   notify.js, notices.js, spoken.js                 what is told to whom

import { Client } from "../lib/client.js";
import { Desk } from "./desk.js";
import { byId } from "./dom.js";
import { Drafts } from "./drafts.js";
import { Entrance } from "./entrance.js";
import { fitKeyboard } from "./keyboard.js";
import { notice } from "./notices.js";

const client = new Client();
const entrance = new Entrance(client);
const desk = new Desk(client, { signOut });
let shown = "";

fitKeyboard();
client.on("change", (changes) => {
  if (changes.state) turn();
  else if (client.model) desk.changed(changes);
});
client.on("said", (said) => desk.said(said));
turn();
void client.start();

/** Show what belongs to the client's state. */
function turn() {
  const { state, problem } = client;
  byId("waiting-text").textContent = problem
    ? `No answer from the server: ${problem.message}. Trying again …`
    : "Connecting …";
  if (state === shown && state !== "signed-in") return;
  shown = state;
  byId("waiting").hidden = state !== "starting";
  byId("app").hidden = state !== "signed-in";
  if (state !== "signed-in") {
    for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
    desk.end();
  }
  if (state === "signed-out") entrance.show(problem ? "Your session has ended. Sign in again." : null);
  else entrance.hide();
  if (state === "signed-in") desk.begin();
}

async function signOut() {
  try {
    await client.signOut();
    Drafts.clear();
  } catch (error) {
    notice(`You are still signed in: ${error.message}`);
  }
}
