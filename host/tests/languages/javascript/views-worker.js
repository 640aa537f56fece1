// What the browser's host makes of the list of views that it is sent.

import { Opfs } from '../../../examples/hosts/browser/opfs.js';
import { createXXHash128 } from '../../../examples/hosts/browser/pager/hash-wasm.js';
import { instantiate } from '../../../examples/hosts/browser/pager/pager.js';
import { newFile, PageFile } from '../../../examples/hosts/javascript/page-file.js';
import { PageView, Store } from '../../../examples/hosts/javascript/page-store.js';
import { outcomes } from './views.js';

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

async function opened(readOnly, start) {
  const folder = await navigator.storage.getDirectory();
  const entry = await folder.getFileHandle('views.pages', { create: true });
  const mine = await entry.createSyncAccessHandle();
  handle = mine;
  if (!readOnly) mine.truncate(0);
  const { pager } = await component;
  const store = new Store(new Opfs(mine, 'views.pages'), 1024, { readOnly, xxh3: await hasher });
  return new PageFile(pager, store, start, () => {
    mine.close();
    handle = undefined;
  });
}

const host = {
  create: () => opened(false, (api, store) => api.create(store, newFile(4n, format))),
  openToRead: () => opened(true, (api, store) => api.open(store, 'read')),
  bytes: () => {
    const bytes = new Uint8Array(handle?.getSize() ?? 0);
    handle?.read(bytes, { at: 0 });
    return bytes;
  },
  closed: () => {},
};

addEventListener('message', async ({ data }) => {
  try {
    format = data.format;
    postMessage(await outcomes(data.list, host));
  } catch (error) {
    postMessage(`${error.stack}`);
  }
});
