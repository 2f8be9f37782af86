// Keys that work anywhere in the chat.

/** `does`: `isOn()`, `switcher()`, `nextRoom(step, onlyUnread)`, `toNewest()`. */
export function wireShortcuts(does) {
  document.addEventListener("keydown", (event) => {
    if (!does.isOn() || event.defaultPrevented || event.isComposing || document.querySelector("dialog[open]")) return;
    const { key, altKey, shiftKey } = event;
    const withCommand = event.ctrlKey || event.metaKey;
    const step = { ArrowUp: -1, ArrowDown: 1 }[key];
    if (withCommand && !altKey && key.toLowerCase() === "k") does.switcher();
    else if (altKey && !withCommand && step) does.nextRoom(step, shiftKey);
    else if (key === "Escape") does.toNewest();
    else return;
    event.preventDefault();
  });
}
