// The worker: page files among the browser's private files (OPFS), whose synchronous
// handles exist in workers only.

import { create, inspect } from '../node_modules/pagebox/src/browser.js';

/** Pages that the map shows. */
const SHOWN = 4096;

// One after the other: a file can be open once.
let turn = Promise.resolve();
addEventListener('message', ({ data }) => {
  turn = turn.then(async () => {
    try {
      postMessage(await (data.show ? shown(data.show) : made(data.create)));
    } catch (error) {
      postMessage({ problem: error.name === 'PagerError' ? error.message : String(error) });
    }
  });
});

/** Uses a new private file, which is gone afterwards. */
async function withFile(name, use) {
  const root = await navigator.storage.getDirectory();
  // The last one's page may have been closed before that was gone.
  await root.removeEntry('shown', { recursive: true }).catch(() => {});
  const folder = await root.getDirectoryHandle('shown', { create: true });
  try {
    return await use(await folder.getFileHandle(name, { create: true }));
  } finally {
    await root.removeEntry('shown', { recursive: true });
  }
}

/** What is in a file that was dropped: a copy of it is looked at. */
function shown(file) {
  return withFile(file.name, async (entry) => {
    const handle = await entry.createSyncAccessHandle();
    try {
      handle.write(new Uint8Array(await file.arrayBuffer()), { at: 0 });
    } finally {
      handle.close();
    }
    return described(entry);
  });
}

/** A new page file that holds a text, in protected page 0. */
function made(text) {
  return withFile('new.pages', async (entry) => {
    const file = await create(entry);
    try {
      file.commit((tx) => {
        const [id] = tx.allocProtected(1);
        tx.stage(id).write(0, new TextEncoder().encode(text));
      });
    } finally {
      file.close();
    }
    // In memory: the private file goes.
    const bytes = await (await entry.getFile()).arrayBuffer();
    return { ...(await described(entry)), file: new Blob([bytes], { type: 'application/octet-stream' }) };
  });
}

/** A figure. The bytes of a damaged file do not say all of them. */
const known = (figure) => (figure === undefined ? 'not known' : String(figure));

async function described(entry) {
  const inspection = await inspect(entry);
  try {
    const summary = inspection.summary();
    const kinds = inspection.pageKinds();
    const letters = new Map(kinds.map(({ code, letter }) => [code, letter]));
    return {
      name: entry.name,
      summary: [
        ['format', summary.format],
        ['page size', String(summary.pageSize)],
        ['pages', known(summary.pageCount)],
        ['free', known(summary.freePages)],
        ['regular', known(summary.regularPages)],
        ['protected', known(summary.protectedPages)],
        ['generation', known(summary.generation)],
        ['recovery', `${summary.recovery.verdict}: ${summary.recovery.explanation}`],
      ],
      kinds: kinds
        .filter(({ count }) => count > 0n)
        .map(({ letter, name, count }) => [`${letter}  ${name}`, String(count)]),
      map: Array.from(inspection.kinds(0n, SHOWN), (code) => letters.get(code)).join(''),
    };
  } finally {
    inspection.close();
  }
}
