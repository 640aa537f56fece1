// The worker: the pager component on files of the browser's private file
// system (OPFS), whose synchronous handles exist in workers only.

import { newFile, PageFile, pageSizeIn, parts } from '../javascript/page-file.js';
import { dispose, PagerError, PageView, Store } from '../javascript/page-store.js';
import { Opfs } from './opfs.js';
import { createXXHash128 } from './pager/hash-wasm.js';
import { instantiate } from './pager/pager.js';

/** Pages that the map shows. */
const SHOWN = 4096;

const compiled = parts(async (name) => {
  const answer = await fetch(new URL(`pager/${name}`, import.meta.url));
  if (!answer.ok) throw new Error(`${answer.url} cannot be had: ${answer.status}`);
  return answer.arrayBuffer();
});

// One after the other: the handles are exclusive. Each has a new instance of the
// component: what fails in it is gone with it.
let turn = Promise.resolve();
addEventListener('message', ({ data }) => {
  turn = turn.then(async () => {
    let component;
    try {
      component = await instantiate(compiled, { 'pagebox:pager/page-store': { PageView, Store } });
      postMessage(await (data.show ? show(component, data.show) : create(component, data.create)));
    } catch (error) {
      postMessage({ problem: inWords(component, error) });
    }
  });
});

/** An error for people, whether the component threw it or we did. */
function inWords(component, error) {
  if (error instanceof PagerError) return error.message;
  return error.payload?.tag === undefined ? String(error) : component.pager.describe(error.payload);
}

/** Uses a private file under a synchronous handle. Errors name it `name`. */
async function withFile(name, use) {
  const folder = await navigator.storage.getDirectory();
  const entry = await folder.getFileHandle('shown.pages', { create: true });
  const handle = await entry.createSyncAccessHandle();
  let result;
  try {
    result = await use(new Opfs(handle, name), handle);
  } finally {
    handle.close();
  }
  return { ...result, entry };
}

/** What is in a file that was dropped: a copy of it is looked at. */
async function show(component, file) {
  const xxh3 = await createXXHash128();
  const { entry: _, ...shown } = await withFile(file.name, async (opfs, handle) => {
    handle.truncate(0);
    handle.write(new Uint8Array(await file.arrayBuffer()), { at: 0 });
    return describe(component, opfs, xxh3);
  });
  return shown;
}

/** A new page file that holds a text, in protected page 0. */
async function create(component, text) {
  const xxh3 = await createXXHash128();
  const { entry, ...shown } = await withFile('new.pages', async (opfs, handle) => {
    handle.truncate(0);
    const start = (api, store) => api.create(store, newFile(4n));
    const file = new PageFile(component.pager, new Store(opfs, 4096, { xxh3 }), start, () => {});
    file.commit((tx) => {
      const [id] = tx.allocProtected(1);
      tx.stage(id).write(0, new TextEncoder().encode(text));
    });
    file.close();
    return describe(component, opfs, xxh3);
  });
  // A copy in memory: the next one is made in the same place.
  const bytes = await (await entry.getFile()).arrayBuffer();
  return { ...shown, file: new Blob([bytes], { type: 'application/octet-stream' }) };
}

/** A figure. The bytes of a damaged file do not say all of them. */
const known = (figure) => (figure === undefined ? 'not known' : String(figure));

function describe({ pager, inspect }, opfs, xxh3) {
  const inspector = inspect.open(new Store(opfs, pageSizeIn(pager, opfs), { xxh3 }));
  try {
    const summary = inspector.summary();
    const kinds = inspector.pageKinds();
    const letters = new Map(kinds.map(({ code, letter }) => [code, letter]));
    const codes = inspector.kinds(0n, SHOWN);
    return {
      name: opfs.name,
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
    inspector[dispose]();
  }
}
