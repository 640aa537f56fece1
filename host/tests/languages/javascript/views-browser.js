// What a headless browser makes of the list of views, or of states, on standard input:
// `node views-browser.js views FORMAT < ../views.txt`.

import { readFileSync } from 'node:fs';

import { inBrowser } from './browser.js';

const [what, format] = process.argv.slice(2);
const list = readFileSync(0, 'utf8');
const outcomes = await inBrowser(async (page, address) => {
  await page.goto(`${address}/`);
  return page.evaluate(
    (asked) =>
      new Promise((done, failed) => {
        const worker = new Worker('/tests/languages/javascript/views-worker.js', { type: 'module' });
        worker.addEventListener('message', ({ data }) => done(data));
        worker.addEventListener('error', ({ message, filename }) => failed(new Error(`${message} ${filename}`)));
        worker.postMessage(asked);
      }),
    { what, list, format: Number(format) },
  );
});
console.log(outcomes);
