// What the Node host makes of the list of views on standard input:
// `node views-node.js FOLDER FORMAT < ../views.txt`.

import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import path from 'node:path';

import { create, open } from '../../../javascript/src/node.js';
import { outcomes } from './views.js';

const [folder, format] = process.argv.slice(2);
const name = path.join(folder, 'views.pages');
const others = [];
const host = {
  create: () => {
    fs.rmSync(name, { force: true });
    return create(name, { pageSize: 1024, format: Number(format) });
  },
  openToRead: () => open(name, { readOnly: true }),
  bytes: () => fs.readFileSync(name),
  // The next file has the number of the last one.
  closed: () => {
    const other = fs.openSync(`${name}.next`, 'w+');
    fs.writeSync(other, new Uint8Array(1 << 16));
    others.push(other);
  },
};
console.log(await outcomes(fs.readFileSync(0, 'utf8'), host));
assert(others.length > 0);
for (const other of others) {
  const bytes = new Uint8Array(1 << 16);
  fs.readSync(other, bytes, 0, bytes.length, 0);
  assert(bytes.every((byte) => byte === 0), 'the wrong file was written to');
}
