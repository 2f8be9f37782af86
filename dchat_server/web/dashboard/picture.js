/**
 * The cluster as a picture: clients → balancer → workers → message log, election, archive. Every state is a word and a
 * form, not only a colour: the leader has a crown, one that drains a dashed frame, one that is gone is crossed out.
 *
 * It is built anew only when something of its form changes (a worker came, a state is another one, the window is wider);
 * from second to second only figures and the width of lines do.
 */

import { byId, shape, write } from "./dom.js";
import { across, alongLeft, alongRight, chosen, layout } from "./layout.js";
import { isFine, partName } from "./memory.js";
import { ago, condition, count, short, state } from "./words.js";

const CROWN = "M0 4 4 8 8 1 12 8 16 4 14.5 13H1.5Z";
/** Below this there is nothing to be seen. */
const LEAST_WIDTH = 200;
const ALIVE = new Set(["serves", "drains"]);
const DEAD = new Set(["gone", "missing", "silent"]);

export class Picture {
  #svg = byId("picture");
  #form = "";
  #figures = [];
  #last = null;

  constructor() {
    new ResizeObserver(() => this.#last && this.draw(...this.#last)).observe(this.#svg.parentElement);
  }

  /** Draw what a Memory has seen; `now` in ms. */
  draw(memory, now) {
    this.#last = [memory, now];
    const frame = this.#svg.parentElement;
    if (frame.clientWidth < LEAST_WIDTH) return; // nobody sees it
    const em = parseFloat(getComputedStyle(this.#svg).fontSize);
    const room = frame.clientHeight;
    const gone = memory.gone.map((each) => ({ ...each.row, worker: each.worker, state: "gone", leads: false, at: each.at }));
    const free = getComputedStyle(this.#svg).position !== "absolute"; // else it fills the place it is given
    const { rows, more } = chosen([...memory.cluster.workers, ...gone], free ? Infinity : room / em);
    const { parts, leader } = memory.cluster;
    const forms = rows.map((row) => [row.worker, row.state, row.leads]);
    const form = JSON.stringify([frame.clientWidth, room, em, forms, more, parts, leader]);
    if (form !== this.#form) {
      this.#form = form;
      this.#figures = [];
      const places = layout(rows.length + (more ? 1 : 0), frame.clientWidth, room, em, rows.length > 1);
      this.#build(places, rows, more, memory.cluster, em);
      this.#describe(rows, more, memory.cluster);
    }
    for (const figure of this.#figures) figure(memory, now);
  }

  #build(places, rows, more, cluster, em) {
    const svg = this.#svg;
    svg.setAttribute("viewBox", `0 0 ${places.width} ${places.height}`);
    svg.setAttribute("height", places.height); // where the style sheet gives none: there it takes what it needs
    const [edges, nodes] = [shape("g"), shape("g", { class: places.upright ? "upright" : null })];
    this.#outside(nodes, places, em);
    if (places.balancer) edges.append(edge("alive", across(places.clients, places.balancer)));
    rows.forEach((row, at) => {
      this.#edges(edges, places, places.workers[at], row, cluster, at);
      nodes.append(this.#worker(places.workers[at], row, cluster, places.roomy, em));
    });
    if (more) nodes.append(boxed("more", places.workers[rows.length], em, [`and ${more} more`]));
    for (const name of ["log", "election", "archive"]) nodes.append(partNode(name, places[name], cluster.parts[name], em));
    svg.replaceChildren(...svg.querySelectorAll("title, desc"), edges, nodes);
  }

  #outside(nodes, places, em) {
    const clients = boxed("outside", places.clients, em, ["Clients", ""]);
    this.#figures.push(({ cluster }) => {
      const streams = cluster.workers.reduce((sum, row) => sum + (ALIVE.has(row.state) ? (row.streams ?? 0) : 0), 0);
      write(clients.lastChild, `${count(streams)} ${streams === 1 ? "stream" : "streams"}`);
    });
    nodes.append(clients);
    if (places.balancer) nodes.append(boxed("outside balancer", places.balancer, em, ["Balancer", "any worker"]));
  }

  #edges(edges, places, box, row, cluster, at) {
    const dead = !ALIVE.has(row.state);
    const fresh = dead || row.state === "drains" ? row.state : "alive";
    const from = places.balancer ?? places.clients;
    const rail = places.workers[0].x / 2;
    const incoming = edge(fresh, places.upright ? alongLeft(from, box, rail, (from.y + from.height + places.workers[0].y) / 2) : across(from, box));
    const logKind = dead ? row.state : isFine("log", cluster.parts.log.state) === false ? "broken" : "alive";
    const right = box.x + box.width;
    const level = places.log.y - (places.log.y - (places.workers.at(-1).y + places.workers.at(-1).height)) / 2;
    const outgoing = edge(logKind, places.upright ? alongRight(box, places.log, right + rail * 0.6, level) : across(box, places.log));
    edges.append(incoming, outgoing);
    if (!dead) this.#figures.push((memory) => widen(memory, row.worker, incoming, outgoing));
    if (!row.leads) return;
    for (const name of ["election", "archive"]) {
      const fine = isFine(name, cluster.parts[name].state) !== false;
      const path = places.upright ? alongRight(box, places[name], right + rail * 1.2, level + 5) : across(box, places[name]);
      edges.append(edge(fine ? "leading" : "leading broken", path));
    }
  }

  #worker(box, row, cluster, roomy, em) {
    const indent = row.leads ? 1.5 * em : 0;
    const wordRoom = roomy ? 0 : 0.45 * em * (condition(row).length + 2);
    const name = short(row.worker, Math.floor((box.width - 1.6 * em - indent - wordRoom) / (0.58 * em)));
    const node = boxed(`worker ${row.state}${row.leads ? " leads" : ""}`, box, em, roomy ? [name, ""] : [name], indent);
    if (row.leads) {
      const size = (1.05 * em) / 16;
      const y = box.y + (roomy ? 0.72 * em : box.height / 2 - 7 * size);
      node.append(shape("path", { class: "crown", d: CROWN, transform: `translate(${box.x + 0.7 * em} ${y}) scale(${size})` }));
    }
    if (DEAD.has(row.state)) {
      const { x, y, width, height } = box;
      node.append(shape("path", { class: "cross", d: `M${x} ${y}L${x + width} ${y + height}M${x + width} ${y}L${x} ${y + height}` }));
    }
    node.append(shape("title", {}, `${row.worker}, ${condition(row)}${row.address ? `, at ${row.address}` : ""}`));
    const texts = node.querySelectorAll("text");
    const line = roomy ? texts[1] : shape("text", { class: "aside", x: box.x + box.width - 0.7 * em, y: box.y + box.height / 2 + 0.35 * em, "text-anchor": "end" });
    if (!roomy) node.append(line);
    const taken = roomy ? 0 : indent + name.length * 0.58 * em + 0.8 * em;
    const most = Math.floor((box.width - 1.4 * em - taken) / (0.43 * em));
    this.#figures.push((memory, now) => write(line, said(row, memory, now, most)));
    return node;
  }

