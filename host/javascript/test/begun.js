// What the tests of the Node host begin with: a page file with a regular page, and a
// protected one that says hello. `FORMAT` says of which format (1 unless it does), and
// `PAGEBOX` where the program is.

import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import { create, PagerError } from 'pagebox';

export const { PAGEBOX = 'pagebox' } = process.env;
export const format = Number(process.env.FORMAT ?? 1);
export const bytes = (text) => new TextEncoder().encode(text);
export const text = (view, len) => new TextDecoder().decode(view.read(0, len));

export async function begun() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pagebox-'));
  const name = path.join(folder, 'data.pages');
  const file = await create(name, { format });
  const [regular, page] = file.commit((tx) => {
    const [made] = tx.allocProtected(1);
    tx.stage(made).write(0, bytes('hello'));
    return [tx.alloc(1)[0], made];
  });
  return { folder, name, file, regular, page };
}

/** An error with a tag whose text has these words. */
export const failed = (tag, ...words) => (error) => {
  assert(error instanceof PagerError, `${error.stack}`);
  assert.equal(error.tag, tag, error.message);
  for (const word of words) assert(error.message.includes(word), `${word} in ${error.message}`);
  return true;
};

/** An error of a class whose text begins so, and nothing done to the file `name`. */
export const refusedIn = (name, kind, begins, operation) => {
  const before = fs.readFileSync(name);
  assert.throws(operation, (error) => {
    assert.equal(error.constructor, kind, `${begins}: ${error.stack}`);
    assert(error.message.startsWith(begins), error.message);
    return true;
  });
  assert(fs.readFileSync(name).equals(before), `${begins}: the file changed`);
};
