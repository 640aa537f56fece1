// Every screen in a real browser: accessible in both themes, usable by
// keyboard, without script, small, in forced colours; live. The demo is
// running at $PAGEBOX_VIEWER.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { connect, createServer } from "node:net";
import test, { after, before } from "node:test";

import { launch } from "./chromium.mjs";

const viewer = process.env.PAGEBOX_VIEWER;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

let browser;
let files;

before(async () => {
  browser = await launch();
  const answer = await (await fetch(`${viewer}/files.json`)).json();
  files = Object.fromEntries(answer.files.map(({ file }) => [file.name, `${viewer}/f/${file.id}`]));
});

after(() => browser?.close());

/** A screen, and every error that the browser reports of it. */
async function open(address, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  // The axe script is put in by the debugger; the policy stays as it is.
  const page = await context.newPage();
  page.errors = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) {
      page.errors.push(message.text());
    }
  });
  page.on("pageerror", (error) => page.errors.push(String(error)));
  await page.goto(address);
  return page;
}

/** Those that have words of their own for format 0. */
function ofFormat0() {
  const zero = files["format 0.pages"];
  const screens = ["overview", "map", "metadata", "directory", "page?n=0", "page?n=3", "diff?n=1", "health", "live"];
  return {
    ...Object.fromEntries(screens.map((screen) => [`${screen} of format 0`, `${zero}/${screen}`])),
    "unfinished commit of format 0": `${files["format 0 unfinished commit.pages"]}/metadata`,
    "torn page 0": `${files["format 0 torn page 0.pages"]}/metadata`,
    "stale side": `${files["format 0 stale side.pages"]}/metadata`,
    "truncated, of format 0": `${files["format 0 truncated.pages"]}/health`,
  };
}

/** The simulator, and an image that it made. */
function ofTraces() {
  const [one, zero] = [files["commit.trace"], files["format 0 commit.trace"]];
  return {
    crash: `${one}/crash`,
    "crash with a draw": `${zero}/crash?at=9&keep=random&seed=3`,
    "crash without a sync": `${one}/crash?at=7&without=5&keep=none`,
    "crash that damages": `${zero}/crash?at=11&without=9&keep=none&but=0.0.1`,
    "map of an image": `${one}~5~none/map`,
    "health of an image": `${zero}~11~w9~none~0.0.1/health`,
  };
}

function screens() {
  const sound = files["sound.pages"];
  const rotten = files["rotten page.pages"];
  return {
    start: `${viewer}/`,
    about: `${viewer}/about`,
    "nothing here": `${viewer}/nothing`,
    overview: `${sound}/overview`,
    map: `${sound}/map`,
    metadata: `${sound}/metadata`,
    directory: `${sound}/directory`,
    "page 0": `${sound}/page?n=0`,
    "a root slot": `${sound}/page?n=1`,
    "a leaf": `${sound}/page?n=3`,
    diff: `${files["unfinished commit.pages"]}/diff`,
    health: `${sound}/health`,
    live: `${sound}/live`,
    time: `${files["live.pages"]}/time`,
    "time without a past": `${sound}/time`,
    "what changed": `${files["live.pages"]}/changes?before=monday&after=tuesday`,
    "map by age": `${files["live.pages"]}/map?colour=age&snapshot=tuesday`,
    "overview as of a snapshot": `${files["live.pages"]}/overview?snapshot=monday`,
    "directory as of a snapshot": `${files["live.pages"]}/directory?snapshot=monday`,
    "page as of a snapshot": `${files["live.pages"]}/page?n=80&snapshot=monday`,
    "health as of a snapshot": `${files["live.pages"]}/health?snapshot=tuesday`,
    "health of the rotten file": `${rotten}/health`,
    "map of the rotten file": `${rotten}/map`,
    "directory of the rotten file": `${rotten}/directory?only=problems`,
    "unfinished commit": `${files["unfinished commit.pages"]}/metadata`,
    "torn root": `${files["torn root.pages"]}/metadata`,
    "finished commit": `${files["finished commit.pages"]}/metadata`,
    "rotten header": `${files["rotten header.pages"]}/health`,
    "rotten node": `${files["rotten node.pages"]}/directory`,
    truncated: `${files["truncated.pages"]}/health`,
    ...ofFormat0(),
    ...ofTraces(),
    "not a page file": `${files["not a page file.pages"]}/overview`,
  };
}

