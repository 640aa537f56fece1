// What goes wrong in a browser, and in the page, which shows the next file all the same:
// `PAGEBOX=pagebox node --test misuse-browser.test.js`.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { inBrowser } from './browser.js';

const HOST = '/examples/hosts/browser';

let folder, file;

before(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'misuse-'));
  file = path.join(folder, 'data.pages');
  execFileSync(process.env.PAGEBOX, ['create', file]);
});

after(() => fs.rmSync(folder, { recursive: true }));

/** Opens the page, on which `show` drops the file: it gives what is wrong then, in words. */
function onThePage(use, change) {
  return inBrowser(async (page, address) => {
    await page.goto(`${address}${HOST}/index.html`);
    let count = 0;
    const show = async () => {
      // One that is chosen again is no change.
      const next = path.join(folder, `${(count += 1)}.pages`);
      fs.copyFileSync(file, next);
      await page.$eval('#problem', (problem) => (problem.textContent = 'waiting'));
      await (await page.$('#file')).uploadFile(next);
      await page.waitForFunction(() => document.getElementById('problem').textContent !== 'waiting');
      return page.$eval('#problem', (problem) => problem.textContent);
    };
    return use(page, show);
  }, change);
}

/** An instance that is kept loses a part of its stack with each: all of it with some 260. */
test('file_is_shown_after_many_in_which_the_sandbox_failed', () =>
  onThePage(async (page, show) => {
    assert.equal(await show(), '');
    const [worker] = page.workers();
    const bytes = Array.from(fs.readFileSync(file));
    const problem = await worker.evaluate(async (bytes) => {
      const { prototype } = FileSystemSyncAccessHandle;
      const { getSize } = prototype;
      const { postMessage } = globalThis;
      let problem;
      for (let count = 0; count < 400; count += 1) {
        let calls = 0;
        prototype.getSize = function () {
          calls += 1;
          // The component's call: the first ones are ours.
          if (calls === 6) throw new SyntaxError('what only a bug can do');
          return getSize.call(this);
        };
        problem = await new Promise((told) => {
          globalThis.postMessage = (message) => told(message.problem);
          const show = new File([new Uint8Array(bytes)], 'failing.pages');
          dispatchEvent(new MessageEvent('message', { data: { show } }));
        });
      }
      prototype.getSize = getSize;
      globalThis.postMessage = postMessage;
      return problem;
    }, bytes);
    assert.equal(problem, 'the sandbox failed in inspecting of failing.pages: what only a bug can do');
    assert.equal(await show(), '');
    assert.equal(await page.$eval('#name', (name) => name.textContent), '2.pages');
  }));

test('file_is_shown_after_the_component_could_not_be_fetched', () => {
  let refused = false;
  return onThePage(
    async (_, show) => {
      assert.notEqual(await show(), '');
      assert(refused);
      assert.equal(await show(), '');
    },
    (name, bytes) => {
      if (refused || !name.endsWith('.core.wasm')) return bytes;
      refused = true;
      return undefined;
    },
  );
});

/** Before 2025 a browser had no `Symbol.dispose`. */
test('file_is_shown_in_an_older_browser', () => {
  const older = `
    const Native = Symbol;
    const { dispose, ...others } = Object.getOwnPropertyDescriptors(Native);
    globalThis.Symbol = Object.defineProperties((text) => Native(text), others);
  `;
  return onThePage(
    async (_, show) => assert.equal(await show(), ''),
    (name, bytes) => {
      if (name === '/older.js') return older;
      return name === `${HOST}/worker.js` ? `import '/older.js';\n${bytes}` : bytes;
    },
  );
});

test('what_is_refused_in_a_browser_says_why_and_leaves_nothing_open', () =>
  inBrowser(async (page, address) => {
    await page.goto(`${address}/`);
    const told = await page.evaluate(
      () =>
        new Promise((done, failed) => {
          const worker = new Worker('/tests/languages/javascript/misuse-worker.js', { type: 'module' });
          worker.addEventListener('message', ({ data }) => done(data));
          worker.addEventListener('error', ({ message }) => failed(new Error(message)));
          worker.postMessage('');
        }),
    );
    assert.deepEqual(told.split('\n'), [
      'open what is not there: NotFoundError',
      'create of another size: RangeError',
      'create with an option of Node: TypeError',
      'create: done',
      'create again: not-empty',
      'open: done',
      'open a URL: TypeError',
      'open with a misspelled option: TypeError',
      'open while it is open: locked',
      'open to read while it is open: locked',
      'inspect while it is open: locked',
      'open to read while it is read: done',
      'inspect while it is read: done',
      'open while it is read: locked',
      'open again: done',
    ]);
  }));