  #describe(rows, more, cluster) {
    const words = rows.map((row) => `${row.worker} ${condition(row)}`).join(", ") + (more ? `, and ${more} more` : "");
    const parts = Object.entries(cluster.parts).map(([name, told]) => `${partName(name, told)}: ${state(told.state)}`);
    const leader = cluster.leader ? `Leader: ${cluster.leader.worker}, epoch ${cluster.leader.epoch}.` : "No leader.";
    write(byId("picture-words"), `Workers: ${words || "none"}. ${leader} ${parts.join(". ")}.`);
  }
}

/** What stands in a worker's box below or beside its name, in at most so many letters. */
function said(row, memory, now, most) {
  if (row.state === "gone") return `gone ${ago(now - row.at)} ago`;
  const present = memory.cluster.workers.find((each) => each.worker === row.worker) ?? row;
  const word = condition(row);
  if (row.state === "silent") return fitting([`${word} for ${ago(present.heard_ms)}`], word, most);
  if (!ALIVE.has(row.state)) return word;
  const [streams, messages] = [count(present.streams ?? null), count(present.messages_per_s ?? null)];
  const forms = [`${word} · ${streams} streams · ${messages} msg/s`, `${word} · ${streams} str · ${messages} msg/s`, `${word} · ${streams} str`];
  return fitting(forms, word, most);
}

/** The first of the forms that has at most so many letters. */
function fitting(forms, otherwise, most) {
  return forms.find((form) => form.length <= most) ?? otherwise;
}

/** Lines are as wide as what goes through them, within reason. */
function widen(memory, worker, incoming, outgoing) {
  const row = memory.cluster.workers.find((each) => each.worker === worker);
  const width = (rate) => (1.5 + Math.min(4.5, Math.log10(1 + (rate ?? 0)))).toFixed(1);
  incoming.setAttribute("stroke-width", width(row?.deliveries_per_s));
  outgoing.setAttribute("stroke-width", width(row?.messages_per_s));
}

function edge(kinds, path) {
  return shape("path", { class: `edge ${kinds}`, d: path, "stroke-width": 1.5 });
}

function partNode(name, box, told, em) {
  const fine = isFine(name, told.state);
  const word = fine === null ? "unknown" : fine ? "fine" : "broken";
  const wide = Math.floor(box.width / em / 0.55);
  const lines = [short(partName(name, told), wide), short(state(told.state).replace(/^archive /, ""), Math.floor(wide * 1.15))];
  const node = boxed(`part ${name} ${word}`, box, em, lines);
  if (word === "broken") node.append(shape("path", { class: "cross", d: `M${box.x} ${box.y + box.height}L${box.x + box.width} ${box.y}` }));
  return node;
}

/** A box with one or two lines in it; `indent` leaves room for a sign before the first. */
function boxed(kinds, box, em, lines, indent = 0) {
  const corner = kinds.startsWith("part") ? 1.2 * em : 0.5 * em;
  const inset = kinds.startsWith("worker") ? 0.8 * em : box.width / 2;
  const anchor = kinds.startsWith("worker") ? "start" : "middle";
  const middle = box.y + box.height / 2;
  const rows = lines.length === 1 ? [middle + 0.35 * em] : [middle - 0.25 * em, middle + 1.05 * em];
  return shape(
    "g",
    { class: `node ${kinds}` },
    shape("rect", { x: box.x, y: box.y, width: box.width, height: box.height, rx: corner }),
    ...lines.map((line, at) =>
      shape("text", { class: at ? "aside" : "name", x: box.x + inset + (at ? 0 : indent), y: rows[at], "text-anchor": anchor }, line),
    ),
  );
}
