/** The table of workers: a row each, in the order of their names; those that went lately at the end. */

import { byId, element, write } from "./dom.js";
import { number } from "./stats.js";
import { bytes, condition, count, DASH, milliseconds, span } from "./words.js";

const COLUMNS = [
  ["streams", (row) => count(number(row.streams))],
  ["messages_per_s", (row) => count(number(row.messages_per_s))],
  ["deliveries_per_s", (row) => count(number(row.deliveries_per_s))],
  ["send_p99_ms", (row) => milliseconds(number(row.send_p99_ms))],
  ["errors_per_s", (row) => count(number(row.errors_per_s))],
  ["loop_lag_ms", (row) => milliseconds(number(row.loop_lag_ms))],
  ["memory_bytes", (row) => bytes(number(row.memory_bytes))],
  ["uptime_s", (row) => span(number(row.uptime_s))],
  ["version", (row) => row.version ?? DASH],
  ["address", (row) => row.address ?? DASH],
];

export class Workers {
  #rows = new Map();

  draw(memory) {
    const gone = memory.gone.map(({ worker, row }) => ({ worker, state: "gone", leads: false, address: row.address }));
    const rows = [...memory.cluster.workers, ...gone];
    const most = Math.max(1, ...rows.map((row) => number(row.streams) ?? 0));
    const nodes = rows.map((row) => this.#row(row, most));
    const body = byId("worker-rows");
    if (nodes.length !== body.children.length || nodes.some((node, at) => node !== body.children[at])) {
      body.replaceChildren(...nodes);
    }
    const present = new Set(rows.map((row) => row.worker));
    for (const worker of this.#rows.keys()) if (!present.has(worker)) this.#rows.delete(worker);
  }

  #row(row, most) {
    if (!this.#rows.has(row.worker)) this.#rows.set(row.worker, made(row.worker));
    const { node, state, bar, cells } = this.#rows.get(row.worker);
    node.className = row.leads ? `${row.state} leads` : row.state;
    write(state, condition(row));
    bar.style.width = `${(100 * (number(row.streams) ?? 0)) / most}%`;
    COLUMNS.forEach(([, words], at) => write(cells[at], words(row)));
    return node;
  }
}

function made(worker) {
  const [state, bar] = [element("td", { class: "state" }), element("span", { class: "bar", "aria-hidden": "true" })];
  const cells = COLUMNS.map(() => element("span"));
  const data = COLUMNS.map(([name], at) => element("td", { class: name }, cells[at], at === 0 ? bar : null));
  const node = element("tr", {}, element("th", { scope: "row", title: worker }, worker), state, ...data);
  return { node, state, bar, cells };
}
