// Committed states and snapshots in Node: what is not in the list `states.txt` of
// `host/tests/languages`, which every host does.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { afterEach, beforeEach, test } from 'node:test';

import { open } from 'pagebox';

import { Store } from '../src/page-store.js';
import { begun, bytes, failed, format, PAGEBOX, refusedIn, text } from './begun.js';

let folder, name, file, regular, page;

beforeEach(async () => {
  ({ folder, name, file, regular, page } = await begun());
});

afterEach(() => {
  file.close();
  fs.rmSync(folder, { recursive: true });
});

const refused = (...expected) => refusedIn(name, ...expected);

const ofFormat1 = { skip: format === 0 };
const write = (word) => file.commit((tx) => tx.stage(page).write(0, bytes(word)));

test('snapshot_has_a_name_a_generation_and_a_time', ofFormat1, () => {
  const before = BigInt(Date.now()) * 1_000_000n;
  const monday = file.createSnapshot('monday');
  assert.deepEqual([monday.name, monday.generation], ['monday', file.stats().generation]);
  assert(before <= monday.time && monday.time <= BigInt(Date.now()) * 1_000_000n);
  write('other');
  const state = file.snapshot('monday');
  assert.equal(state.generation, monday.generation);
  state.close();
  const tuesday = file.createSnapshot('t\u00fcesday');
  assert.deepEqual(file.snapshots(), [monday, tuesday]);
  assert.equal(file.snapshotPages(tuesday.name), 0n);
  const alone = file.snapshotPages('monday');
  assert(alone > 0n);
  assert.equal(file.restoreSnapshot('monday'), 1n);
  assert.equal(file.deleteSnapshot('monday'), alone);
  assert.deepEqual(file.snapshots(), [tuesday]);
  execFileSync(PAGEBOX, ['check', name]);
});

test('name_of_a_snapshot_is_checked_and_errors_say_it', ofFormat1, () => {
  file.createSnapshot('monday');
  for (const what of ['createSnapshot', 'snapshot', 'deleteSnapshot', 'restoreSnapshot', 'snapshotPages']) {
    for (const wrong of [undefined, null, 7, bytes('monday')]) {
      refused(TypeError, 'name must be a string, not ', () => file[what](wrong));
    }
    refused(RangeError, 'name has halves of characters', () => file[what]('\ud800'));
    if (what !== 'createSnapshot') {
      assert.throws(() => file[what]('tuesday'), failed('no-snapshot', 'there is no snapshot "tuesday"'));
    }
  }
  refused(TypeError, 'before must be a string, not number', () => file.changes(7));
  refused(TypeError, 'after must be a string, not null', () => file.changes(undefined, null));
  assert.throws(() => file.changes('monday', 'tuesday'), failed('no-snapshot', '"monday", "tuesday"'));
  assert.throws(() => file.createSnapshot('monday'), failed('is-snapshot', 'there is a snapshot "monday" already'));
  for (const wrong of ['', 'n'.repeat(65), 'a\0b', 'n'.repeat(1 << 20)]) {
    assert.throws(() => file.createSnapshot(wrong), failed('snapshot-name'));
  }
  const state = file.committedState();
  refused(TypeError, 'id must be a BigInt', () => state.viewProtected('0'));
  refused(RangeError, 'id must be 0 to', () => state.viewProtected(2n ** 64n));
  refused(RangeError, 'id must be 0 to', () => state.viewProtected(-1));
  state.close();
});

test('state_keeps_pages_until_it_is_closed', ofFormat1, () => {
  const oldest = () => file.stats().oldestView;
  assert.equal(oldest(), undefined);
  const state = file.committedState();
  for (let count = 0; count < 4; count += 1) write('other');
  assert.equal(oldest(), state.generation);
  const { heldPages } = file.stats();
  state.close();
  state.close();
  assert.equal(oldest(), undefined);
  write('other');
  assert(file.stats().heldPages < heldPages);
  const next = file.committedState();
  next[Symbol.dispose ?? Symbol.for('dispose')]();
  assert.throws(() => next.viewProtected(page), failed('closed'));
});

test('reader_of_a_snapshot_needs_no_lock_and_is_told_of_its_end', ofFormat1, async () => {
  file.createSnapshot('monday');
  const reader = await open(name, { readOnly: true });
  const state = reader.snapshot('monday');
  for (const word of ['other', 'third']) {
    write(word);
    assert.equal(text(state.viewProtected(page), 5), 'hello');
  }
  assert.equal(reader.isCurrent(), false);
  assert.equal(file.isCurrent(), true);
  const kept = state.viewProtected(page);
  file.deleteSnapshot('monday');
  for (let count = 0; count < 8; count += 1) write('later');
  assert.throws(() => state.viewProtected(page), failed('changed'));
  assert.equal(text(kept, 5), 'hello'); // a copy
  reader.close();
});

