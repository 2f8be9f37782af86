/**
 * Elements made by calls. No text ever becomes HTML here: names, addresses and error texts come from elsewhere, and the
 * page's policy (Trusted Types) refuses it anyway. Nor does a `style` attribute, which the policy refuses as well.
 */

const SVG = "http://www.w3.org/2000/svg";

/** A new HTML element. `attributes`: null and false are left out, true is an empty one. Children: elements or texts. */
export function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** A new SVG element, in the same way. */
export function shape(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

/** The element with this id, which index.html has. */
export function byId(id) {
  return document.getElementById(id);
}

/** Write a text only where it is another one: what does not change costs no layout, and readers are not disturbed. */
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) node.setAttribute(name, "");
    else if (value !== null && value !== false && value !== undefined) node.setAttribute(name, String(value));
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}
