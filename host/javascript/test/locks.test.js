// Several who have one file open, in Node, and what is left when one is killed.

import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';

import { create, open } from 'pagebox';

import { begun, bytes, failed, PAGEBOX, text } from './begun.js';

let folder, name, file, page;

beforeEach(async () => {
  ({ folder, name, file, page } = await begun());
});

afterEach(() => {
  file.close();
  fs.rmSync(folder, { recursive: true });
});

test('file_is_opened_to_write_once_and_read_by_anybody', async () => {
  await assert.rejects(open(name), failed('locked', name));
  const reader = await open(name, { readOnly: true });
  assert.equal(text(reader.viewProtected(page), 5), 'hello');
  assert.throws(() => reader.commit(() => {}), failed('read-only'));
  assert.throws(() => reader.sync(), failed('read-only'));
  reader.close();
  const alloc = () => spawnSync(PAGEBOX, ['alloc', name], { encoding: 'utf8' });
  assert.match(alloc().stderr, /in use/);
  file.close();
  assert.equal(alloc().status, 0);
});

/** A view showed the bytes of later commits, of other pages too, and so did one that was made anew. */
test('reader_never_shows_what_somebody_else_committed_since', async () => {
  const reader = await open(name, { readOnly: true });
  const view = reader.viewProtected(page);
  let changed = 0;
  for (let number = 0; number < 8; number += 1) {
    file.commit((tx) => tx.stage(page).write(0, bytes(`0000${number}`)));
    assert.equal(text(view, 5), 'hello');
    try {
      assert.equal(text(reader.viewProtected(page), 5), 'hello');
    } catch (error) {
      failed('changed')(error);
      changed += 1;
    }
  }
  assert(changed > 0);
  reader.close();
});

test('lock_ends_with_the_process', async () => {
  file.close();
  const script = `
    import { open } from '${import.meta.resolve('pagebox')}';
    await open(process.argv[1]);
    console.log('open');
    setInterval(() => {}, 1000);
  `;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, name], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  await assert.rejects(open(name), failed('locked'));
  child.kill('SIGKILL');
  await once(child, 'exit');
  file = await open(name);
});

test('file_that_cannot_be_locked_is_opened_on_request_only', async () => {
  file.close();
  const before = process.env.PATH;
  process.env.PATH = folder;
  try {
    await assert.rejects(open(name), failed('unlockable', name));
    await assert.rejects(create(`${name}.2`), failed('unlockable', `${name}.2`));
    (await open(name, { readOnly: true })).close();
    file = await open(name, { unlocked: true });
  } finally {
    process.env.PATH = before;
  }
  assert.deepEqual(fs.readdirSync(folder), ['data.pages']);
  (await open(name)).close(); // it is not locked
});

test('perl_locks_where_there_is_no_flock', { skip: !fs.existsSync('/usr/bin/perl') }, async () => {
  file.close();
  const before = process.env.PATH;
  fs.symlinkSync('/usr/bin/perl', path.join(folder, 'perl'));
  process.env.PATH = folder;
  try {
    file = await open(name);
    await assert.rejects(open(name), failed('locked'));
  } finally {
    process.env.PATH = before;
  }
  await assert.rejects(open(name), failed('locked'));
});

/** And no commit is there in part: both pages have the same number. */
test('commit_that_was_acknowledged_outlives_a_kill', async () => {
  file.commit((tx) => tx.allocProtected(1));
  file.close();
  const script = `
    import { writeSync } from 'node:fs';
    import { open } from '${import.meta.resolve('pagebox')}';
    const file = await open(process.argv[1]);
    const number = () => new DataView(file.viewProtected(0).read(4088).buffer).getBigUint64(0);
    for (let count = number() + 1n; ; count += 1n) {
      const bytes = new Uint8Array(8);
      new DataView(bytes.buffer).setBigUint64(0, count);
      file.commit((tx) => {
        for (const id of [0, 1]) tx.stage(id).write(4088, bytes);
        tx.alloc(1);
      });
      writeSync(1, count + '\\n');
    }
  `;
  let count = 0;
  for (let round = 0; round < 5; round += 1) {
    const child = spawn(process.execPath, ['--input-type=module', '-e', script, name], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let told = '';
    child.stdout.on('data', (text) => (told += text));
    await once(child.stdout, 'data');
    await new Promise((done) => setTimeout(done, 100 * Math.random()));
    child.kill('SIGKILL');
    await once(child, 'close');
    const acknowledged = Number(told.trimEnd().split('\n').at(-1));
    assert(acknowledged > count, `${acknowledged} after ${count}`);
    file = await open(name);
    const found = [0, 1].map((id) => Number(new DataView(file.viewProtected(id).read(4088).buffer).getBigUint64(0)));
    file.close();
    count = found[0];
    assert.deepEqual(found, [count, count]);
    assert([acknowledged, acknowledged + 1].includes(count), `${count}, and ${acknowledged} was acknowledged`);
    execFileSync(PAGEBOX, ['check', name]);
  }
});
