// One's own settings: the look, notifications, signing out. And the page of keys and commands.

import { byId, h } from "./dom.js";
import { COMMANDS } from "./commands.js";
import { dialog, open } from "./dialogs.js";
import { wireNotifications } from "./notify.js";
import { LINE_KEYS } from "./tools.js";
import { visibleLine } from "./visible.js";

const THEME = "dchat.theme";
const KEYS = [
  ["Ctrl K", "go to a room or a person"],
  ["Alt ↑ ↓", "the room above or below"],
  ["Alt Shift ↑ ↓", "… with something unread"],
  ["Enter", "send"],
  ["Shift Enter", "a new line"],
  ["↑", "edit one's last message"],
  ["Shift ↑", "to the messages"],
  ["Esc", "never mind; at the end of a room"],
];

export class Settings {
  #dialog = dialog("settings");
  #help = dialog("help");

  /** `signOut()`. */
  constructor(does) {
    byId("open-settings").addEventListener("click", () => open(this.#dialog));
    byId("open-help").addEventListener("click", () => {
      this.#dialog.close();
      this.openHelp();
    });
    byId("sign-out").addEventListener("click", () => {
      this.#dialog.close();
      does.signOut();
    });
    for (const choice of this.#dialog.querySelectorAll("[name=theme]")) {
      choice.checked = choice.value === (document.documentElement.dataset.theme ?? "system");
      choice.addEventListener("change", () => choice.checked && setTheme(choice.value));
    }
    wireNotifications();
    byId("help-keys").append(...pairs([...KEYS, ...LINE_KEYS.map(([key, does]) => [key, `on a message: ${does}`])]));
    byId("help-commands").append(...pairs(COMMANDS.map(({ name, takes, does }) => [`/${name} ${takes}`, does])));
  }

  /** Say whose settings they are. */
  show(user) {
    const name =
      user.display_name && user.display_name !== user.username
        ? `${visibleLine(user.display_name)} (${user.username})`
        : user.username;
    byId("settings-who").textContent = `Signed in as ${name}.`;
  }

  openHelp() {
    open(this.#help);
  }
}

function setTheme(theme) {
  const root = document.documentElement;
  try {
    if (theme === "system") localStorage.removeItem(THEME);
    else localStorage.setItem(THEME, theme);
  } catch {
    // It holds until the page is left, then.
  }
  if (theme === "system") delete root.dataset.theme;
  else root.dataset.theme = theme;
}

function pairs(rows) {
  return rows.flatMap(([key, does]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, does)]);
}
