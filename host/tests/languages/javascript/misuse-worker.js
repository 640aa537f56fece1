// What the package refuses in a browser, asked from a worker of it: a line a case.

import { create, inspect, open } from '../../../javascript/src/browser.js';

const NAME = 'misuse.pages';

/** What comes of it: an error's tag, or its kind. */
async function outcome(operation) {
  try {
    const made = await operation();
    made.close();
    return 'done';
  } catch (error) {
    return error.tag ?? error.name;
  }
}

addEventListener('message', async () => {
  const root = await navigator.storage.getDirectory();
  await root.removeEntry(NAME).catch(() => {});
  const lines = [];
  const told = async (what, operation) => lines.push(`${what}: ${await outcome(operation)}`);
  await told('open what is not there', () => open(NAME));
  await told('create of another size', () => create(NAME, { pageSize: 1000 }));
  await told('create with an option of Node', () => create(NAME, { unlocked: true }));
  await told('create', () => create(NAME));
  await told('create again', () => create(NAME));
  await told('open', () => open(NAME));
  await told('open a URL', () => open(new URL('file:///misuse.pages')));
  await told('open with a misspelled option', () => open(NAME, { readonly: true }));
  const file = await open(await root.getFileHandle(NAME));
  await told('open while it is open', () => open(NAME));
  await told('open to read while it is open', () => open(NAME, { readOnly: true }));
  await told('inspect while it is open', () => inspect(NAME));
  file[Symbol.dispose]();
  const reader = await open(NAME, { readOnly: true });
  await told('open to read while it is read', () => open(NAME, { readOnly: true }));
  await told('inspect while it is read', () => inspect(NAME));
  await told('open while it is read', () => open(NAME));
  reader.close();
  await told('open again', () => open(NAME));
  postMessage(lines.join('\n'));
});
