// What a headless browser makes of the list of views on standard input:
// `node views-browser.js < ../views.txt`. `CHROMIUM` names the browser.

import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import path from 'node:path';

import puppeteer from 'puppeteer-core';

const root = path.resolve(import.meta.dirname, '../../..');
const types = { '.js': 'text/javascript', '.wasm': 'application/wasm' };
const server = createServer(async (request, response) => {
  const { pathname } = new URL(request.url, 'http://localhost');
  if (pathname === '/') return response.setHeader('content-type', 'text/html').end('<!doctype html><title>Views</title>');
  try {
    response.setHeader('content-type', types[path.extname(pathname)] ?? 'application/octet-stream');
    response.end(await readFile(path.join(root, path.normalize(pathname))));
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
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  const list = readFileSync(0, 'utf8');
  console.log(
    await page.evaluate(
      (list) =>
        new Promise((done, failed) => {
          const worker = new Worker('/tests/languages/javascript/views-worker.js', { type: 'module' });
          worker.addEventListener('message', ({ data }) => done(data));
          worker.addEventListener('error', ({ message, filename }) => failed(new Error(`${message} ${filename}`)));
          worker.postMessage(list);
        }),
      list,
    ),
  );
} finally {
  await browser.close();
  server.close();
}