/** Waits until something is so. Asked from here: the page forbids eval. */
async function until(what, condition) {
  const end = Date.now() + 10_000;
  while (!(await condition())) {
    assert.ok(Date.now() < end, `${what} within 10 seconds`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function settled(page) {
  await page.waitForLoadState("load");
  const map = page.locator("page-map");
  if (await map.count()) {
    await page.waitForSelector("page-map[data-ready]");
  }
}

for (const colorScheme of ["light", "dark"]) {
  test(`axe finds nothing on any screen, ${colorScheme}`, async () => {
    const found = [];
    for (const [name, address] of Object.entries(screens())) {
      const page = await open(address, { colorScheme });
      await settled(page);
      await page.evaluate(axe);
      const result = await page.evaluate(() => globalThis.axe.run(document, {
        runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
      }));
      found.push(...result.violations.map(
        ({ id, nodes }) => `${name}: ${id}: ${nodes.map((node) => node.html).slice(0, 3)}`,
      ));
      const expected = name === "nothing here" ? /404/ : null;
      const errors = page.errors.filter((error) => !expected?.test(error));
      assert.deepEqual(errors, [], `${name}: no error, no violation of the policy`);
      await page.context().close();
    }
    assert.deepEqual(found, []);
  });
}

test("nothing is wider than the screen at 320 pixels", async () => {
  for (const [name, address] of Object.entries(screens())) {
    const page = await open(address, { viewport: { width: 320, height: 640 } });
    await settled(page);
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(width <= 320, `${name} is ${width} pixels wide`);
    await page.context().close();
  }
});

test("every screen says the same without script", async () => {
  for (const [name, address] of Object.entries(screens())) {
    const page = await open(address, { javaScriptEnabled: false });
    assert.equal(await page.locator("h1").count(), 1, name);
    const dead = page.locator("[data-theme-switch]");
    assert.equal(await dead.isVisible(), false, `${name}: a switch that does nothing`);
    await page.context().close();
  }
  const page = await open(`${files["rotten page.pages"]}/map`, { javaScriptEnabled: false });
  assert.equal(await page.locator("svg.drawn .cross").count(), 1, "the bad page is marked");
  await page.locator("details.runs summary").click();
  assert.ok(await page.locator("details.runs tbody tr").count() > 3);
  await page.locator("ul.chips a").first().click();
  assert.match(await page.locator("h1").innerText(), /Page \d+/);
  await page.context().close();
});

test("forced colours keep what colour says", async () => {
  const page = await open(`${files["rotten page.pages"]}/health`, { forcedColors: "active" });
  const mark = await page.locator(".finding.bad .mark").first()
    .evaluate((element) => getComputedStyle(element, "::before").content);
  assert.match(mark, /✕/);
  await page.goto(`${files["sound.pages"]}/metadata`);
  assert.match(await page.locator("th.counts strong").first().innerText(), /counts$/);
  await page.context().close();
});

test("motion is off for who asks for that", async () => {
  const page = await open(`${files["live.pages"]}/overview`, { reducedMotion: "reduce" });
  const animations = await page.evaluate(() => document.getAnimations().length);
  assert.equal(animations, 0);
  await page.context().close();
});

test("paper gets the content and none of the controls", async () => {
  const page = await open(`${files["unfinished commit.pages"]}/metadata`, { colorScheme: "dark" });
  await page.emulateMedia({ media: "print" });
  assert.equal(await page.locator(".tabs, live-status, .skip").filter({ visible: true }).count(), 0);
  assert.ok(await page.locator(".steps li").first().isVisible());
  const ground = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  assert.equal(ground, "rgb(250, 250, 248)", "paper is light");
  await page.evaluate(() => dispatchEvent(new Event("beforeprint")));
  const said = await page.locator(".paper").innerText();
  assert.match(said, /^\/.*\/unfinished commit\.pages · unfinished commit · generation 3 · 20\d\d-/);
  const lefts = await page.evaluate(() => ["main h1", ".bar .brand"].map(
    (name) => document.querySelector(name).getBoundingClientRect().left,
  ));
  assert.equal(lefts[0], lefts[1], "the header is as far left as the content");
  await page.context().close();
});

test("keys step through the snapshots and back to now, on the same screen", async () => {
  const live = files["live.pages"];
  const { changes } = await (await fetch(`${live}/changes.json?before=monday&after=tuesday`)).json();
  const { id, before: { page: place } } = changes.find((line) => line.change === "changed" && line.before.page);
  const page = await open(`${live}/time`);
  const press = async (key, address) => {
    await Promise.all([page.waitForURL(`${live}${address}`), page.keyboard.press(key)]);
  };
  const says = () => page.locator("aside.past strong").innerText();
  await press("[", "/overview?snapshot=tuesday");
  await page.getByRole("link", { name: "Map", exact: true }).click();
  await settled(page);
  assert.equal(await says(), "As of snapshot tuesday");
  const drawn = () => page.locator("page-map .readout").innerText();
  await page.goto(`${live}/map?snapshot=tuesday&sel=${place}`);
  await settled(page);
  await until("details", async () => (await drawn()).includes("other"));
  await press("[", `/map?snapshot=monday&sel=${place}`);
  await settled(page);
  await until("details", async () => (await drawn()).includes(`of protected page ${id}`));
  // Moving about on the map keeps the snapshot.
  await page.locator("page-map .stage").focus();
  await page.keyboard.press("ArrowRight");
  assert.match(page.url(), /snapshot=monday/);
  await Promise.all([page.waitForURL(/\/page\?/), page.keyboard.press("Enter")]);
  assert.equal(page.url(), `${live}/page?snapshot=monday&n=${place + 1}`);
  assert.equal(await page.locator("live-status").count(), 0);
  await press("]", `/page?snapshot=tuesday&n=${place + 1}`);
  await press("]", `/page?n=${place + 1}`);
  assert.equal(await page.locator("aside.past").count(), 0);
  await press("9", "/time");
  await page.getByLabel("What changed from").selectOption("monday");
  await page.locator("select[name=after]").selectOption("tuesday");
  await page.getByRole("button", { name: "Compare" }).click();
  await until("the changes", async () => await page.locator("table.changes tbody tr").count() > 0);
  assert.deepEqual(page.errors, []);
  await page.context().close();
});

test("colours by age draw other tiles, and a choice of age is kept", async () => {
  const page = await open(`${files["live.pages"]}/map?snapshot=tuesday`);
  await settled(page);
  const picture = () => page.locator("page-map canvas").evaluate((canvas) => canvas.toDataURL());
  const byKind = await picture();
  await page.getByRole("link", { name: "age", exact: true }).click();
  await settled(page);
  assert.notEqual(await picture(), byKind);
  const byAge = await picture();
  await page.getByLabel("Show only").selectOption("under-10-commits-old");
  assert.notEqual(await picture(), byAge);
  assert.match(page.url(), /colour=age.*kind=under-10-commits-old/);
  assert.match(page.url(), /snapshot=tuesday/);
  assert.deepEqual(page.errors, []);
  await page.context().close();
});

test("whatever the keyboard reaches shows that it is there", async () => {
  for (const name of ["start", "overview", "map of the rotten file", "directory", "page 0"]) {
    const page = await open(screens()[name]);
    await settled(page);
    let seen = 0;
    for (let steps = 0; steps < 40; steps += 1) {
      await page.keyboard.press("Tab");
      const focus = await page.evaluate(() => {
        const { activeElement: element } = document;
        const style = getComputedStyle(element);
        const box = element.getBoundingClientRect();
        return {
          element: element.outerHTML.slice(0, 80),
          isBody: element === document.body,
          outline: style.outlineStyle === "none" ? 0 : parseFloat(style.outlineWidth),
          area: box.width * box.height,
        };
      });
      if (focus.isBody) {
        break;
      }
      seen += 1;
      assert.ok(focus.outline >= 2, `${name}: ${focus.element}`);
      assert.ok(focus.area > 1, `${name}: ${focus.element}`);
    }
    assert.ok(seen > 5, name);
    await page.context().close();
  }
});

test("the map is walked, zoomed and opened by keyboard alone", async () => {
  const page = await open(`${files["rotten page.pages"]}/map?sel=0`);
  await settled(page);
  let steps = 0;
  while (!(await page.evaluate(() => document.activeElement.classList.contains("stage")))) {
    await page.keyboard.press("Tab");
    steps += 1;
    assert.ok(steps < 60, "the map can be reached");
  }
  const readout = page.locator(".readout");
  const says = async (pattern) => {
    await until(`the readout says ${pattern}`, async () => pattern.test(await readout.innerText()));
  };
  await page.keyboard.press("Home");
  await says(/page 0\b/);
  await says(/header/);
  await page.keyboard.press("ArrowRight");
  await says(/page 1\b/);
  await page.keyboard.press("End");
  const last = await readout.innerText();
  await page.keyboard.press("PageUp");
  await page.keyboard.press("n");
  await says(/protected page \d+: the checksum/);
  const address = new URL(page.url());
  assert.ok(address.searchParams.get("sel"), "the view is in the address");
  await page.keyboard.press("+");
  await page.keyboard.press("-");
  await page.keyboard.press("g");
  await page.keyboard.type("0x2");
  await page.keyboard.press("Enter");
  await says(/page 2\b/);
  await page.keyboard.press("g");
  await page.keyboard.type("99999");
  await page.keyboard.press("Enter");
  const said = await page.locator(".go input").evaluate((input) => input.validationMessage);
  assert.match(said, /from 0 to 443/);
  await page.keyboard.press("Escape");
  assert.equal(await page.locator(".go").isVisible(), false);
  await page.keyboard.press("n");
  await page.keyboard.press("Enter");
  await page.waitForURL(/page\?n=\d+/);
  assert.equal(await page.locator(".finding.bad").count(), 1);
  assert.notEqual(last, "");
  await page.context().close();
});

// A finger cannot point without touching: it left the map with the first touch.
test("a finger points with the first touch and opens with the second", async () => {
  const page = await open(`${files["sound.pages"]}/map?z=1&sel=0`, { hasTouch: true });
  await settled(page);
  const place = { position: { x: 300, y: 60 } };
  await page.locator("page-map canvas").tap(place);
  const readout = page.locator(".readout");
  await until("the map points there", async () => !/page 0\b/.test(await readout.innerText()));
  const there = /page (\d+)/.exec(await readout.innerText())[1];
  assert.match(page.url(), /\/map\?/);
  await page.locator("page-map canvas").tap(place);
  await page.waitForURL(new RegExp(`page\\?n=${there}$`));
  await page.context().close();
});

test("the address brings a view of the map back", async () => {
  const page = await open(`${files["sound.pages"]}/map`);
  await settled(page);
  await page.locator(".stage").focus();
  for (const key of ["+", "ArrowRight", "ArrowRight"]) {
    await page.keyboard.press(key);
  }
  const said = await page.locator(".readout span").first().innerText();
  // It is written a little later than the map is drawn.
  const selected = () => new URL(page.url()).searchParams.get("sel");
  await until("the address names the page", () => said === `page ${selected()}`);
  const address = page.url();
  const again = await open(address);
  await settled(again);
  assert.equal(await again.locator(".readout span").first().innerText(), said);
  await again.context().close();
  await page.context().close();
});

test("a field and its bytes light up each other", async () => {
  const page = await open(`${files["sound.pages"]}/page?n=0`);
  await page.locator('tr[data-f="0"]').hover();
  const lit = await page.locator(".hex .lit").first().innerText();
  assert.match(lit, /^[0-9a-f]{2}( [0-9a-f]{2}){3}$/);
  await page.locator('.hex span[data-f="3"]').first().hover();
  assert.ok(await page.locator('tr[data-f="3"].lit').count());
  await page.context().close();
});

test("a commit is seen on the screen without loading it again", async () => {
  const page = await open(`${files["live.pages"]}/overview`);
  const status = page.locator("live-status");
  await status.getByText(/live · generation \d+/).waitFor();
  const generation = async () => Number((await status.innerText()).match(/generation (\d+)/)[1]);
  const before = await generation();
  await until("a newer generation", async () => (await generation()) > before);
  const drawn = () => page.locator("dl.facts dd").first().innerText();
  const shown = await drawn();
  await until("the screen is drawn anew", async () => (await drawn()) !== shown);

  await status.getByRole("button", { name: "Pause" }).click();
  await status.getByText(/paused/).waitFor();
  const paused = await drawn();
  await page.waitForTimeout(1800);
  assert.equal(await drawn(), paused);
  assert.deepEqual(page.errors, []);
  await page.context().close();
});

test("the map outlines what changes", async () => {
  const page = await open(`${files["live.pages"]}/map`);
  await settled(page);
  const picture = () => page.locator("canvas").evaluate((canvas) => canvas.toDataURL());
  const first = await picture();
  await until("the map is drawn anew", async () => (await picture()) !== first);
  await page.context().close();
});

/** The viewer behind a wire that can be cut. */
async function wire() {
  const target = new URL(viewer);
  const sockets = new Set();
  const server = createServer((near) => {
    const far = connect(Number(target.port), target.hostname);
    for (const [one, other] of [[near, far], [far, near]]) {
      sockets.add(one);
      one.pipe(other);
      one.on("error", () => other.destroy());
      one.on("close", () => sockets.delete(one));
    }
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return {
    address: `http://127.0.0.1:${server.address().port}`,
    cut() {
      server.close();
      for (const socket of sockets) {
        socket.destroy();
      }
    },
  };
}

test("a connection that drops shows a stale badge", async () => {
  const { address, cut } = await wire();
  const page = await open(files["live.pages"].replace(viewer, address) + "/overview");
  await page.locator("live-status").getByText(/live · generation/).waitFor();
  cut();
  await page.locator("live-status.stale").getByText(/stale/).waitFor();
  await page.context().close();
});

// Each window had a stream of its own, and a browser has six connections: the
// seventh window never loaded.
test("as many windows as one likes are live", async () => {
  const context = await browser.newContext();
  const windows = [];
  // What a trace shows is an image, which nobody writes to.
  const written = Object.keys(files).filter((name) => name.endsWith(".pages"));
  for (const address of [...written.map((name) => files[name]), ...Array(4).fill(files["live.pages"])]) {
    const page = await context.newPage();
    await page.goto(`${address}/overview`, { timeout: 20_000 });
    windows.push(page);
  }
  assert.ok(windows.length > 10);
  for (const page of windows) {
    await page.locator("live-status").getByText(/^live/).waitFor();
  }
  // All of them go on, and there is room for a screen still.
  const last = windows.at(-1).locator("live-status");
  const before = await last.innerText();
  await until("the last window follows", async () => (await last.innerText()) !== before);
  await windows[0].goto(`${viewer}/about`, { timeout: 20_000 });
  await context.close();
});

test("a window is live where windows share nothing", async () => {
  const context = await browser.newContext();
  await context.addInitScript(() => delete globalThis.SharedWorker);
  const page = await context.newPage();
  const streams = [];
  page.on("request", (request) => request.url().endsWith("/events") && streams.push(request.url()));
  await page.goto(`${files["live.pages"]}/overview`);
  const status = page.locator("live-status");
  await status.getByText(/live · generation/).waitFor();
  const before = await status.innerText();
  await until("a newer generation", async () => (await status.innerText()) !== before);
  assert.deepEqual(streams, [], "it asks, and holds no connection");
  await context.close();
});

// A click on a table took the focus into it, and the screen stood still under
// a header that went on.
test("a screen goes on with somebody in it, and makes up for what it held back", async () => {
  const page = await open(`${files["live.pages"]}/overview`);
  const status = page.locator("live-status");
  await status.getByText(/live · generation/).waitFor();
  const drawn = () => page.locator("#commit + dl dd").first().innerText();
  await page.locator(".scroll").first().click();
  const before = await drawn();
  await until("the screen is drawn anew", async () => (await drawn()) !== before);
  const region = page.locator(".scroll").first();
  assert.ok(await region.evaluate((element) => element === document.activeElement), "the focus stays");

  // What is selected is not taken away, and the header says so.
  await page.evaluate(() => getSelection().selectAllChildren(document.querySelector("main h1")));
  await status.getByText(/shown: generation \d+, while you are in it/).waitFor();
  const held = await drawn();
  await page.waitForTimeout(1500);
  assert.equal(await drawn(), held);
  await page.evaluate(() => getSelection().removeAllRanges());
  await until("it is made up for", async () => (await drawn()) !== held);
  await page.context().close();
});

// A busy file is answered with an error now and then: its page replaced the
// screen, and on the map all problems vanished.
test("an answer that is an error leaves the screen as it was", async () => {
  const busy = '<!doctype html><main id="main"><h1>Busy</h1></main>';
  const page = await open(`${files["live.pages"]}/metadata`);
  await page.locator("live-status").getByText(/live · generation/).waitFor();
  let refused = 0;
  const refuse = (route) => {
    if (route.request().resourceType() !== "fetch") {
      return route.continue();
    }
    refused += 1;
    return route.fulfill({ status: 503, contentType: "text/html", body: busy });
  };
  await page.route("**/metadata", refuse);
  await until("it is refused twice", async () => refused > 1);
  assert.equal(await page.locator("h1").innerText(), "Roots");
  await page.unroute("**/metadata", refuse);
  const drawn = () => page.locator(".sides tbody").first().innerText();
  const before = await drawn();
  await until("it is drawn when it can be", async () => (await drawn()) !== before);

  await page.goto(`${files["live.pages"]}/map`);
  await settled(page);
  await page.evaluate(() => document.querySelector("page-map").setAttribute("flagged", "7"));
  refused = 0;
  await page.route("**/map", refuse);
  await page.route("**/tiles.json*", refuse);
  await until("it is refused twice", async () => refused > 1);
  assert.equal(await page.locator("page-map").getAttribute("flagged"), "7");
  assert.ok(Number(await page.locator("page-map").getAttribute("data-ready")) > 100);
  await page.context().close();
});

// Every state asked for every tile, and an overtaken answer was thrown away.
test("the map asks for what changed, one question at a time", async () => {
  const page = await open(`${files["live.pages"]}/map`);
  await settled(page);
  const counts = [];
  const unanswered = new Set();
  let most = 0;
  const isTiles = (request) => request.url().includes("tiles.json");
  page.on("request", (request) => {
    if (isTiles(request)) {
      counts.push(Number(new URL(request.url()).searchParams.get("count")));
      unanswered.add(request);
      most = Math.max(most, unanswered.size);
    }
  });
  page.on("requestfinished", (request) => unanswered.delete(request));
  page.on("requestfailed", (request) => unanswered.delete(request));
  const all = Number(await page.locator("page-map").getAttribute("data-ready"));
  await until("changes are asked for", async () => counts.filter((count) => count < all).length > 3);
  assert.equal(most, 1);
  await page.context().close();
});

// Free tiles were as pale alone as among others: nothing was to be seen.
for (const colorScheme of ["light", "dark"]) {
  test(`pages that are shown alone stand out, ${colorScheme}`, async () => {
    // So small that no tile has its number, which is in ink in any case.
    const page = await open(`${files["sound.pages"]}/map?kind=free&z=4`, { colorScheme });
    await settled(page);
    /** How many pixels are as far from the ground as ink is. */
    const inked = await page.locator("canvas").evaluate((canvas) => {
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      const ground = getComputedStyle(canvas.parentElement).backgroundColor.match(/\d+/g).map(Number);
      let inked = 0;
      for (let at = 0; at < data.length; at += 4) {
        const drawn = data[at + 3] / 255;
        const light = (data[at] + data[at + 1] + data[at + 2]) / 3;
        const differs = Math.abs(light - (ground[0] + ground[1] + ground[2]) / 3) * drawn;
        inked += differs > 185 ? 1 : 0;
      }
      return inked;
    });
    assert.ok(inked > 200, `${inked} pixels in ink`);
    await page.context().close();
  });
}

test("keys work on every screen, and not in a field", async () => {
  const page = await open(`${files["sound.pages"]}/page?n=5`);
  await page.keyboard.press("n");
  await page.waitForURL(/page\?n=6/);
  await page.keyboard.press("p");
  await page.waitForURL(/page\?n=5/);
  await page.keyboard.press("/");
  await page.keyboard.type("1n?");
  assert.equal(await page.locator("input[name=n]").first().inputValue(), "1n?");
  await page.locator("h1").click();
  await page.keyboard.press("2");
  await page.waitForURL(/\/map/);
  await page.keyboard.press("?");
  await page.waitForURL(/about#keys/);
  await page.context().close();
});

test("the map is filtered at once, and the address keeps it", async () => {
  const page = await open(`${files["sound.pages"]}/map`);
  await settled(page);
  const picture = () => page.locator("canvas").evaluate((canvas) => canvas.toDataURL());
  const all = await picture();
  await page.getByLabel("Show only").selectOption("map-node");
  assert.notEqual(await picture(), all);
  assert.equal(new URL(page.url()).searchParams.get("kind"), "map-node");
  await page.reload();
  await settled(page);
  assert.notEqual(await picture(), all);
  assert.equal(await page.getByLabel("Pages a tile").isVisible(), false, "for who has no script");
  await page.context().close();
});

test("differences are gone through one by one", async () => {
  const page = await open(`${files["unfinished commit.pages"]}/diff?n=1`);
  const places = [];
  for (;;) {
    places.push(await page.locator("tr.cursor mark").first().innerText());
    const next = page.getByRole("link", { name: "Next difference" });
    if (!(await next.count())) {
      break;
    }
    await next.click();
    await page.waitForLoadState();
    assert.ok(places.length < 20);
  }
  assert.ok(places.length >= 3, String(places));
  await page.getByRole("link", { name: "Difference before" }).click();
  assert.ok(await page.locator("tr.cursor").isVisible());
  await page.context().close();
});

test("somebody who never saw a page file reads which copy counts and why", async () => {
  const page = await open(`${viewer}/`);
  await page.getByRole("link", { name: "A and B of unfinished commit.pages" }).click();
  const decision = page.locator("#recovery");
  assert.match(await decision.locator("li.counts").innerText(), /generation 3\s+counts/);
  assert.match(await decision.locator("li.waits").innerText(), /generation 4\s+newer, but not finished/);
  assert.match(await decision.innerText(), /not all that it reaches is as that commit wrote it/);
  assert.ok(await decision.locator(".steps .evidence code").count() > 2);
  await page.context().close();
});

test("somebody who never saw a page file finds the rotten page", async () => {
  const page = await open(`${viewer}/`);
  await page.getByRole("link", { name: "rotten page.pages", exact: true }).click();
  await page.getByRole("link", { name: /What is wrong/ }).click();
  await page.getByRole("link", { name: /Look at page/ }).first().click();
  const found = page.locator(".finding.bad");
  await found.first().waitFor();
  assert.equal(await found.count(), 1);
  assert.match(await found.innerText(), /Protected page 5: the checksum of page \d+ is/);
  await page.context().close();
});

// The checksum tells which one it is.
for (const name of ["rotten page.pages", "format 0 rotten page.pages"]) {
  test(`the bit that has rotted is shown: ${name}`, async () => {
    const page = await open(`${files[name]}/health`);
    await page.getByRole("link", { name: /Look at page/ }).first().click();
    const found = page.locator(".finding.bad");
    assert.match(await found.innerText(), /one flipped bit explains it: byte 2,048, bit 6/);
    assert.match(await page.locator("tr.cursor").innerText(), /^000800\s+40 00/);
    assert.equal(await page.locator("tr.cursor mark").first().innerText(), "40");
    await page.context().close();
  });
}

// The rate stood still with the writer, and the newest state was seen "just
// now" for ever.
test("ages grow and rates fall when the writer stops", async () => {
  const page = await open(`${files["sound.pages"]}/live`);
  await page.locator("live-status").getByText(/^live/).waitFor();
  const row = page.locator("table.commits tbody tr").first();
  await until("the age grows", async () => /[2-9] s ago/.test(await row.innerText()));
  assert.match(await page.locator("dl.figures").innerText(), /Commits a second, of late\s+0\.0/);
  assert.match(await page.locator("svg.timeline, p.empty").first().textContent(), /generation/);
  await page.context().close();
});

// The last of all: the list is gone afterwards. A form is all that it needs.
test("what was looked at before is forgotten on request", async () => {
  const page = await open(`${viewer}/`, { javaScriptEnabled: false });
  const list = page.locator("ul.recent li");
  assert.equal(await list.count(), 2);
  assert.match(await list.first().innerText(), /pagebox-viewer '\/.*there\.pages'/);
  // What is gone is folded away.
  assert.equal(await list.last().isVisible(), false);
  await page.getByText("1 that is not there any more").click();
  assert.match(await list.last().innerText(), /gone\.pages/);
  await page.getByRole("button", { name: "Forget these" }).click();
  await page.waitForLoadState();
  assert.equal(page.url(), `${viewer}/`);
  assert.equal(await list.count(), 0);
  await page.context().close();
});

for (const colorScheme of ["light", "dark"]) {
  test(`simulator is worked without script, ${colorScheme}`, async () => {
    const page = await open(`${files["commit.trace"]}/crash`, { javaScriptEnabled: false, colorScheme });
    const outcome = page.locator("#recovery strong[class]");
    assert.equal(await outcome.textContent(), "the state after");
    await page.getByRole("link", { name: "Nothing", exact: true }).click();
    assert.equal(await outcome.textContent(), "the state before");
    assert.equal(await page.locator(".sectors a.new").count(), 0);
    await page.locator(".sectors a").nth(3).click();
    assert.equal(await page.locator(".sectors a.new").count(), 1);
    assert.match(page.url(), /keep=none&but=\d+\.3\.1#doubt$/);
    await page.getByLabel("Seed").fill("12");
    await page.getByRole("button", { name: "Draw" }).click();
    assert.match(page.url(), /keep=random&seed=12#doubt$/);
    // Of all that is left to choose, the sync that the commit waits for.
    await page.locator("#syncs .choice a").last().click();
    const what = page.locator("#syncs .card.bad");
    assert.match(await what.textContent(), /^\s*This is what step 5 is for/);
    await page.locator(".ribbon a").last().click();
    await page.getByRole("link", { name: "After the last step", exact: true }).click();
    await page.getByRole("link", { name: "look at one of damage" }).click();
    assert.equal(await outcome.textContent(), "damage");
    if (process.env.PAGEBOX_SCREENSHOTS) {
      await page.screenshot({ path: `${process.env.PAGEBOX_SCREENSHOTS}/crash-${colorScheme}.png`, fullPage: true });
    }
    await page.locator(".tabs a", { hasText: "Map" }).click();
    assert.match(await page.locator("aside.past").textContent(), /step 5 is left out/);
    assert.deepEqual(page.errors, []);
    await page.context().close();
  });
}

test("steps of a trace are gone through by keys", async () => {
  const page = await open(`${files["commit.trace"]}/crash?at=2`);
  await page.keyboard.press("n");
  await page.waitForURL(/at=3&/);
  await page.keyboard.press("p");
  await page.waitForURL(/at=2&/);
  assert.match(await page.locator("[aria-current=step]").getAttribute("title"), /^Step 2: sync/);
  await page.context().close();
});
