// Uses what the declarations of the package have in a browser: it compiles with
// `--strict`.

import { create, inspect, open, PagerError } from 'pagebox';
import type { Id, PageFile } from 'pagebox';

const folder: FileSystemDirectoryHandle = await navigator.storage.getDirectory();
const entry: FileSystemFileHandle = await folder.getFileHandle('data.pages', { create: true });
const file: PageFile = await create(entry, { pageSize: 1024, pageCount: 8n, format: 1 });
const page: Id = file.commit((tx) => tx.allocProtected(1)[0]!);
file[Symbol.dispose]();
try {
  (await open('data.pages', { readOnly: true })).viewProtected(page).read();
} catch (error) {
  if (error instanceof PagerError) console.log(error.tag);
}
// @ts-expect-error: nothing is opened here without a lock.
await open('data.pages', { unlocked: true });
// @ts-expect-error: there are no paths.
await open(new URL('file:///data.pages'));
console.log((await inspect(entry)).summary().recovery.verdict);
