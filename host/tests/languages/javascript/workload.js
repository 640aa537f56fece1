// What every host does to a file in the same way, so that it leaves the same
// bytes: `node workload.js run FILE`, or `create FILE FORMAT PAGE_SIZE` with the
// number of a file that no host draws.

import { create, open } from '../../../javascript/src/node.js';

const bytes = (text) => new TextEncoder().encode(text);

function run(file) {
  const { pageSize, capabilities } = file.stats();
  const deferred = capabilities.includes('deferred-commits');
  const filled = (byte) => new Uint8Array(pageSize).fill(byte);
  const [regular, first] = file.commit((tx) => {
    const regular = tx.alloc(5);
    const [first] = tx.allocProtected(1);
    tx.stage(first).write(0, bytes('first'));
    return [regular, first];
  });
  regular.forEach((page, number) => file.view(page).write(0, filled(number + 1)));
  file.sync();
  file.commit((tx) => tx.claimProtected([70, 7]));
  for (let number = 0; number < 30; number += 1) {
    const [ids, pages] = file.commit((tx) => {
      const ids = tx.allocProtected(10);
      for (const id of ids) tx.stage(id).write(0, filled((10 * number + Number(id)) % 251));
      return [ids, tx.alloc(3)];
    });
    if (number % 3 === 2) {
      file.commit((tx) => {
        tx.freeProtected(ids.slice(0, 4));
        tx.free(pages.slice(1));
        tx.stage(first).write(5, Uint8Array.of(number));
      }, { deferred });
    }
  }
  file.free(regular[1]);
  const page = file.alloc();
  file.freeProtected(7);
  file.allocProtected();
  file.view(page).write(0, bytes('end'));
  file.sync();
}

const [what, name, format, pageSize] = process.argv.slice(2);
if (what === 'run') {
  const file = await open(name);
  run(file);
  file.close();
} else {
  crypto.getRandomValues = (halves) => {
    const text = new DataView(bytes('a uuid of a file').buffer);
    halves.set([text.getBigUint64(0, true), text.getBigUint64(8, true)]);
    return halves;
  };
  (await create(name, { format: Number(format), pageSize: Number(pageSize) })).close();
}
