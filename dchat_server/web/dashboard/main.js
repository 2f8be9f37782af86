/** The dashboard, put together: what the feed tells goes into ring and memory, and once a second onto the screen. */

import { Alarms } from "./alarms.js";
import { Charts } from "./charts.js";
import { byId, write } from "./dom.js";
import { Feed } from "./feed.js";
import { Figures } from "./figures.js";
import { Memory } from "./memory.js";
import { Picture } from "./picture.js";
import { Ring } from "./ring.js";
import { Screen } from "./screen.js";
import { show, Signing } from "./signing.js";
import { clusterOf, sample, SERIES } from "./stats.js";
import { STALE_MS, Told } from "./told.js";
import { clock } from "./words.js";
import { Workers } from "./workers.js";

const KEPT_S = 15 * 60;
const STREAM = "/v1/cluster/events";

const ring = new Ring(SERIES, KEPT_S);
const memory = new Memory();
const alarms = new Alarms();
const [figures, charts, picture] = [new Figures(), new Charts(ring), new Picture()];
const [workers, told] = [new Workers(), new Told()];
const feed = new Feed(STREAM, hear, changed);
const signing = new Signing(() => feed.start(), (why) => memory.note(Date.now(), "!", why));
new Screen(() => charts.recolour());

let latest = null;
let wrong = [];
let teller = "";
let span = 300;
let fresh = true;

function hear(event) {
  const now = Date.now();
  if (event.type === "hello") {
    if (teller && teller !== event.worker) memory.note(now, "=", `This page is served by ${event.worker} now.`);
    teller = String(event.worker);
    return;
  }
  if (event.type !== "stats") return;
  if (!fresh) memory.note(now, "=", "The figures are of now again.");
  fresh = true;
  latest = { stats: event, values: sample(event) };
  ring.push(now / 1000, latest.values);
  memory.see(clusterOf(event), now);
  wrong = alarms.look(memory, ring, now / 1000);
  document.title = wrong.length ? `(${wrong.length}) ${wrong[0].text} – D-Chat` : "D-Chat: all is well";
  draw();
}

function changed() {
  const { phase, why } = feed;
  if (phase === "signed_out") signing.ask(why);
  else if (phase === "forbidden") signing.refuse(why);
  else if (phase !== "stopped") show("wall");
  freshness();
}

/** Everything that the last `stats` changes. Nobody looks at a hidden page; it is drawn once somebody does. */
function draw() {
  if (!latest || document.hidden) return;
  const now = Date.now();
  figures.draw(latest.values, latest.stats, memory);
  figures.drawTable(ring, now / 1000 - span);
  charts.draw(now / 1000);
  picture.draw(memory, now);
  workers.draw(memory);
  told.drawAlarms(wrong);
  told.drawHappenings(memory.told);
  const { leader } = memory.cluster;
  write(byId("leader"), leader ? leader.worker : "nobody");
  write(byId("epoch"), leader ? leader.epoch : "–");
  freshness();
}

/** Once a second, whether anything was heard or not. */
function freshness() {
  const now = Date.now();
  const stale = told.drawFreshness(feed, now);
  write(byId("clock"), clock(now));
  write(byId("teller"), teller ? `told by ${teller}` : "");
  if (stale && latest && fresh && now - feed.heardAt > STALE_MS) {
    fresh = false;
    memory.note(now, "!", `${feed.why || "Nothing is heard"}: the figures stand still.`);
    told.drawHappenings(memory.told);
    document.title = "Disconnected – D-Chat";
  }
}

byId("span").addEventListener("change", (event) => {
  span = Number(event.target.value);
  charts.span = span;
  draw();
});

/** Somebody looks again, the machine woke, the network is back. */
function awake() {
  if (document.hidden) return;
  feed.wake();
  draw();
}
for (const name of ["visibilitychange", "resume"]) document.addEventListener(name, awake);
for (const name of ["online", "pageshow"]) window.addEventListener(name, awake);
setInterval(freshness, 1000);
feed.start();
