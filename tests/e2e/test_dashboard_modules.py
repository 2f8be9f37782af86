"""The dashboard's pure modules, in a real browser: what it keeps, how it reads, what it remembers and cries out."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page

from dchat_server.http.pages import files
from tests.harness.browser import Browser
from tests.one_worker import one_worker

pytestmark = pytest.mark.asyncio(loop_scope="session")

LARGEST = 2**63 - 1


@pytest_asyncio.fixture(loop_scope="session")
async def modules(browser: Browser) -> AsyncIterator[Page]:
    """A page of the dashboard's origin with nothing on it that runs."""
    async with one_worker() as here:
        yield await browser.open(f"http://127.0.0.1:{here.port}/web/dashboard/guide.html")


async def js(page: Page, modules: str, body: str) -> Any:
    """What `body` returns, with the named modules' exports at hand."""
    imports = "\n".join(f"Object.assign(all, await import('/web/dashboard/{name}.js'));" for name in modules.split())
    names = "Ring parse sample clusterOf SERIES Memory Alarms TO_DO chosen layout count milliseconds span short"
    scope = ", ".join(name for name in names.split() if re.search(rf"\b{name}\b", body))
    return await page.evaluate(f"async () => {{ const all = {{}}; {imports} const {{ {scope} }} = all; {body} }}")


async def test_a_ring_keeps_the_newest_samples_in_order_and_no_more(modules: Page) -> None:
    found = await js(
        modules,
        "ring",
        """
        const kept = new Ring(["a", "b"], 4);
        for (let at = 1; at <= 9; at += 1) kept.push(at, { a: at * 10 });
        const columns = [kept.columns(["a", "b"], 0), kept.columns(["a"], 8)];
        return [kept.size, ...columns, kept.summary("a", 8), kept.summary("b", 0)];
        """,
    )
    nothing = {"now": None, "low": None, "high": None, "mean": None}
    assert found == [
        4,
        [[6, 7, 8, 9], [60, 70, 80, 90], [None, None, None, None]],
        [[8, 9], [80, 90]],
        {"now": 90, "low": 80, "high": 90, "mean": 85},
        nothing,
    ]


async def test_seconds_without_a_sample_are_a_hole_and_clocks_may_jump(modules: Page) -> None:
    found = await js(
        modules,
        "ring",
        """
        const kept = new Ring(["a"], 10);
        kept.push(100, { a: 1 }); kept.push(101, { a: 2 }); kept.push(150, { a: 3 });
        const hole = kept.columns(["a"], 0);
        kept.push(149, { a: 4 });
        const little = kept.size;
        kept.push(20, { a: 5 });
        return [hole, little, kept.columns(["a"], 0)];
        """,
    )
    assert found == [[[100, 101, 102, 150], [1, 2, None, 3]], 4, [[20], [5]]]


async def test_whole_numbers_beyond_what_javascript_holds_keep_every_digit(modules: Page) -> None:
    text = json.dumps(
        {"epoch": LARGEST, "small": 7, "exact": 2**53 - 1, "text": f'"epoch": {LARGEST} \\', "x": -1.5e30}
    )
    found = await modules.evaluate(
        "async (text) => (await import('/web/dashboard/stats.js')).parse(text)",
        text,
    )
    assert found == {
        "epoch": str(LARGEST),
        "small": 7,
        "exact": 2**53 - 1,
        "text": f'"epoch": {LARGEST} \\',
        "x": -1.5e30,
    }


async def test_what_a_server_leaves_out_is_not_known_and_never_nought(modules: Page) -> None:
    old = {"messages_per_s": 1.5, "workers": [{"worker": "a", "alive": True}], "election": "local", "log": "ok"}
    found = await js(
        modules,
        "stats",
        f"""
        const told = {json.dumps(old)};
        const {{ leader, workers, parts, boardKnown }} = clusterOf(told);
        return [sample(told), leader, workers[0].state, parts, boardKnown, sample({{}}).messages_per_s];
        """,
    )
    values, leader, state, parts, known, missing = found
    assert {name for name, value in values.items() if value is not None} == {"messages_per_s"}
    assert (leader, state, known, missing) == (None, "serves", True, None)
    assert parts == {
        "log": {"kind": "", "state": "ok"},
        "election": {"kind": "file", "state": "local"},
        "archive": {"kind": "", "state": "unknown"},
    }


