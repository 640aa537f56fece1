// What goes wrong in a program that uses the package in Node, and what becomes of it.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';

import { create, open } from 'pagebox';

import { parts } from '../src/host.js';
import { Store } from '../src/page-store.js';
import { begun, bytes, failed, format, refusedIn, text } from './begun.js';

let folder, name, file, regular, page;

beforeEach(async () => {
  ({ folder, name, file, regular, page } = await begun());
});

afterEach(() => {
  file.close();
  fs.rmSync(folder, { recursive: true });
});

const refused = (...expected) => refusedIn(name, ...expected);

test('argument_of_a_wrong_type_is_named', async () => {
  const view = file.view(regular);
  for (const [begins, operation] of [
    ['bytes must be a Uint8Array, not string', () => view.write(0, 'hello world')],
    ['bytes must be a Uint8Array, not Uint16Array', () => view.write(0, new Uint16Array([1, 2, 3]))],
    ['bytes must be a Uint8Array, not Array', () => view.write(0, [1, 2, 3])],
    ['bytes must be a Uint8Array, not null', () => view.write(0, null)],
    ['offset must be a number, not string', () => view.write('0', bytes('x'))],
    ['offset must be a number, not bigint', () => view.read(0n, 1)],
    ['len must be a number, not string', () => view.read(0, '1')],
    ['id must be a BigInt or an integer, not string', () => file.view('3')],
    ['id must be a BigInt or an integer, not undefined', () => file.viewProtected()],
    ['change must be a function, not undefined', () => file.commit()],
    ['deferred must be a boolean, not number', () => file.commit(() => {}, { deferred: 1 })],
    ['there is no option later', () => file.commit(() => {}, { later: true })],
  ]) {
    refused(TypeError, begins, operation);
  }
  file.commit((tx) => {
    const staged = tx.stage(page);
    refused(TypeError, 'bytes must be a Uint8Array', () => staged.write(0, 'hello'));
    refused(TypeError, 'id must be', () => tx.stage('0'));
    refused(TypeError, 'count must be a number', () => tx.alloc(1n));
    refused(TypeError, 'count must be a number', () => tx.allocProtected('1'));
    refused(TypeError, 'ids must be an array of BigInts, not bigint', () => tx.free(3n));
    refused(TypeError, 'ids[1] must be a BigInt', () => tx.freeProtected([0n, '1']));
  });
  assert.equal(text(file.viewProtected(page), 5), 'hello');
  // One that is misspelled would open it to write.
  for (const [options, begins] of [
    [{ readonly: true }, 'there is no option readonly'],
    [{ readOnly: 'no' }, 'readOnly must be a boolean, not string'],
    [{ unlocked: 1 }, 'unlocked must be a boolean, not number'],
  ]) {
    await assert.rejects(open(name, options), (error) => error instanceof TypeError && error.message === begins);
    const { readOnly, ...others } = options;
    if (readOnly === undefined) await assert.rejects(create(`${name}.2`, others), TypeError);
  }
  await assert.rejects(create(7), TypeError);
  await assert.rejects(create(`${name}.2`, { pageSize: '4096' }), TypeError);
  await assert.rejects(create(`${name}.2`, { format: '1' }), /TypeError: format must be a number, not string/);
  assert.deepEqual(fs.readdirSync(folder), ['data.pages']);
});

