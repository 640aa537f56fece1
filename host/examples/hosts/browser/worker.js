// The worker: the pager component on files of the browser's private file
// system (OPFS), whose synchronous handles exist in workers only.

import { newFile, PageFile } from '../javascript/page-file.js';
import { PagerError, PageView, Store } from '../javascript/page-store.js';
import { Opfs } from './opfs.js';
import { instantiate } from './pager/pager.js';

/** Pages that the map shows. */
const SHOWN = 4096;

const component = instantiate(
  async (name) => WebAssembly.compile(await (await fetch(new URL(`pager/${name}`, import.meta.url))).arrayBuffer()),
  { 'pagebox:pager/page-store': { PageView, Store } },
);

// One after the other: the handles are exclusive.
let turn = Promise.resolve();
addEventListener('message', ({ data }) => {
  turn = turn.then(async () => {
    try {
      postMessage(await (data.show ? show(data.show) : create(data.create)));
    } catch (error) {
      postMessage({ problem: await inWords(error) });
    }
  });
});

/** An error for people, whether the component threw it or we did. */
async function inWords(error) {
  if (error instanceof PagerError) return error.message;
  const { pager } = await component;
  return error.payload?.tag === undefined ? String(error) : pager.describe(error.payload);
}

/** Uses a private file under a synchronous handle. */
async function withFile(use) {
  const folder = await navigator.storage.getDirectory();
  const entry = await folder.getFileHandle('shown.pages', { create: true });
  const handle = await entry.createSyncAccessHandle();
  let result;
  try {
    result = await use(new Opfs(handle), handle);
  } finally {
    handle.close();
  }
  return { ...result, entry };
}

/** What is in a file that was dropped: a copy of it is looked at. */
async function show(file) {
  const { entry: _, ...shown } = await withFile(async (opfs, handle) => {
    handle.truncate(0);
    handle.write(new Uint8Array(await file.arrayBuffer()), { at: 0 });
    return describe(opfs, file.name);
  });
  return shown;
}

/** A new page file that holds a text, in protected page 0. */
async function create(text) {
  const { entry, ...shown } = await withFile(async (opfs, handle) => {
    const { pager } = await component;
    handle.truncate(0);
    const file = new PageFile(pager, new Store(opfs, 4096), (api, store) => api.create(store, newFile(4n)), () => {});
    file.commit((tx) => {
      const [id] = tx.allocProtected(1);
      tx.stage(id).write(0, new TextEncoder().encode(text));
    });
    file.close();
    return describe(opfs, 'new.pages');
  });
  // A copy in memory: the next one is made in the same place.
  const bytes = await (await entry.getFile()).arrayBuffer();
  return { ...shown, file: new Blob([bytes], { type: 'application/octet-stream' }) };
}

/** A figure. The bytes of a damaged file do not say all of them. */
const known = (figure) => (figure === undefined ? 'not known' : String(figure));

async function describe(opfs, name) {
  const { pager, inspect } = await component;
  const head = new Uint8Array(Math.min(512, opfs.size()));
  opfs.read(head, 0);
  const inspector = inspect.open(new Store(opfs, pager.pageSize(head)));
  try {
    const summary = inspector.summary();
    const kinds = inspector.pageKinds();
    const letters = new Map(kinds.map(({ code, letter }) => [code, letter]));
    const codes = inspector.kinds(0n, SHOWN);
    return {
      name,
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
      map: Array.from(codes, (code) => letters.get(code)).join(''),
    };
  } finally {
    inspector[Symbol.dispose]();
  }
}
