// Making nodes. Text goes in as text, always: there is no way to HTML here.

const SVG = "http://www.w3.org/2000/svg";

/** The element with this id. Throws when the page has none, which is a mistake of ours. */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found;
}

/** An element. `about`: properties (`className`, `onclick`, …), and attributes under their dashed names (`aria-label`,
 * `data-x`, `role`); null and undefined are left out. `children`: nodes, or strings as text. */
export function h(tag, about = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(about)) {
    if (value === null || value === undefined) continue;
    if (name.includes("-") || name === "role") node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** One of the page's drawings. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/** A button with a drawing, and its name for those who do not see it. */
export function iconButton(name, label, onclick, about = {}) {
  return h("button", { type: "button", className: "bare", title: label, onclick, ...about }, icon(name), unseen(label));
}

/** Text for screen readers only. */
export function unseen(text) {
  return h("span", { className: "unseen" }, text);
}
