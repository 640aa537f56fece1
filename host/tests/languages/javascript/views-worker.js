// What the browser's host makes of the list of views, or of states, that it is sent.

import { Opfs } from '../../../examples/hosts/browser/opfs.js';
import { createXXHash128 } from '../../../examples/hosts/browser/pager/hash-wasm.js';
import { instantiate } from '../../../examples/hosts/browser/pager/pager.js';
import { newFile, PageFile } from '../../../examples/hosts/javascript/page-file.js';
import { PageView, Store } from '../../../examples/hosts/javascript/page-store.js';
import { outcomes as states } from './states.js';
import { outcomes as views } from './views.js';

const component = instantiate(
  async (name) => {
    const url = new URL(`../../../examples/hosts/browser/pager/${name}`, import.meta.url);
    return WebAssembly.compile(await (await fetch(url)).arrayBuffer());
  },
  { 'pagebox:pager/page-store': { PageView, Store } },
);

const hasher = createXXHash128();

/** The format of new files. */
let format;

/** The handle of the file, until it is closed. */
let handle;

async function take() {
  const folder = await navigator.storage.getDirectory();
  const entry = await folder.getFileHandle('views.pages', { create: true });
  return entry.createSyncAccessHandle();
}

async function opened(start, { fresh = false, readOnly = false } = {}) {
  const mine = await take();
  handle = mine;
  if (fresh) mine.truncate(0);
  const { pager } = await component;
  const store = new Store(new Opfs(mine, 'views.pages'), 1024, { readOnly, xxh3: await hasher });
  return new PageFile(pager, store, start, () => {
    mine.close();
    handle = undefined;
  });
}

function bytes() {
  const found = new Uint8Array(handle?.getSize() ?? 0);
  handle?.read(found, { at: 0 });
  return found;
}

const { flush } = FileSystemSyncAccessHandle.prototype;

const host = {
  create: () => opened((api, store) => api.create(store, newFile(4n, format)), { fresh: true }),
  open: () => opened((api, store) => api.open(store, 'write')),
  openToRead: () => opened((api, store) => api.open(store, 'read'), { readOnly: true }),
  bytes,
  closed: () => {},
  // What its closing makes durable is not there then.
  forget: async (file) => {
    const copy = bytes();
    file.close();
    const again = await take();
    again.truncate(0);
    again.write(copy, { at: 0 });
    again.close();
  },
  fails: (whether) => {
    FileSystemSyncAccessHandle.prototype.flush = whether ? () => { throw new Error('no sync'); } : flush;
  },
};

addEventListener('message', async ({ data }) => {
  try {
    format = data.format;
    postMessage(await { states, views }[data.what](data.list, host));
  } catch (error) {
    postMessage(`${error.stack}`);
  }
});