async def test_figures_are_short_and_say_when_nothing_is_known(modules: Page) -> None:
    found = await js(
        modules,
        "words",
        """
        return [
          [null, 0, 0.04, 0.4, 9.96, 812, 9994, 9999, 12345, 999499, 999500, 4560000].map(count),
          [null, 0, 0.82, 24.4, 999.4, 999.6, 12000].map(milliseconds),
          [null, 0, 0.44, 12, 99.4, 119, 7260, 200000].map(span),
          ["worker-1", "ip-10-0-0-71.eu-central-1-1234-2f0a"].map((name) => short(name, 15)),
        ];
        """,
    )
    assert found == [
        ["–", "0", "0", "0.4", "10", "812", "9994", "10k", "12.3k", "999k", "1M", "4.56M"],
        ["–", "0 ms", "0.8 ms", "24 ms", "999 ms", "1 s", "12 s"],
        ["–", "0 s", "0.4 s", "12 s", "99 s", "2 min", "2 h 1 min", "2 d 7 h"],
        ["worker-1", "ip-10-0…34-2f0a"],
    ]


MEMORY = """
const row = (worker, more) => ({ worker, alive: true, draining: false, ...more });
const stats = (workers, leader, more) => clusterOf({
  workers, leader: leader && { worker: leader, epoch: 7 }, election: "connected", log: "ok", archive: "ok", ...more,
});
const memory = new Memory();
const told = () => memory.told.map((each) => each.text);
"""


async def test_comings_and_goings_are_read_off_the_difference_of_two_presents(modules: Page) -> None:
    found = await js(
        modules,
        "stats memory",
        MEMORY
        + """
        memory.see(stats([row("a"), row("b")], "a"), 1000);
        memory.see(stats([row("a"), row("b", { draining: true }), row("c", { address: "10.0.0.3:5000" })], "a"), 2000);
        memory.see(stats([row("a", { heard_ms: 5000 }), row("c")], null), 3000);
        memory.see(stats([row("c")], "c", { archive: "archive_unavailable" }), 4000);
        memory.see(stats([row("c")], "c"), 5000);
        const gone = memory.gone.map((each) => [each.worker, each.drained]);
        memory.see(stats([row("c")], "c"), 500000);
        return [told(), gone, memory.gone.length];
        """,
    )
    assert found == [
        [
            "Archive: ok again.",
            "Archive: archive unavailable.",
            "c leads now, epoch 7.",
            "Worker a is gone.",
            "No leader: a leads no more.",
            "Worker b left after draining.",
            "Worker a: silent.",
            "Worker c joined at 10.0.0.3:5000.",
            "Worker b drains: it takes no more streams.",
            "Watching 2 workers; a leads, epoch 7.",
        ],
        [["a", False], ["b", True]],
        0,
    ]


async def test_nobody_is_called_gone_while_nobody_can_say_who_is_there(modules: Page) -> None:
    found = await js(
        modules,
        "stats memory",
        MEMORY
        + """
        memory.see(stats([row("a"), row("b")], "a"), 1000);
        memory.see(stats([row("a")], "a", { errors: [{ part: "board", detail: "late" }] }), 2000);
        const during = memory.cluster.workers.map((each) => [each.worker, each.state]);
        memory.see(stats([row("a"), row("b")], "a"), 3000);
        return [during, told(), memory.gone];
        """,
    )
    assert found == [[["a", "serves"], ["b", "unknown"]], ["Watching 2 workers; a leads, epoch 7."], []]


