// Pictures of the demo's screens: `node screenshots.mjs FOLDER [NAME...]`,
// with the demo running at $PAGEBOX_VIEWER.

import { mkdirSync } from "node:fs";
import { join } from "node:path";

import { chromium } from "playwright-core";

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
  page: `${of("sound.pages")}/page?n=0`,
  "rotten-page": `${rotten}/page?n=${bad}`,
  diff: `${of("sound.pages")}/diff?n=1`,
  health: `${rotten}/health`,
  live: `${of("live.pages")}/live`,
  torn: `${of("torn page 0.pages")}/overview`,
  foreign: `${of("not a page file.pages")}/overview`,
  about: `${viewer}/about`,
  nothing: `${viewer}/nothing`,
};

mkdirSync(folder, { recursive: true });
const executablePath = process.env.PAGEBOX_CHROMIUM ?? "/usr/bin/chromium";
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
const sizes = { "": { width: 1200, height: 860 }, "-small": { width: 320, height: 640 } };
for (const colorScheme of ["light", "dark"]) {
  for (const [size, viewport] of Object.entries(sizes)) {
    const context = await browser.newContext({ viewport, colorScheme, reducedMotion: "reduce" });
    const page = await context.newPage();
    for (const [name, address] of Object.entries(SCREENS)) {
      if (names.length > 0 && !names.includes(name)) {
        continue;
      }
      await page.goto(address);
      if (name === "map") {
        await page.waitForSelector("page-map[data-ready]");
      }
      if (name === "live") {
        await page.waitForTimeout(4000);
      }
      await page.waitForTimeout(150);
      await page.screenshot({ path: join(folder, `${name}-${colorScheme}${size}.png`), fullPage: true });
    }
    await context.close();
  }
}
await browser.close();