test('argument_of_a_wrong_range_is_named', async () => {
  const view = file.view(regular);
  for (const [begins, operation] of [
    ['offset must be an integer of 0 to', () => view.write(-4, bytes('OOPS'))],
    ['offset must be an integer of 0 to', () => view.read(-1, 2)],
    ['offset must be an integer of 0 to', () => view.read(0.5, 2)],
    ['offset must be an integer of 0 to', () => view.write(NaN, bytes('x'))],
    ['len must be an integer of 0 to', () => view.read(0, -1)],
    ['offset 4092 and 5 bytes: the page has 4096', () => view.write(4092, bytes('12345'))],
    ['offset 4097 and 0 bytes', () => view.read(4097)],
    ['id must be 0 to 2^64 - 1', () => file.view(2n ** 64n)],
    ['id must be 0 to 2^64 - 1', () => file.view(-1n)],
    ['id must be an integer', () => file.view(1.5)],
    ['id must be an integer, and a BigInt', () => file.view(2 ** 60)],
  ]) {
    refused(RangeError, begins, operation);
  }
  file.commit((tx) => {
    const staged = tx.stage(page);
    refused(RangeError, 'offset must be', () => staged.write(-4, bytes('OOPS')));
    refused(RangeError, 'offset 4095 and 2 bytes', () => staged.write(4095, bytes('ab')));
    refused(RangeError, 'count must be', () => tx.alloc(2 ** 32));
    refused(RangeError, 'ids[0] must be', () => tx.free([2n ** 64n + regular]));
  });
  await assert.rejects(create(`${name}.2`, { pageSize: 1000 }), RangeError);
  await assert.rejects(create(`${name}.2`, { pageCount: -1 }), RangeError);
  await assert.rejects(create(`${name}.2`, { format: 2 }), /RangeError: format must be an integer of 0 to 1, not 2/);
  assert.deepEqual(fs.readdirSync(folder), ['data.pages']);
});

test('integers_will_do_as_ids', () => {
  file.view(Number(regular)).write(4000, bytes('number'));
  assert.equal(file.view(regular).read(4000).length, 96);
  assert.equal(file.view(regular).read().length, file.view(regular).size);
  file.commit((tx) => tx.free([Number(regular)]));
  assert.throws(() => file.view(regular), failed('not-allocated'));
});

/** It committed nothing, and then failed with "not a valid Transaction". */
test('change_that_is_async_is_refused_and_rolled_back', async () => {
  let late;
  refused(TypeError, 'change is async', () =>
    file.commit(async (tx) => {
      tx.stage(page).write(0, bytes('never'));
      await null;
      try {
        tx.alloc(1);
      } catch (error) {
        late = error;
      }
      throw new Error('nobody hears of it');
    }),
  );
  refused(TypeError, 'change is async', () => file.commit(() => ({ then: () => {} })));
  // Nothing of these would run.
  for (const change of [function* () {}, async function* () {}]) {
    refused(TypeError, 'change must be a function that does it at once', () => file.commit(change));
  }
  await new Promise((done) => setTimeout(done, 10));
  assert(failed('ended')(late));
  assert.equal(text(file.viewProtected(page), 5), 'hello');
  file.commit((tx) => tx.stage(page).write(0, bytes('later')));
  assert.equal(text(file.viewProtected(page), 5), 'later');
});

test('transaction_that_is_over_says_so', () => {
  let kept;
  assert.throws(() => file.commit((tx) => {
    kept = tx;
    throw new SyntaxError('of the caller');
  }), SyntaxError);
  assert.throws(() => kept.alloc(1), failed('ended'));
  file.commit((tx) => (kept = tx, undefined));
  assert.throws(() => kept.stage(page), failed('ended'));
});

test('second_close_is_no_error_and_calls_after_it_say_closed', async () => {
  const view = file.view(regular);
  file.close();
  file.close();
  for (const call of [
    () => file.stats(),
    () => file.view(regular),
    () => file.viewProtected(page),
    () => file.sync(),
    () => file.commit(() => {}),
  ]) {
    assert.throws(call, (error) => failed('closed')(error) && error.message === `${name} is closed`);
  }
  assert.throws(() => view.read(), failed('ended', name));
  file = await open(name);
  assert.throws(() => file.commit(() => file.close()), failed('closed', name));
  file = await open(name);
  file.commit((tx) => void tx.stage(page)); // where it is, is known now
  assert.throws(() => file.commit((tx) => {
    file.close();
    tx.stage(page);
  }), failed('closed', name));
});

test('file_that_is_there_is_named_and_no_temporary_stays', async () => {
  await assert.rejects(create(name), (error) => {
    assert.equal(error.code, 'EEXIST');
    assert.equal(error.path, name);
    assert(!error.message.includes('.new-'), error.message);
    return true;
  });
  const nowhere = path.join(folder, 'nowhere', 'data.pages');
  await assert.rejects(create(nowhere), (error) => {
    assert.deepEqual([error.code, error.path], ['ENOENT', nowhere]);
    assert(error.message.endsWith(`'${nowhere}'`), error.message);
    return true;
  });
  assert.deepEqual(fs.readdirSync(folder), ['data.pages']);
});

