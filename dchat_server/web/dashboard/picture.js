/**
 * The cluster as a picture: clients → balancer → workers → message log, election, archive. Every state is a word and a
 * form, not only a colour: the leader has a crown, one that drains a dashed frame, one that is gone is crossed out.
 *
 * It is built anew only when something of its form changes (a worker came, a state is another one, the window is
 * wider); from second to second only figures and the width of lines do.
 */

import { byId, shape, write } from "./dom.js";
import { across, alongLeft, alongRight, chosen, layout } from "./layout.js";
import { isFine, partName } from "./memory.js";
import { aside, boxed, cross, crown, edge, partNode } from "./nodes.js";
import { ago, condition, count, short, state } from "./words.js";

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
    const gone = memory.gone.map(({ row, worker, at }) => ({ ...row, worker, state: "gone", leads: false, at }));
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
      edges.append(...this.#edges(places, places.workers[at], row, cluster));
      nodes.append(this.#worker(places.workers[at], row, places.roomy, em));
    });
    if (more) nodes.append(boxed("more", places.workers[rows.length], em, [`and ${more} more`]));
    nodes.append(...Object.entries(cluster.parts).map(([name, told]) => partNode(name, places[name], told, em)));
    svg.replaceChildren(...svg.querySelectorAll(":scope > title, :scope > desc"), edges, nodes);
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

  /** The lines from where people come to a worker, and from there to what it stands on. */
  #edges(places, box, row, cluster) {
    const ways = places.upright ? upright(places, box) : level(places, box);
    const alive = ALIVE.has(row.state);
    const logIsFine = isFine("log", cluster.parts.log.state) !== false;
    const incoming = edge(row.state === "serves" ? "alive" : row.state, ways.incoming);
    const outgoing = edge(!alive ? row.state : logIsFine ? "alive" : "broken", ways.to("log"));
    if (alive) this.#figures.push((memory) => widen(memory, row.worker, incoming, outgoing));
    if (!row.leads) return [incoming, outgoing];
    const leading = ["election", "archive"].map((name) => {
      const fine = isFine(name, cluster.parts[name].state) !== false;
      return edge(fine ? "leading" : "leading broken", ways.to(name));
    });
    return [incoming, outgoing, ...leading];
  }

  #worker(box, row, roomy, em) {
    const indent = row.leads ? 1.5 * em : 0;
    const wordRoom = roomy ? 0 : 0.45 * em * (condition(row).length + 2);
    const name = short(row.worker, Math.floor((box.width - 1.6 * em - indent - wordRoom) / (0.58 * em)));
    const kinds = `worker ${row.state}${row.leads ? " leads" : ""}`;
    const node = boxed(kinds, box, em, roomy ? [name, ""] : [name], indent);
    const line = roomy ? node.lastChild : aside(box, em);
    const taken = roomy ? 0 : indent + name.length * 0.58 * em + 0.8 * em;
    const most = Math.floor((box.width - 1.4 * em - taken) / (0.43 * em));
    this.#figures.push((memory, now) => write(line, said(row, memory, now, most)));
    const where = row.address ? `, at ${row.address}` : "";
    node.append(line, shape("title", {}, `${row.worker}, ${condition(row)}${where}`));
    if (row.leads) node.append(crown(box, roomy, em));
    if (DEAD.has(row.state)) node.append(cross(box, true));
    return node;
  }

  #describe(rows, more, cluster) {
    const words = rows.map((row) => `${row.worker} ${condition(row)}`).join(", ") + (more ? `, and ${more} more` : "");
    const parts = Object.entries(cluster.parts).map(([name, told]) => `${partName(name, told)}: ${state(told.state)}`);
    const leader = cluster.leader ? `Leader: ${cluster.leader.worker}, epoch ${cluster.leader.epoch}.` : "No leader.";
    write(byId("picture-words"), `Workers: ${words || "none"}. ${leader} ${parts.join(". ")}.`);
  }
}

/** The paths of a worker's lines where people come from the left. */
function level(places, box) {
  return { incoming: across(places.balancer ?? places.clients, box), to: (name) => across(box, places[name]) };
}

/** And where they come from above: along a rail on either side, the leader's own a little further out. */
function upright(places, box) {
  const from = places.balancer ?? places.clients;
  const rail = places.workers[0].x / 2;
  const above = (from.y + from.height + places.workers[0].y) / 2;
  const last = places.workers.at(-1);
  const below = (last.y + last.height + places.log.y) / 2;
  const right = box.x + box.width;
  return {
    incoming: alongLeft(from, box, rail, above),
    to: (name) =>
      name === "log"
        ? alongRight(box, places.log, right + rail * 0.6, below)
        : alongRight(box, places[name], right + rail * 1.2, below + 5),
  };
}

/** What stands in a worker's box below or beside its name, in at most so many letters. */
function said(row, memory, now, most) {
  if (row.state === "gone") return `gone ${ago(now - row.at)} ago`;
  const present = memory.cluster.workers.find((each) => each.worker === row.worker) ?? row;
  const word = condition(row);
  if (row.state === "silent") return fitting([`${word} for ${ago(present.heard_ms)}`], word, most);
  if (!ALIVE.has(row.state)) return word;
  const [streams, messages] = [count(present.streams ?? null), count(present.messages_per_s ?? null)];
  const rate = ` · ${messages} msg/s`;
  const brief = `${word} · ${streams} str`;
  return fitting([`${word} · ${streams} streams${rate}`, brief + rate, brief], word, most);
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
