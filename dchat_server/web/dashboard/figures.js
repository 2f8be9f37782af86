/** The big figures, and the same and more as a table for those who do not see charts. */

import { byId, element, write } from "./dom.js";
import { number } from "./stats.js";
import { count, DASH, milliseconds, span } from "./words.js";

const ROWS = [
  ["Messages a second", "messages_per_s", count],
  ["Deliveries a second", "deliveries_per_s", count],
  ["Streams", "streams", count],
  ["Sending, p50", "send_p50", milliseconds],
  ["Sending, p95", "send_p95", milliseconds],
  ["Sending, p99", "send_p99", milliseconds],
  ["Delivery, p50", "delivery_p50", milliseconds],
  ["Delivery, p95", "delivery_p95", milliseconds],
  ["Delivery, p99", "delivery_p99", milliseconds],
  ["Archive behind, messages", "lag_messages", count],
  ["Archive behind, time", "lag_s", span],
  ["Refused a second", "refused_per_s", count],
  ["Failed a second", "errors_per_s", count],
];
const COLUMNS = ["now", "low", "mean", "high"];

export class Figures {
  #tiles = new Map();
  #cells = [];

  constructor() {
    for (const node of document.querySelectorAll("[data-figure]")) {
      this.#tiles.set(node.dataset.figure, [node.querySelector("dd"), node.querySelector(".note")]);
    }
    const rows = ROWS.map(([name, series, words]) => {
      const cells = COLUMNS.map((column) => ({ series, words, column, node: element("td", {}, DASH) }));
      this.#cells.push(...cells);
      return element("tr", {}, element("th", { scope: "row" }, name), ...cells.map((cell) => cell.node));
    });
    byId("figure-rows").replaceChildren(...rows);
  }

  /** Write the present: `values` as stats.js samples them, `stats` as told, and a Memory. */
  draw(values, stats, memory) {
    const { cluster } = memory;
    const there = cluster.workers.filter((row) => ["serves", "drains"].includes(row.state)).length;
    const all = cluster.workers.length + memory.gone.length;
    const drains = cluster.workers.filter((row) => row.state === "drains").length;
    this.#tile("messages", count(values.messages_per_s), "");
    this.#tile("deliveries", count(values.deliveries_per_s), "");
    this.#tile("streams", count(values.streams), "");
    const notes = [all > there ? `of ${all}` : "", drains ? `${drains} draining` : ""];
    this.#tile("workers", String(there), notes.filter(Boolean).join(", "));
    this.#tile("send", milliseconds(values.send_p99), median(values.send_p50));
    this.#tile("delivery", milliseconds(values.delivery_p99), median(values.delivery_p50));
    this.#tile("lag", span(values.lag_s), values.lag_messages === null ? "" : `${count(values.lag_messages)} messages`);
    const refused = values.refused_per_s ? `${count(values.refused_per_s)} refused` : "";
    this.#tile("errors", count(values.errors_per_s), refused, values.errors_per_s > 0);
    write(byId("refusals"), refusals(stats.refused));
  }

  /** Write the table: the present, and what it was since `from`. */
  drawTable(ring, from) {
    const summaries = new Map(ROWS.map(([, series]) => [series, ring.summary(series, from)]));
    for (const { series, words, column, node } of this.#cells) write(node, words(summaries.get(series)[column]));
  }

  #tile(name, value, note, alarming = false) {
    const [valueNode, noteNode] = this.#tiles.get(name);
    write(valueNode, value);
    write(noteNode, note);
    valueNode.parentElement.classList.toggle("alarming", alarming);
  }
}

function median(value) {
  return value === null ? "" : `median ${milliseconds(value)}`;
}

/** What is refused and fails, by code, the most frequent first. */
function refusals(codes) {
  const rates = Object.entries(codes ?? {}).sort((one, other) => other[1] - one[1]).slice(0, 12);
  if (!rates.length) return "";
  const words = rates.map(([code, rate]) => `${code.replaceAll("_", " ")} ${count(number(rate))}`);
  return `Refused and failed a second: ${words.join(", ")}.`;
}