test('transaction_that_is_open_ends_with_a_restore', ofFormat1, () => {
  file.createSnapshot('monday');
  write('other');
  const view = file.viewProtected(page);
  assert.throws(() => file.commit((tx) => {
    tx.stage(page).write(0, bytes('never'));
    assert.equal(file.restoreSnapshot('monday'), 1n);
  }), failed('stale-transaction'));
  assert.throws(() => view.read(), failed('ended'));
  assert.equal(text(file.viewProtected(page), 5), 'hello');
  write('later');
});

test('lists_are_whole_and_in_order_however_long', ofFormat1, () => {
  file.createSnapshot('monday');
  const [made, regulars] = file.commit((tx) => {
    const [made, regulars] = [tx.allocProtected(600), tx.alloc(600)];
    tx.free(regulars.filter((_, at) => at % 2 === 0));
    return [made, regulars];
  });
  const odd = (list) => list.filter((_, at) => at % 2 === 1);
  assert.deepEqual(Array.from(file.protectedPages()), [page, ...made]);
  const left = [regular, ...odd(regulars)].sort((one, other) => Number(one - other));
  assert.deepEqual(Array.from(file.regularPages()), left);
  const state = file.committedState();
  const listed = state.protectedPages();
  assert.equal(listed.next().value, page);
  file.commit((tx) => tx.freeProtected(made.filter((_, at) => at % 2 === 0)));
  assert.deepEqual(Array.from(listed), made);
  assert.deepEqual(Array.from(file.changes('monday')), odd(made).map((page) => ({ page, change: 'added' })));
  const ended = state.protectedPages();
  state.close();
  for (let count = 0; count < 256; count += 1) ended.next(); // those are here already
  assert.throws(() => ended.next(), failed('closed'));
  const closed = file.protectedPages();
  file.close();
  assert.equal(closed.next().value, page);
  assert.throws(() => Array.from(closed), failed('closed'));
});

test('page_of_a_state_that_went_bad_is_never_shown', ofFormat1, () => {
  file.createSnapshot('monday');
  write('other');
  const state = file.snapshot('monday');
  const found = fs.readFileSync(name);
  const bad = fs.openSync(name, 'r+');
  fs.writeSync(bad, bytes('jello'), 0, 5, found.lastIndexOf('hello'));
  fs.closeSync(bad);
  assert.throws(() => state.viewProtected(page), failed('checksum-mismatch', `protected page ${page} `));
  assert.throws(() => file.restoreSnapshot('monday'), failed('checksum-mismatch'));
  assert.equal(text(file.viewProtected(page), 5), 'other');
  write('third');
});

test('sandbox_that_failed_ends_states', ofFormat1, () => {
  const state = file.committedState();
  const view = state.viewProtected(page);
  const { checksums } = Store.prototype;
  Store.prototype.checksums = () => {
    throw new SyntaxError('what only a bug can do');
  };
  try {
    assert.throws(() => file.viewProtected(page), failed('sandbox'));
  } finally {
    Store.prototype.checksums = checksums;
  }
  for (const call of [
    () => state.viewProtected(page),
    () => state.protectedPages(),
    () => file.committedState(),
    () => file.createSnapshot('monday'),
  ]) {
    assert.throws(call, failed('sandbox'));
  }
  assert.equal(text(view, 5), 'hello'); // a copy
  state.close();
  assert.throws(() => view.read(), failed('ended'));
});

test('format_that_has_no_states_says_so_and_goes_on', { skip: format === 1 }, () => {
  assert.deepEqual(file.snapshots(), []);
  for (const call of [
    () => file.committedState(),
    () => file.createSnapshot('monday'),
    () => file.changes(),
    () => file.changes('monday'),
  ]) {
    assert.throws(call, failed('not-supported'));
  }
  for (const what of ['snapshot', 'deleteSnapshot', 'restoreSnapshot', 'snapshotPages']) {
    assert.throws(() => file[what]('monday'), failed('no-snapshot'));
  }
  assert.deepEqual(Array.from(file.protectedPages()), [page]);
  assert.deepEqual(Array.from(file.regularPages()), [regular]);
  write('after');
  assert.equal(file.isCurrent(), true);
});
