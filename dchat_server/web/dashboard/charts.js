/**
 * The live charts, drawn by uPlot from a Ring. Lines of one chart differ in their dashes, not only in colour, and each
 * has its present value beside its name; what a chart shows is also in the table of figures, for those who do not see it.
 */

import uPlot from "../vendor/uplot/uPlot.esm.js";
import { byId, element, shape, write } from "./dom.js";
import { clock, count, milliseconds, span } from "./words.js";

const DASHES = { p50: [], p95: [7, 4], p99: [2, 3] };
const percentiles = (stem) =>
  Object.entries(DASHES).map(([label, dash]) => ({ series: `${stem}_${label}`, label, dash }));

/** Title, how values are written, and the lines: series of stats.js with a label, a dash pattern and a colour. */
export const CHARTS = [
  { title: "Messages a second", words: count, lines: [{ series: "messages_per_s", label: "sent" }] },
  { title: "Deliveries a second", words: count, lines: [{ series: "deliveries_per_s", label: "delivered" }] },
  { title: "Sending takes", words: milliseconds, lines: percentiles("send") },
  { title: "Delivery takes", words: milliseconds, lines: percentiles("delivery") },
  { title: "Archive is behind", words: span, lines: [{ series: "lag_s", label: "lag" }] },
  {
    title: "Refused and failed",
    words: count,
    lines: [
      { series: "refused_per_s", label: "refused", colour: 2, dash: DASHES.p95 },
      { series: "errors_per_s", label: "failed", colour: 3 },
    ],
  },
];

export class Charts {
  #ring;
  #charts;
  #span = 300;

  constructor(ring) {
    this.#ring = ring;
    this.#charts = CHARTS.map((about, at) => new Chart(about, at));
    byId("charts").replaceChildren(...this.#charts.map((chart) => chart.node));
  }

  /** How many seconds are shown. */
  set span(seconds) {
    this.#span = seconds;
  }

  /** Draw the time up to `now` (seconds). */
  draw(now) {
    for (const chart of this.#charts) chart.draw(this.#ring, now - this.#span, now);
  }

  /** Take the colours anew, after they changed. */
  recolour() {
    for (const chart of this.#charts) chart.rebuild();
  }
}

class Chart {
  #about;
  #plot = null;
  #place;
  #values;
  #title;
  #range = [0, 1];
  #data;
  #pointed = false;

  constructor(about, at) {
    this.#about = about;
    this.#data = [[], ...about.lines.map(() => [])];
    this.#values = about.lines.map(() => element("strong"));
    this.#place = element("div", { class: "plot", "aria-hidden": "true" });
    this.#title = element("span", { class: "title" }, about.title);
    const caption = element("figcaption", { id: `chart-${at}` }, this.#title);
    const several = about.lines.length > 1;
    const lines = about.lines.map((line, index) => {
      const label = several ? [swatch(line), ` ${line.label} `] : [];
      return element("span", { class: "line" }, ...label, this.#values[index]);
    });
    caption.append(element("span", { class: "lines" }, ...lines));
    const named = { "aria-labelledby": `chart-${at}`, "aria-describedby": "figures-hint" };
    this.node = element("figure", named, caption, this.#place);
    new ResizeObserver(() => this.#fit()).observe(this.#place);
  }

  draw(ring, from, to) {
    this.#range = [from, to];
    this.#data = ring.columns(this.#about.lines.map((line) => line.series), from - 1);
    this.#plot?.setData(this.#data);
    if (!this.#pointed) this.#tell(this.#data[0].length - 1);
  }

  rebuild() {
    this.#plot?.destroy();
    this.#plot = null;
    this.#fit();
  }

  /** Write each line's value of one sample. */
  #tell(index) {
    this.#values.forEach((value, at) => write(value, this.#about.words(this.#data[at + 1][index] ?? null)));
  }

  #fit() {
    const size = { width: this.#place.clientWidth, height: this.#place.clientHeight };
    if (size.width < 40 || size.height < 40) return;
    if (this.#plot) this.#plot.setSize(size);
    else this.#plot = new uPlot(this.#options(size), this.#data, this.#place);
  }

  #options(size) {
    const style = getComputedStyle(this.#place);
    const ink = (name) => style.getPropertyValue(name).trim();
    const em = parseFloat(style.fontSize);
    const font = `${em}px ${style.fontFamily}`;
    const times = (_, splits) => splits.map((time) => clock(time * 1000).slice(0, 5));
    const values = (_, splits) => splits.map(this.#about.words);
    const axis = { stroke: ink("--quiet"), font, grid: { stroke: ink("--line"), width: 1 }, ticks: { show: false } };
    return {
      ...size,
      legend: { show: false },
      padding: [em * 0.6, em * 0.4, 0, 0],
      cursor: {
        y: false,
        drag: { x: false, y: false },
        points: { size: 7 },
        sync: { key: "dashboard", setSeries: false },
      },
      scales: {
        x: { time: true, range: () => this.#range },
        y: { range: (_, low, high) => [0, Math.max(high ?? 0, 1) * 1.15] },
      },
      axes: [
        { ...axis, size: em * 1.8, space: em * 3.2, values: times },
        { ...axis, size: em * 4.4, space: em * 1.9, gap: em * 0.3, values },
      ],
      series: [
        {},
        ...this.#about.lines.map((line, at) => ({
          stroke: ink(`--ink-${line.colour ?? at + 1}`),
          width: 2,
          dash: line.dash ?? [],
          fill: this.#about.lines.length === 1 ? ink("--under") : undefined,
          points: { show: false },
        })),
      ],
      hooks: { setCursor: [(plot) => this.#point(plot.cursor.idx)] },
    };
  }

  #point(index) {
    this.#pointed = index !== null && index !== undefined;
    write(this.#title, this.#about.title + (this.#pointed ? `, ${clock(this.#data[0][index] * 1000)}` : ""));
    this.#tell(this.#pointed ? index : this.#data[0].length - 1);
  }
}

/** A short piece of the line, as a legend. */
function swatch(line) {
  const d = "M0 4H20";
  const dash = line.dash?.length ? line.dash.join(" ") : null;
  const colour = line.colour ?? Object.keys(DASHES).indexOf(line.label) + 1;
  const path = shape("path", { class: `ink-${colour}`, d, "stroke-dasharray": dash });
  return shape("svg", { class: "swatch", viewBox: "0 0 20 8", width: 20, height: 8, "aria-hidden": "true" }, path);
}
