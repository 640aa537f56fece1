// What the package does in Node, from beginning to end.

import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { afterEach, beforeEach, test } from 'node:test';

import * as pagebox from 'pagebox';

import { begun, bytes, failed, format, text } from './begun.js';

const { inspect, open } = pagebox;

let folder, name, file, regular, page;

beforeEach(async () => {
  ({ folder, name, file, regular, page } = await begun());
});

afterEach(() => {
  file.close();
  fs.rmSync(folder, { recursive: true });
});

test('file_is_as_it_was_left_when_it_is_opened_again', async () => {
  file.view(regular).write(7, bytes('bytes'));
  file.sync();
  file.commit((tx) => tx.stage(page).write(0, bytes('again')));
  file.close();
  file = await open(name);
  assert.equal(text(file.viewProtected(page), 5), 'again');
  assert.equal(new TextDecoder().decode(file.view(regular).read(7, 5)), 'bytes');
  assert.deepEqual(Array.from(file.protectedPages()), [page]);
});

test('change_that_throws_leaves_nothing', () => {
  const { generation } = file.stats();
  assert.throws(() => file.commit((tx) => {
    tx.stage(page).write(0, bytes('never'));
    tx.alloc(3);
    throw new SyntaxError('of the caller');
  }), SyntaxError);
  assert.equal(text(file.viewProtected(page), 5), 'hello');
  assert.deepEqual(Array.from(file.regularPages()), [regular]);
  assert.equal(file.stats().generation, generation);
});

test('file_opened_to_read_changes_nothing', async () => {
  const reader = await open(new URL(`file://${name}`), { readOnly: true });
  assert.equal(text(reader.viewProtected(page), 5), 'hello');
  assert.throws(() => reader.commit(() => {}), failed('read-only'));
  assert.throws(() => reader.view(regular).write(0, bytes('x')), failed('read-only'));
  reader.close();
});

/** What `using` does at the end of a block. */
test('file_is_closed_when_it_is_disposed_of', async () => {
  if (format === 1) {
    const state = file.committedState();
    state[Symbol.dispose]();
    assert.throws(() => state.viewProtected(page), failed('closed'));
  }
  file[Symbol.dispose]();
  file[Symbol.dispose]();
  assert.throws(() => file.stats(), failed('closed'));
  file = await open(name); // nobody has it
});

test('inspection_says_what_is_in_a_file_be_it_damaged', async () => {
  const looked = async () => {
    const inspection = await inspect(name);
    const found = [inspection.summary(), inspection.pageKinds(), inspection.kinds(0, 100)];
    inspection[Symbol.dispose]();
    assert.throws(() => inspection.summary(), failed('closed'));
    return found;
  };
  const [summary, kinds, codes] = await looked();
  assert.deepEqual([summary.regularPages, summary.protectedPages, summary.pageSize], [1n, 1n, 4096]);
  assert.equal(summary.recovery.verdict, 'clean');
  assert.equal(codes.length, Number(summary.filePages));
  const named = kinds.find((kind) => kind.name === 'regular');
  assert.deepEqual([named.count, codes[Number(regular)]], [1n, named.code]);
  file.close();
  const found = fs.readFileSync(name);
  fs.writeFileSync(name, found.fill(7, 600));
  const [damaged] = await looked();
  assert.notEqual(damaged.recovery.verdict, 'clean');
  assert(damaged.recovery.explanation.length > 0);
  fs.writeFileSync(name, 'no page file');
  await assert.rejects(inspect(name), failed('not-a-page-file'));
});

test('exports_are_those_that_are_declared', () => {
  assert.deepEqual(Object.keys(pagebox), ['PagerError', 'create', 'inspect', 'open']);
});
