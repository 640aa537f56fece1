// What the Node host makes of the list of states on standard input:
// `node states-node.js FOLDER < ../states.txt`.

import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import path from 'node:path';

import { create, open } from '../../../javascript/src/node.js';
import { outcomes } from './states.js';

const name = path.join(process.argv[2], 'states.pages');
const { fdatasyncSync } = fs;
const host = {
  create: () => {
    fs.rmSync(name, { force: true });
    return create(name, { pageSize: 1024 });
  },
  open: () => open(name),
  openToRead: () => open(name, { readOnly: true }),
  // What its closing makes durable is not there then.
  forget: (file) => {
    const copy = fs.readFileSync(name);
    file.close();
    fs.writeFileSync(name, copy);
  },
  fails: (whether) => {
    fs.fdatasyncSync = whether ? () => { throw new Error('no sync'); } : fdatasyncSync;
    syncBuiltinESMExports();
  },
};
console.log(await outcomes(fs.readFileSync(0, 'utf8'), host));
