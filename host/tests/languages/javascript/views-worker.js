// What the browser's host makes of the list of views, or of states, that it is sent.

import { create, open } from '../../../javascript/src/browser.js';
import { outcomes as states } from './states.js';
import { outcomes as views } from './views.js';

/** The format of new files. */
let format;

/** The handle of the file that is open, which nobody else can have. */
let handle;

const { createSyncAccessHandle } = FileSystemFileHandle.prototype;
FileSystemFileHandle.prototype.createSyncAccessHandle = async function (...options) {
  return (handle = await createSyncAccessHandle.apply(this, options));
};

const { close } = FileSystemSyncAccessHandle.prototype;
FileSystemSyncAccessHandle.prototype.close = function () {
  close.call(this);
  if (handle === this) handle = undefined;
};

async function fresh() {
  const folder = await navigator.storage.getDirectory();
  await folder.removeEntry('views.pages').catch(() => {});
  return folder.getFileHandle('views.pages', { create: true });
}

function bytes() {
  const found = new Uint8Array(handle?.getSize() ?? 0);
  handle?.read(found, { at: 0 });
  return found;
}

const { flush } = FileSystemSyncAccessHandle.prototype;

const host = {
  create: async () => create(await fresh(), { pageSize: 1024, format }),
  open: () => open('views.pages'),
  openToRead: () => open('views.pages', { readOnly: true }),
  bytes,
  closed: () => {},
  // What its closing makes durable is not there then.
  forget: async (file) => {
    const copy = bytes();
    file.close();
    const again = await (await fresh()).createSyncAccessHandle();
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
