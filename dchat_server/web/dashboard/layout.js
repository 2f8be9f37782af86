/**
 * Where each thing of the cluster's picture lies, in pixels. Pure, so that the drawing has nothing to decide. From left
 * to right where there is room, from top to bottom on a phone.
 */

/** More workers than this are drawn on one line each. */
const ROOMY = 5;
/** And of more than this, the last box says how many more there are; of fewer where the picture is low. */
const MOST = 11;
const FEWEST = 4;
const LOWEST = 2.1;

/** Troubled ones first when not all fit; what is drawn keeps the order of names, so that nothing jumps. */
const URGENCY = ["gone", "missing", "silent", "drains", "unknown", "serves"];

/**
 * The workers to draw: `{rows, more}`; rows as given, gone ones included, sorted by name; `more` counts the others.
 * `height` in letters; a picture that may be as high as it likes has Infinity.
 */
export function chosen(rows, height = Infinity) {
  const most = Math.max(FEWEST, Math.min(MOST, Math.floor(height / LOWEST)));
  const sorted = [...rows].sort((one, other) => (one.worker < other.worker ? -1 : 1));
  if (sorted.length <= most) return { rows: sorted, more: 0 };
  const rank = (row) => (row.leads ? -1 : URGENCY.indexOf(row.state));
  const urgent = [...sorted].sort((one, other) => rank(one) - rank(other));
  const kept = new Set(urgent.slice(0, most - 1));
  return { rows: sorted.filter((row) => kept.has(row)), more: sorted.length - kept.size };
}

/**
 * Boxes `{x, y, width, height}` for `count` workers (the one for "more" included) and everything around them, on
 * `width` pixels with letters of `em`; `height` is what the picture should fill.
 * `balanced`: there is a balancer to draw.
 */
export function layout(count, width, height, em, balanced) {
  return width < 34 * em ? upright(count, width, em, balanced) : wide(count, width, height, em, balanced);
}

function wide(count, width, height, em, balanced) {
  const roomy = count <= ROOMY;
  const least = 1.8 * em;
  const total = Math.max(height, 15 * em);
  const fair = (total - least) / Math.max(1, count);
  const boxHeight = Math.min((roomy ? 3.4 : 1.9) * em, fair * 0.82);
  const step = Math.min(boxHeight + 2.6 * em, fair);
  const side = 6.6 * em;
  const parts = 8.4 * em;
  const gap = Math.min(5 * em, 0.062 * width);
  const left = balanced ? 2 * side + 2 * gap : side + gap;
  const workerX = left;
  const workerWidth = Math.max(10 * em, width - left - gap - parts);
  const top = (total - ((count - 1) * step + boxHeight)) / 2;
  const middle = total / 2;
  const node = 3.6 * em;
  const within = (y) => Math.min(total - node - 0.6 * em, Math.max(0.6 * em, y));
  const part = (share) => ({ x: width - parts - 1, y: within(share * total - node / 2), width: parts, height: node });
  const worker = (_, at) => ({ x: workerX, y: top + at * step, width: workerWidth, height: boxHeight });
  return {
    upright: false,
    roomy,
    width,
    height: total,
    clients: { x: 1, y: middle - node / 2, width: side, height: node },
    balancer: balanced ? { x: side + gap, y: middle - node / 2, width: side, height: node } : null,
    workers: Array.from({ length: count }, worker),
    log: part(0.14),
    election: part(0.5),
    archive: part(0.86),
  };
}

function upright(count, width, em, balanced) {
  const roomy = count <= ROOMY;
  const [boxHeight, between] = roomy ? [3.4 * em, 0.8 * em] : [1.9 * em, 0.5 * em];
  const node = 3.4 * em;
  const rail = 1.8 * em;
  const side = balanced ? (width - 2.5 * em) / 2 : width - 2;
  const top = node + 2.2 * em;
  const bottom = top + count * boxHeight + Math.max(0, count - 1) * between + 2.2 * em;
  const third = (width - 1.6 * em) / 3;
  const part = (at) => ({ x: at * (third + 0.8 * em) + 0.5, y: bottom, width: third - 1, height: node });
  return {
    upright: true,
    roomy,
    width,
    height: bottom + node + 2,
    clients: { x: 1, y: 1, width: side, height: node },
    balancer: balanced ? { x: width - side - 1, y: 1, width: side, height: node } : null,
    workers: Array.from({ length: count }, (_, at) => ({
      x: rail,
      y: top + at * (boxHeight + between),
      width: width - 2 * rail,
      height: boxHeight,
    })),
    log: part(0),
    election: part(1),
    archive: part(2),
  };
}

/** The path of a line from a box to one beside it, leaving and entering level. */
export function across(from, to) {
  const [x1, y1] = [from.x + from.width, from.y + from.height / 2];
  const [x2, y2] = [to.x, to.y + to.height / 2];
  const bend = (x2 - x1) / 2;
  return `M${at(x1, y1)}C${at(x1 + bend, y1)} ${at(x2 - bend, y2)} ${at(x2, y2)}`;
}

/** The path from the bottom of a box above, level at `level`, along a rail at `x`, into the left of a box below. */
export function alongLeft(from, to, x, level) {
  const start = at(from.x + from.width / 2, from.y + from.height);
  return `M${start}V${r(level)}H${r(x)}V${r(to.y + to.height / 2)}H${r(to.x)}`;
}

/** The path from the right of a box above, along a rail at `x`, level at `level`, into the top of a box below. */
export function alongRight(from, to, x, level) {
  const y = from.y + from.height / 2;
  return `M${at(from.x + from.width, y)}H${r(x)}V${r(level)}H${r(to.x + to.width / 2)}V${r(to.y)}`;
}

function at(x, y) {
  return `${r(x)} ${r(y)}`;
}

function r(number) {
  return Math.round(number * 10) / 10;
}
