// What all dialogs of the page have in common: they open over it, close by Esc, their button or a click beside them, and
// give the focus back to where it was (the browser does that for <dialog>).

import { byId } from "./dom.js";

/** The dialog with this id, ready to be opened. */
export function dialog(id) {
  const node = byId(id);
  node.addEventListener("click", (event) => {
    if (event.target === node && !isInside(event, node)) node.close();
    if (event.target.closest("[data-close]")) node.close();
  });
  return node;
}

/** Open it, if it is not open yet. */
export function open(node) {
  if (!node.open) node.showModal();
}

/** Show what is wrong in a form, or (null) that nothing is. */
export function problem(id, words) {
  const node = byId(id);
  node.textContent = words ?? "";
  node.hidden = !words;
}

/** Ask before something that cannot be undone. */
export function confirmed(title, text, yes) {
  const node = byId("confirm");
  byId("confirm-title").textContent = title;
  byId("confirm-text").textContent = text;
  byId("confirm-yes").textContent = yes;
  node.returnValue = "no";
  node.showModal();
  return new Promise((resolve) => {
    node.addEventListener("close", () => resolve(node.returnValue === "yes"), { once: true });
  });
}

/** `act` at most once in `wait` ms, with the last arguments: for fields that ask the server while one types. */
export function settled(act, wait = 200) {
  let timer;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(act, wait, ...given);
  };
}

function isInside({ clientX, clientY }, node) {
  const box = node.getBoundingClientRect();
  return clientX >= box.left && clientX <= box.right && clientY >= box.top && clientY <= box.bottom;
}
