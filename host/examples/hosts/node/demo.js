// Makes a page file, writes a protected and a regular page, and reads them back
// in a second opening: `node demo.js data.pages`. A file that is there already
// is read only.

import { existsSync } from 'node:fs';

import { create, open } from 'pagebox';

const [name] = process.argv.slice(2);
if (!existsSync(name)) {
  const file = await create(name);
  const regular = file.commit((tx) => {
    const [id] = tx.allocProtected(1);
    tx.stage(id).write(0, new TextEncoder().encode('hello from Node'));
    return tx.alloc(1)[0];
  });
  file.view(regular).write(0, new TextEncoder().encode('bytes'));
  file.sync(); // regular pages are durable after this
  file.close();
}

const file = await open(name);
console.log(new TextDecoder().decode(file.viewProtected(0n).read(0, 32)).replace(/\0+$/, ''));
try {
  file.view(1000000n);
} catch (error) {
  console.log(`${error}`);
}
file.close();
