/** Numbers, times and names as people read them from three metres. Pure. */

export const DASH = "–";

/** 0, 0.4, 7, 812, 12.3k, 4.56M. */
export function count(value) {
  if (value === null) return DASH;
  const size = Math.abs(value);
  if (size >= 999_500) return `${fixed(value / 1e6, 3)}M`;
  if (size >= 9_995) return `${fixed(value / 1e3, 3)}k`;
  return size > 0 && size < 9.95 ? trimmed(value.toFixed(1)) : String(Math.round(value));
}

/** Milliseconds: 0.8 ms, 24 ms, 1.25 s, 12 s. */
export function milliseconds(value) {
  if (value === null) return DASH;
  if (value < 9.95) return `${trimmed(value.toFixed(1))} ms`;
  if (value < 999.5) return `${Math.round(value)} ms`;
  return `${fixed(value / 1000, 3)} s`;
}

/** A span in seconds: 0.4 s, 12 s, 3 min, 2 h 5 min, 4 d 3 h. */
export function span(value) {
  if (value === null) return DASH;
  if (value < 9.95) return `${trimmed(value.toFixed(1))} s`;
  if (value < 99.5) return `${Math.round(value)} s`;
  const minutes = Math.round(value / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return hours % 24 ? `${Math.floor(hours / 24)} d ${hours % 24} h` : `${Math.floor(hours / 24)} d`;
}

/** Whole seconds, for what counts up on the screen: "12 s", "3 min". */
export function ago(milliseconds) {
  return span(Math.max(0, Math.round(milliseconds / 1000)));
}

/** Bytes: 68 MB, 1.2 GB. */
export function bytes(value) {
  if (value === null) return DASH;
  return value >= 1e9 ? `${(value / 1e9).toFixed(1)} GB` : `${Math.round(value / 1e6)} MB`;
}

/** A name that is too long loses its middle: both ends tell workers apart. */
export function short(name, most) {
  if (name.length <= most) return name;
  const tail = Math.ceil((most - 1) / 2);
  return `${name.slice(0, most - 1 - tail)}…${name.slice(-tail)}`;
}

/** The time of day, by the clock of whoever looks. */
export function clock(milliseconds) {
  const at = new Date(milliseconds);
  return [at.getHours(), at.getMinutes(), at.getSeconds()].map((part) => String(part).padStart(2, "0")).join(":");
}

const KINDS = {
  redis: "Redis",
  "redis cluster": "Redis Cluster",
  sentinel: "Redis Sentinel",
  embedded: "Own Redis",
  zookeeper: "ZooKeeper",
  file: "File lock",
  dynamodb: "DynamoDB",
  sqlite: "SQLite",
  none: "No archive",
};

/** What a part is, by its kind; `otherwise` when nobody said, and as it was said when it is new to this page. */
export function kind(told, otherwise) {
  return told === "" ? otherwise : (KINDS[told] ?? told);
}

/** A state as the server says it, in words: `archive_unavailable` → "archive unavailable". */
export function state(told) {
  return told.replaceAll("_", " ");
}

/** How a worker is, as people say it. */
export const WORKER_STATES = {
  serves: "serves",
  drains: "draining",
  silent: "silent",
  missing: "not heard",
  unknown: "unknown",
  gone: "gone",
};

/** The same, and whether it leads. */
export function condition(row) {
  if (!row.leads) return WORKER_STATES[row.state];
  return row.state === "serves" ? "leads" : `leads, ${WORKER_STATES[row.state]}`;
}

function fixed(value, digits) {
  return trimmed(value.toPrecision(digits));
}

function trimmed(text) {
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}
