// Opens the page in a headless browser: `node test.js FILE SAVED` drops the page
// file FILE on it and prints what it shows, then makes a file there and leaves
// it in SAVED. `CHROMIUM` names the browser.

import { createServer } from 'node:http';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';

import puppeteer from 'puppeteer-core';

const [file, saved] = process.argv.slice(2);
const root = path.resolve(import.meta.dirname, '..');
const types = { '.html': 'text/html', '.js': 'text/javascript', '.wasm': 'application/wasm' };

// Static files, nothing more: all the work is done in the browser.
const server = createServer(async (request, response) => {
  const name = path.join(root, path.normalize(new URL(request.url, 'http://localhost').pathname));
  try {
    response.setHeader('content-type', types[path.extname(name)] ?? 'application/octet-stream');
    response.end(await readFile(name));
  } catch {
    response.writeHead(404).end();
  }
});
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));

const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox'],
});
try {
  const page = await browser.newPage();
  page.on('pageerror', (error) => console.error(String(error)));
  await page.goto(`http://127.0.0.1:${server.address().port}/browser/index.html`);

  await (await page.$('#file')).uploadFile(file);
  await page.waitForSelector('#shown:not([hidden])');
  console.log(await page.$eval('#shown', (shown) => shown.innerText));

  await page.click('#create');
  await page.waitForSelector('#save:not([hidden])');
  const bytes = await page.$eval('#save', async (link) =>
    Array.from(new Uint8Array(await (await fetch(link.href)).arrayBuffer())),
  );
  await writeFile(saved, Uint8Array.from(bytes));

  await (await page.$('#file')).uploadFile(import.meta.filename);
  await page.waitForFunction(() => document.getElementById('problem').textContent !== '');
  console.log(await page.$eval('#problem', (problem) => problem.textContent));
} finally {
  await browser.close();
  server.close();
}
