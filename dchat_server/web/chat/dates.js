// Times as people here say them. Each takes the contract's ISO time, or milliseconds.

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });
const thisYear = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const otherYear = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "long", year: "numeric" });
const near = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });

const DAY_MS = 86_400_000;

export function timeOfDay(when) {
  return clock.format(new Date(when));
}

export function fullTime(when) {
  return full.format(new Date(when));
}

/** A key that two times of one day, here, have in common. */
export function dayKey(when) {
  const date = new Date(when);
  return `${date.getFullYear()}-${date.getMonth()}-${date.getDate()}`;
}

/** “Today”, “Yesterday”, “Monday, 3 March”, “3 March 2024”. */
export function dayName(when, now = Date.now()) {
  const date = new Date(when);
  if (dayKey(when) === dayKey(now)) return capital(near.format(0, "day"));
  if (dayKey(when) === dayKey(now - DAY_MS)) return capital(near.format(-1, "day"));
  return (date.getFullYear() === new Date(now).getFullYear() ? thisYear : otherYear).format(date);
}

function capital(text) {
  return text.charAt(0).toLocaleUpperCase() + text.slice(1);
}
