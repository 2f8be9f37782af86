// The chat page: signing in, and then the chat.

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
