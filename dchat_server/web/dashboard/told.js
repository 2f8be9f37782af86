/** What stands above and beside the figures: alarms, what happened, and how fresh all of it is. */

import { byId, element, write } from "./dom.js";
import { ago, clock } from "./words.js";

/** Figures older than this are shown as such; they come once a second. */
export const STALE_MS = 3_500;
const MARKS = { "+": "came", "-": "went", "*": "elected", "!": "trouble", "=": "mended" };

export class Told {
  #alarms = "";
  #codes = new Set();
  #newest = null;

  /** Show alarms as alarms.js gives them. Their figures change every second, so only new ones are read out. */
  drawAlarms(alarms) {
    const said = JSON.stringify(alarms.map((alarm) => [alarm.code, alarm.text]));
    if (said === this.#alarms) return;
    this.#alarms = said;
    const list = byId("alarms");
    const shown = new Map([...list.children].map((node) => [node.dataset.code, node]));
    const nodes = alarms.map((alarm) => {
      const node = shown.get(alarm.code) ?? alarmNode(alarm);
      node.className = alarm.level;
      write(node.querySelector(".text"), alarm.text);
      return node;
    });
    list.replaceChildren(...nodes);
    byId("fine").hidden = alarms.length > 0;
    const fresh = alarms.filter((alarm) => !this.#codes.has(alarm.code)).map((alarm) => alarm.text);
    if (fresh.length) write(byId("announcement"), fresh.join(" "));
    else if (!alarms.length && this.#codes.size) write(byId("announcement"), "All is well again.");
    this.#codes = new Set(alarms.map((alarm) => alarm.code));
  }

  drawHappenings(told) {
    if (told[0] === this.#newest) return;
    this.#newest = told[0] ?? null;
    byId("happenings").replaceChildren(
      ...told.map(({ at, mark, text }) =>
        element(
          "li",
          { class: MARKS[mark] },
          element("time", { datetime: new Date(at).toISOString() }, clock(at)),
          element("span", { class: "mark", "aria-hidden": "true" }, mark),
          element("span", {}, text),
        ),
      ),
    );
  }

  /** Say whether the figures are of now. `since` in ms: how long nothing was heard. True when they are not. */
  drawFreshness(feed, now) {
    const quiet = feed.heardAt ? Math.max(0, now - feed.heardAt) : null;
    const stale = feed.phase !== "live" || quiet > STALE_MS;
    const heard = quiet === null ? "nothing heard yet" : `last heard ${ago(quiet)} ago`;
    const texts = {
      live: stale ? `No news: ${heard}` : "Live",
      connecting: quiet === null ? "Connecting …" : `Reconnecting …, ${heard}`,
      waiting: `Disconnected: ${heard}`,
    };
    const text = texts[feed.phase] ?? "Not connected";
    write(byId("freshness"), text);
    byId("freshness").className = stale ? "stale" : "live";
    document.body.classList.toggle("stale", stale && (quiet === null || quiet > STALE_MS));
    write(byId("why"), stale && feed.why ? `${feed.why}. ${next(feed, now)}` : "");
    return stale;
  }
}

function next(feed, now) {
  const when = feed.phase === "waiting" ? ` in ${ago(feed.againAt - now + 500)}` : "";
  return `This page tries again${when}.`;
}

function alarmNode(alarm) {
  return element(
    "li",
    { "data-code": alarm.code },
    element("span", { class: "sign", "aria-hidden": "true" }, alarm.level === "bad" ? "▲" : "△"),
    element("strong", { class: "text" }),
    element("span", { class: "todo" }, `${alarm.todo} `, guide(alarm.code)),
  );
}

function guide(code) {
  const href = `/web/dashboard/guide.html#${code}`;
  return element("a", { class: "hands", href, target: "_blank", rel: "noopener" }, "What to do");
}