test('what_is_no_regular_file_is_refused_at_once', async () => {
  const pipe = path.join(folder, 'pipe');
  execFileSync('mkfifo', [pipe]);
  await assert.rejects(open(pipe), /not a regular file/);
  await assert.rejects(open(folder));
});

test('what_is_no_page_file_is_refused', async () => {
  for (const data of [bytes(''), bytes('hello'), bytes('PBOXROOT'.repeat(1000)), new Uint8Array(1 << 22).fill(7)]) {
    fs.writeFileSync(`${name}.2`, data);
    await assert.rejects(open(`${name}.2`), failed('not-a-page-file'));
    assert(fs.readFileSync(`${name}.2`).equals(data));
  }
});

test('sandbox_that_failed_says_so_and_its_lock_is_given_up', async () => {
  const { checksums } = Store.prototype;
  file.close();
  file = await open(name);
  Store.prototype.checksums = () => {
    throw new SyntaxError('what only a bug can do');
  };
  try {
    assert.throws(() => file.viewProtected(page), failed('sandbox', 'failed in viewProtected', name));
    assert.throws(() => file.sync(), failed('sandbox', 'failed before', name));
    assert.throws(() => file.commit(() => {}), failed('sandbox'));
  } finally {
    Store.prototype.checksums = checksums;
  }
  file.close();
  file = await open(name);
  assert.equal(text(file.viewProtected(page), 5), 'hello');
});

test('part_of_the_component_that_failed_is_loaded_again', async () => {
  let loads = 0;
  const compiled = parts(async () => {
    loads += 1;
    return loads === 1 ? bytes('no module') : Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0);
  });
  await assert.rejects(compiled('a part'), WebAssembly.CompileError);
  assert(await compiled('a part') instanceof WebAssembly.Module);
  assert.equal(await compiled('a part'), await compiled('a part'));
  assert.equal(loads, 2);
});

/** Somebody else makes a file shorter while it is open: no argument is wrong. */
test('page_that_is_gone_is_named_with_its_file', () => {
  const view = file.view(regular);
  file.commit((tx) => {
    fs.truncateSync(name, 4096);
    const gone = failed('out-of-bounds', `page ${regular} `, name);
    assert.throws(() => view.read(), gone);
    assert.throws(() => view.write(0, bytes('x')), gone);
    assert.throws(() => view.checksum(), gone);
    assert.throws(() => tx.stage(page), failed('out-of-bounds', name));
    assert.throws(() => file.view(regular), failed('store'));
    assert.throws(() => file.viewProtected(page), failed('store'));
  });
  assert.equal(fs.statSync(name).size, 4096);
});

test('tags_of_the_host_s_own_are_documented', () => {
  const read = (name) => fs.readFileSync(new URL(`../${name}`, import.meta.url), 'utf8');
  const names = fs.readdirSync(new URL('../src', import.meta.url)).filter((name) => name.endsWith('.js'));
  const sources = names.map((name) => read(`src/${name}`));
  // The last argument of what makes an error. Others are the component's.
  const made = /\b(?:PagerError|other)\((?:[^;]*?), '([a-z-]+)'[,)]/g;
  const tags = new Set(sources.flatMap((source) => Array.from(source.matchAll(made), ([, tag]) => tag)));
  for (const tag of ['closed', 'ended', 'locked', 'out-of-bounds', 'sandbox', 'store']) assert(tags.has(tag), tag);
  // Of the WIT's `error`, which are documented there.
  for (const tag of ['changed', 'not-protected', 'other']) tags.delete(tag);
  const doc = (text) => /Why an operation was not done, in.*?class PagerError/s.exec(text)[0];
  const declared = /class PagerError.*?tag: string;\n\}/s.exec(read('src/types.d.ts'))[0];
  for (const text of [read('../examples/README.md'), doc(read('src/errors.js')), declared]) {
    assert.deepEqual(Array.from(tags).filter((tag) => !text.includes(`\`${tag}\``)), [], text.slice(0, 60));
  }
});