ALARMS = """
const alarms = new Alarms();
const ring = new Ring(SERIES, 900);
const look = (now, cluster, values = {}) => {
  memory.see(cluster, now * 1000);
  ring.push(now, values);
  return alarms.look(memory, ring, now).map((alarm) => alarm.code);
};
"""


async def test_alarms_wait_for_what_passes_and_stay_for_what_flickers(modules: Page) -> None:
    found = await js(
        modules,
        "stats memory alarms ring",
        MEMORY
        + ALARMS
        + """
        const fine = () => stats([row("a")], "a");
        const out = { fine: look(100, fine()) };
        out.election = look(101, stats([row("a")], null));
        out.leaderless = look(107, stats([row("a")], null));
        out.erring = look(108, fine(), { errors_per_s: 2 });
        out.flicker = look(112, fine(), { errors_per_s: 0 });
        out.fenced = [120, 124, 132].map((now) => look(now, stats([row("a")], "a", { archive: "fenced" })));
        out.over = look(133, fine(), { errors_per_s: 0 });
        out.log = look(134, stats([row("a")], "a", { log: "unavailable", errors: [{ part: "log", detail: "None." }] }));
        out.slow = [135, 140, 145].map((now) => look(now, fine(), { send_p99: 3000 }));
        out.busy = [146, 151, 156].map((now) => look(now, stats([row("a", { loop_lag_ms: 900 })], "a")));
        for (let now = 160; now < 300; now += 1) out.lag = look(now, fine(), { lag_s: now - 160 });
        out.far = look(301, fine(), { lag_s: 700 });
        out.dead = look(302, stats([row("b")], "b"));
        out.later = look(400, stats([row("b")], "b"));
        return out;
        """,
    )
    assert found == {
        "fine": [],
        "election": [],
        "leaderless": ["no_leader"],
        "erring": ["errors"],
        "flicker": ["errors"],
        "over": [],
        "log": ["log_unavailable"],
        "fenced": [["errors"], [], ["archive"]],
        "slow": [[], [], ["slow"]],
        "busy": [[], [], ["held_up"]],
        "lag": ["lag_grows"],
        "far": ["lag"],
        "dead": ["worker_gone"],
        "later": [],
    }


async def test_every_alarm_has_its_place_in_the_guide_and_the_guide_no_other(modules: Page) -> None:
    codes = await js(modules, "alarms", "return Object.keys(TO_DO);")
    headings = re.findall(r'<h2 id="([a-z_]+)"', files()["dashboard/guide.html"].read_text("utf-8"))
    assert sorted(codes) == sorted(headings)


async def test_the_picture_has_a_place_for_everybody_and_leaves_out_the_least_interesting(modules: Page) -> None:
    found = await js(
        modules,
        "layout",
        """
        const row = (_, at) => ({ worker: `w${10 + at}`, state: at === 39 ? "gone" : "serves", leads: at === 38 });
        const { rows: kept, more } = chosen(Array.from({ length: 40 }, row));
        const out = [];
        const beside = (one, other) => one.x + one.width <= other.x || one.y + one.height <= other.y;
        const apart = (one, other) => one === other || beside(one, other) || beside(other, one);
        for (const width of [320, 390, 700, 1400]) {
          for (let count = 1; count <= 12; count += 1) {
            const places = layout(count, width, 340, 15, count > 1);
            const { clients, balancer, workers, log, election, archive } = places;
            const boxes = [clients, balancer, ...workers, log, election, archive].filter(Boolean);
            const inside = ({ x, y, width: wide, height }) =>
              x >= 0 && y >= 0 && x + wide <= width && y + height <= places.height;
            const fine = boxes.every((one) => inside(one) && boxes.every((other) => apart(one, other)));
            if (!fine) out.push([width, count]);
          }
        }
        return [kept.map((row) => row.worker), more, out];
        """,
    )
    names, more, wrong = found
    assert {"w48", "w49"} <= set(names)
    assert (names, more, wrong) == (sorted(names), 40 - len(names), [])
