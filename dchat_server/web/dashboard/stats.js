/**
 * What the server tells once a second, as the page uses it. Pure. A server of another version may leave things out or
 * say them as null: both are "not known" here, which is null, and shown as a dash.
 */

/** A string, or a number; so that digits within strings are left alone. */
const TOKEN = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/**
 * `JSON.parse`, but whole numbers that JavaScript cannot hold exactly come as the string of their digits. The leader's
 * epoch may be one. Raises SyntaxError.
 */
export function parse(text) {
  const exact = text.replace(TOKEN, (token) => (/^-?\d{16,}$/.test(token) && !isExact(token) ? `"${token}"` : token));
  return JSON.parse(exact);
}

function isExact(digits) {
  return Number.isSafeInteger(Number(digits));
}

/** A finite number, or null. */
export function number(value) {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

const PERCENTILES = ["p50", "p95", "p99"];
/** Names of the series that charts and figures are made of. */
export const SERIES = [
  ...["messages_per_s", "deliveries_per_s", "streams", "errors_per_s", "refused_per_s", "lag_messages", "lag_s"],
  ...PERCENTILES.map((name) => `send_${name}`),
  ...PERCENTILES.map((name) => `delivery_${name}`),
];

/** One sample of each series. */
export function sample(stats) {
  const values = {
    messages_per_s: number(stats.messages_per_s),
    deliveries_per_s: number(stats.deliveries_per_s),
    streams: number(stats.streams),
    errors_per_s: number(stats.errors_per_s),
    refused_per_s: number(stats.refused_per_s),
    lag_messages: number(stats.lag?.messages),
    lag_s: number(stats.lag?.seconds),
  };
  for (const name of PERCENTILES) {
    values[`send_${name}`] = number(stats.latency?.send_ms?.[name]);
    values[`delivery_${name}`] = number(stats.latency?.delivery_ms?.[name]);
  }
  return values;
}

/** Milliseconds after which a worker that says nothing is called silent; it speaks once a second. */
export const SILENT_MS = 3500;

/**
 * How a worker is, in a word: `serves`, `drains`, `silent` (not heard lately), `missing` (the election knows it, and
 * nobody hears it), `unknown` (nobody can say). One that is not in the list any more is `gone`, see memory.js.
 */
export function stateOf(row) {
  if (row.alive === false) return "missing";
  if (row.alive !== true) return "unknown";
  if (number(row.heard_ms) > SILENT_MS) return "silent";
  return row.draining === true ? "drains" : "serves";
}

const MOST_WORKERS = 500;

/**
 * The cluster at one moment: `{leader: {worker, epoch}|null, workers: [{…row, state, leads}], parts: {log, election,
 * archive}, errors: [{part, detail}], boardKnown}`. A part is `{kind, state}`; a kind that is not told is "".
 */
export function clusterOf(stats) {
  const leader = stats.leader ? { worker: String(stats.leader.worker), epoch: String(stats.leader.epoch) } : null;
  const rows = Array.isArray(stats.workers) ? stats.workers.slice(0, MOST_WORKERS) : [];
  const errors = Array.isArray(stats.errors) ? stats.errors.slice(0, 20) : [];
  return {
    leader,
    workers: rows.map((row) => {
      const worker = String(row.worker);
      return { ...row, worker, state: stateOf(row), leads: leader?.worker === worker };
    }),
    parts: {
      log: part(stats.parts?.log, "", stats.log),
      election: part(stats.parts?.election, stats.election === "local" ? "file" : "", stats.election),
      archive: part(stats.parts?.archive, "", stats.archive),
    },
    errors: errors.map((error) => ({ part: String(error.part), detail: String(error.detail) })),
    boardKnown: !errors.some((error) => error.part === "board"),
  };
}

function part(told, kind, state) {
  return { kind: String(told?.kind ?? kind), state: String(told?.state ?? state ?? "unknown") };
}
