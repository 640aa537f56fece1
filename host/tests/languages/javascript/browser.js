// A headless browser on the folder of the hosts and these tests, for the time of
// a test. `CHROMIUM` names the browser.

import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import path from 'node:path';

import puppeteer from 'puppeteer-core';

const root = path.resolve(import.meta.dirname, '../../..');
const types = { '.html': 'text/html', '.js': 'text/javascript', '.wasm': 'application/wasm' };

/**
 * Gives `use` a new page and the address of a server of files. What the server
 * answers goes through `change`, by its path and its bytes; undefined: there is
 * no such file.
 */
export async function inBrowser(use, change = (_, bytes) => bytes) {
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    const file = path.join(root, path.normalize(pathname));
    const found = pathname === '/' ? '<!doctype html><title>Test</title>' : await readFile(file).catch(() => undefined);
    const bytes = change(pathname, found);
    if (bytes === undefined) return response.writeHead(404).end();
    response.setHeader('content-type', types[path.extname(pathname)] ?? 'text/html');
    response.end(bytes);
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  const browser = await puppeteer.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox'],
  });
  try {
    return await use(await browser.newPage(), `http://127.0.0.1:${server.address().port}`);
  } finally {
    await browser.close();
    server.close();
  }
}
