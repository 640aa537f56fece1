// Pictures of the demo's screens, with the demo running at $PAGEBOX_VIEWER:
//
//     node screenshots.mjs FOLDER [NAME...]    every screen, theme and size
//     node screenshots.mjs --readme            the two in the README

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { launch } from "./chromium.mjs";

const viewer = process.env.PAGEBOX_VIEWER;
const [folder = "screenshots", ...names] = process.argv.slice(2);
const { files } = await (await fetch(`${viewer}/files.json`)).json();
const of = (name) => `${viewer}/f/${files.find(({ file }) => file.name === name).file.id}`;
const rotten = of("rotten page.pages");
const { flagged: [bad] } = await (await fetch(`${rotten}/map.json`)).json();

const SCREENS = {
  start: `${viewer}/`,
  overview: `${of("sound.pages")}/overview`,
  map: `${rotten}/map`,
  metadata: `${of("unfinished commit.pages")}/metadata`,
  directory: `${rotten}/directory`,
  page: `${of("sound.pages")}/page?n=1`,
  leaf: `${of("sound.pages")}/page?n=3`,
  "rotten-page": `${rotten}/page?n=${bad}`,
  diff: `${of("torn root.pages")}/diff`,
  health: `${rotten}/health`,
  live: `${of("live.pages")}/live`,
  time: `${of("live.pages")}/time`,
  "as-of": `${of("live.pages")}/overview?snapshot=tuesday`,
  "map-as-of": `${of("live.pages")}/map?snapshot=tuesday`,
  "map-by-age": `${of("live.pages")}/map?colour=age`,
  "page-as-of": `${of("live.pages")}/page?n=80&snapshot=monday`,
  changes: `${of("live.pages")}/changes?before=monday`,
  torn: `${of("torn root.pages")}/metadata`,
  node: `${of("rotten node.pages")}/directory`,
  foreign: `${of("not a page file.pages")}/overview`,
  "zero-overview": `${of("format 0.pages")}/overview`,
  "zero-map": `${of("format 0 rotten page.pages")}/map`,
  "zero-metadata": `${of("format 0 unfinished commit.pages")}/metadata`,
  "zero-torn": `${of("format 0 torn page 0.pages")}/overview`,
  "zero-directory": `${of("format 0 rotten page.pages")}/directory`,
  "zero-page": `${of("format 0.pages")}/page?n=0`,
  "zero-health": `${of("format 0 rotten page.pages")}/health`,
  "zero-diff": `${of("format 0.pages")}/diff?n=1`,
  about: `${viewer}/about`,
  nothing: `${viewer}/nothing`,
};

/** What the README shows: of which screen, from which part of it to which. A
 * root record goes on for as many lines as it has deltas. */
const README = { map: [".top", ".legend"], metadata: ["#recovery", ".sides tbody tr:nth-child(6)"] };

async function show(page, name) {
  await page.goto(SCREENS[name]);
  if (name.startsWith("map")) {
    await page.waitForSelector("page-map[data-ready]");
  }
  if (name === "map") {
    await page.getByText(/checksum/).first().waitFor();
  }
  if (name === "live" || name === "time") {
    await page.waitForTimeout(4000);
  }
  await page.waitForTimeout(200);
}

async function everything(browser) {
  mkdirSync(folder, { recursive: true });
  const sizes = { "": { width: 1200, height: 860 }, "-small": { width: 320, height: 640 } };
  for (const colorScheme of ["light", "dark"]) {
    for (const [size, viewport] of Object.entries(sizes)) {
      const context = await browser.newContext({ viewport, colorScheme, reducedMotion: "reduce" });
      const page = await context.newPage();
      for (const name of names.length > 0 ? names : Object.keys(SCREENS)) {
        await show(page, name);
        await page.screenshot({ path: join(folder, `${name}-${colorScheme}${size}.png`), fullPage: true });
      }
      await context.close();
    }
  }
}

async function readme(browser) {
  const pictures = fileURLToPath(new URL("../../screenshots", import.meta.url));
  mkdirSync(pictures, { recursive: true });
  const page = await browser.newPage({
    viewport: { width: 1100, height: 860 }, colorScheme: "light", reducedMotion: "reduce",
  });
  for (const [name, [first, last]] of Object.entries(README)) {
    await show(page, name);
    const start = await page.locator(first).first().boundingBox();
    const end = await page.locator(last).first().boundingBox();
    const y = Math.max(0, start.y - 16);
    const clip = { x: 0, y, width: 1100, height: end.y + end.height + 20 - y };
    await page.screenshot({ path: join(pictures, `${name}.png`), fullPage: true, clip });
  }
}

const browser = await launch();
await (folder === "--readme" ? readme(browser) : everything(browser));
await browser.close();
