// What goes wrong in a program that uses the Node host, and what becomes of it:
// `FORMAT=1 PAGEBOX=pagebox node --test misuse.test.js`.

import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';

import { createXXHash128 } from 'hash-wasm';

import { create, open, PagerError } from '../../../examples/hosts/node/pagebox.js';
import { parts } from '../../../examples/hosts/javascript/page-file.js';
import { Store } from '../../../examples/hosts/javascript/page-store.js';

const { PAGEBOX } = process.env;
const format = Number(process.env.FORMAT);
const bytes = (text) => new TextEncoder().encode(text);
const text = (view, len) => new TextDecoder().decode(view.read(0, len));

let folder, name, file, regular, page;

beforeEach(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'misuse-'));
  name = path.join(folder, 'data.pages');
  file = await create(name, { format });
  [regular, page] = file.commit((tx) => {
    const [made] = tx.allocProtected(1);
    tx.stage(made).write(0, bytes('hello'));
    return [tx.alloc(1)[0], made];
  });
});

afterEach(() => {
  file.close();
  fs.rmSync(folder, { recursive: true });
});

/** An error with a tag whose text has these words. */
const failed = (tag, ...words) => (error) => {
  assert(error instanceof PagerError, `${error.stack}`);
  assert.equal(error.tag, tag, error.message);
  for (const word of words) assert(error.message.includes(word), `${word} in ${error.message}`);
  return true;
};

/** An error of a class whose text begins so, and nothing done. */
function refused(kind, begins, operation) {
  const before = fs.readFileSync(name);
  assert.throws(operation, (error) => {
    assert.equal(error.constructor, kind, `${begins}: ${error.stack}`);
    assert(error.message.startsWith(begins), error.message);
    return true;
  });
  assert(fs.readFileSync(name).equals(before), `${begins}: the file changed`);
}

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

test('what_is_deferred_is_durable_after_a_sync_a_commit_or_a_close', async () => {
  const seenByOthers = async () => {
    const reader = await open(name, { readOnly: true });
    const found = text(reader.viewProtected(page), 5);
    reader.close();
    return found;
  };
  const defer = (word) => file.commit((tx) => tx.stage(page).write(0, bytes(word)), { deferred: true });
  if (format === 0) {
    assert.throws(() => defer('never'), failed('not-supported'));
    file.commit((tx) => tx.stage(page).write(0, bytes('after')));
    assert.equal(await seenByOthers(), 'after');
    return;
  }
  for (const [word, end] of [
    ['first', () => file.sync()],
    ['other', () => file.commit(() => {})],
    ['third', () => file.alloc()],
    ['close', () => file.close()],
  ]) {
    const before = await seenByOthers();
    defer(word);
    assert.equal(text(file.viewProtected(page), 5), word);
    assert.equal(await seenByOthers(), before);
    end();
    assert.equal(await seenByOthers(), word);
  }
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

test('operation_in_a_call_of_its_own_is_committed', async () => {
  const [made, id] = [file.alloc(), file.allocProtected()];
  assert.equal(text(file.viewProtected(id), 2), '\0\0');
  const before = file.stats().generation;
  const reader = await open(name, { readOnly: true });
  assert.equal(text(reader.view(made), 2), '\0\0');
  assert.throws(() => reader.alloc(), failed('read-only'));
  reader.close();
  file.free(Number(made));
  file.freeProtected(id);
  assert.equal(file.stats().generation, before + 2n);
  assert.throws(() => file.free(made), failed('not-allocated'));
  assert.throws(() => file.freeProtected(id), failed('not-protected'));
  refused(TypeError, 'id must be a BigInt', () => file.free('3'));
  refused(RangeError, 'id must be 0 to', () => file.freeProtected(-1n));
  file.commit((tx) => {
    tx.claimProtected([5, 9n]);
    assert.throws(() => tx.claimProtected([9]), failed('not-free'));
    tx.stage(9).write(0, bytes('hi'));
  });
  assert.equal(text(file.viewProtected(9), 2), 'hi');
});

// Of states: what is not in `states.txt`, which every host does.
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

test('staged_page_starts_as_what_was_committed_last', () => {
  const rolledBack = new Error('rolled back');
  for (let number = 0; number < 4; number += 1) {
    file.commit((tx) => {
      const view = tx.stage(page);
      assert.deepEqual(view.read(0, 6), Uint8Array.of(...bytes('hello'), number));
      view.write(5, Uint8Array.of(number + 1));
      assert.equal(tx.stage(Number(page)).read(5, 1)[0], number + 1);
      tx.alloc(1);
    });
    assert.throws(() => file.commit((tx) => {
      tx.stage(page).write(0, bytes('never'));
      throw rolledBack;
    }), rolledBack);
  }
  const id = file.allocProtected();
  const made = file.commit((tx) => {
    const [made] = tx.allocProtected(1);
    for (const fresh of [id, made]) assert(tx.stage(fresh).read().every((byte) => byte === 0));
    tx.stage(id).write(0, bytes('new'));
    tx.stage(made).write(0, bytes('made'));
    return made;
  });
  assert.deepEqual([page, id, made].map((id) => text(file.viewProtected(id), 3)), ['hel', 'new', 'mad']);
});

test('freed_page_is_staged_no_more', () => {
  const rolledBack = new Error('rolled back');
  assert.throws(() => file.commit((tx) => {
    const view = tx.stage(page);
    tx.freeProtected([page]);
    assert.throws(() => view.read(), failed('ended'));
    assert.throws(() => tx.stage(page), failed('not-protected'));
    throw rolledBack;
  }), rolledBack);
  file.commit((tx) => {
    assert.equal(text(tx.stage(page), 5), 'hello');
    tx.freeProtected([page]);
  });
  file.commit((tx) => {
    assert.throws(() => tx.stage(page), failed('not-protected'));
    assert.equal(tx.allocProtected(1)[0], page);
    assert(tx.stage(page).read().every((byte) => byte === 0));
  });
  assert.throws(() => file.commit((tx) => {
    tx.stage(page).write(0, bytes('x'));
    file.alloc();
  }), failed('stale-transaction'));
  assert.equal(text(file.viewProtected(page), 1), '\0');
});

test('page_whose_bytes_went_bad_is_not_staged', async () => {
  file.close();
  const found = fs.readFileSync(name);
  found.write('jello', found.lastIndexOf('hello'));
  fs.writeFileSync(name, found);
  file = await open(name);
  assert.throws(() => file.commit((tx) => tx.stage(page)), failed('checksum-mismatch'));
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

test('page_that_was_never_written_is_zeros_to_be_read', async () => {
  const id = file.commit((tx) => tx.allocProtected(1)[0]);
  const reader = await open(name, { readOnly: true });
  for (const opened of [file, reader]) {
    const view = opened.viewProtected(id);
    assert.deepEqual(view.read(), new Uint8Array(4096));
    assert.equal(view.read(4090, 6).length, 6);
    assert.throws(() => view.read(4090, 7), RangeError);
    assert.throws(() => view.write(0, bytes('never')), failed('read-only'));
  }
  reader.close();
  const view = file.viewProtected(id);
  file.commit((tx) => {
    assert.deepEqual(tx.stage(id).read(), new Uint8Array(4096));
    tx.stage(id).write(0, bytes('now'));
  });
  assert.throws(() => view.read(), failed('ended'));
  assert.equal(text(file.viewProtected(id), 4), 'now\0');
  assert.throws(() => file.viewProtected(id + 1n), failed('not-protected'));
});

test('file_without_its_first_bytes_is_read_where_it_says_them_again', async () => {
  for (const pageSize of [1024, 4096, 16384]) {
    const rotten = `${name}.${pageSize}`;
    const made = await create(rotten, { pageSize, format });
    const id = made.commit((tx) => {
      const [id] = tx.allocProtected(1);
      tx.stage(id).write(0, bytes('hello'));
      return id;
    });
    made.close();
    const found = fs.readFileSync(rotten);
    fs.writeFileSync(rotten, found.fill(0, 0, 512));
    if (format === 0) { // it says them once
      await assert.rejects(open(rotten), failed('not-a-page-file'));
      continue;
    }
    const read = await open(rotten, { readOnly: true });
    assert.equal(read.stats().pageSize, pageSize);
    assert.equal(text(read.viewProtected(id), 5), 'hello');
    read.close();
  }
});

test('what_is_no_page_file_is_refused', async () => {
  for (const data of [bytes(''), bytes('hello'), bytes('PBOXROOT'.repeat(1000)), new Uint8Array(1 << 22).fill(7)]) {
    fs.writeFileSync(`${name}.2`, data);
    await assert.rejects(open(`${name}.2`), failed('not-a-page-file'));
    assert(fs.readFileSync(`${name}.2`).equals(data));
  }
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

test('what_the_system_refuses_names_the_file', () => {
  const { store, memory } = inMemory();
  const view = store.view(1n, 'read-write');
  const failing = () => {
    throw new Error('it rots');
  };
  for (const [what, operation] of [
    ['size', () => view.read()],
    ['read', () => view.read()],
    ['write', () => view.write(0, bytes('x'))],
    ['sync', () => store.write([{ tag: 'sync' }])],
    ['grow', () => store.grow(9n)],
    ['truncate', () => store.truncate(1n)],
  ]) {
    const before = memory[what];
    memory[what] = failing;
    assert.throws(operation, (error) => {
      assert.deepEqual(error.payload, { tag: 'io', val: error.message });
      return failed('store', 'memory.pages', 'it rots')(error);
    });
    memory[what] = before;
  }
});

/** A store of four pages of 1 KiB in memory, and its bytes. */
function inMemory(options) {
  const medium = { bytes: new Uint8Array(4096), syncs: 0 };
  const resize = (size) => {
    const before = medium.bytes;
    medium.bytes = new Uint8Array(size);
    medium.bytes.set(before.subarray(0, size));
  };
  const memory = {
    name: 'memory.pages',
    size: () => medium.bytes.length,
    read: (into, at) => into.set(medium.bytes.subarray(at, at + into.length)),
    write: (from, at) => medium.bytes.set(from, at),
    grow: resize,
    truncate: resize,
    sync: () => (medium.syncs += 1),
  };
  return { store: new Store(memory, 1024, options), medium, memory };
}

const filled = (byte) => new Uint8Array(1024).fill(byte);
const whole = (page, byte) => ({ tag: 'bytes', val: { page, bytes: filled(byte) } });
const zero = (first, count) => ({ tag: 'zero', val: { first, count } });

test('changes_are_made_in_their_order_or_not_at_all', () => {
  const { store, medium } = inMemory();
  store.write([whole(1n, 1), { tag: 'order' }, whole(2n, 2), whole(1n, 2), zero(2n, 1n), { tag: 'sync' }]);
  assert.equal(medium.syncs, 2);
  const pages = () => [0, 1, 2, 3].map((page) => medium.bytes[1024 * page + 1023]);
  assert.deepEqual(pages(), [0, 2, 0, 0]);
  const view = store.view(1n, 'read-write');
  const held = { tag: 'held', val: { page: 0n, buffer: 0n } };
  const short = { tag: 'bytes', val: { page: 0n, bytes: new Uint8Array(1023) } };
  for (const [changes, tag] of [
    [[whole(0n, 1), whole(4n, 1)], 'out-of-bounds'],
    [[whole(0n, 1), zero(3n, 2n)], 'out-of-bounds'],
    [[zero(0n, 2n ** 64n - 1n)], 'out-of-bounds'],
    [[zero(0n, 4n), whole(0n, 1)], 'out-of-bounds'],
    [[whole(0n, 1), short], 'out-of-bounds'],
    [[whole(0n, 1), held], 'other'],
  ]) {
    assert.throws(() => store.write(changes), (error) => error.payload.tag === tag);
  }
  store.write([]);
  store.write([{ tag: 'sync' }, zero(3n, 0n)]);
  assert.deepEqual([pages(), medium.syncs], [[0, 2, 0, 0], 3]);
  assert.equal(view.read()[0], 2);
  store.write([whole(3n, 1)]);
  assert.throws(() => view.read(), failed('ended', 'memory.pages'));
});

test('file_that_becomes_shorter_ends_views_of_what_is_gone', () => {
  const { store, medium } = inMemory();
  const [kept, gone] = [store.view(1n, 'read-write'), store.view(2n, 'read-write')];
  store.truncate(4n);
  gone.share().read();
  assert.equal(store.truncate(2n).pageCount, 2n);
  assert.equal(medium.bytes.length, 2048);
  assert.throws(() => gone.read(), failed('ended', 'memory.pages'));
  store.grow(4n);
  for (const view of [gone, gone.share()]) assert.throws(() => view.read(), failed('ended'));
  kept.write(0, bytes('ok'));
  store.view(2n, 'read-write').write(0, bytes('ok'));
  const { store: reader } = inMemory({ readOnly: true });
  for (const change of [() => reader.truncate(1n), () => reader.grow(9n), () => reader.write([{ tag: 'sync' }])]) {
    assert.throws(change, failed('read-only', 'memory.pages'));
  }
});

test('checksums_are_those_of_the_contract', async () => {
  const { store: bare } = inMemory();
  const [sum] = bare.checksums(BigUint64Array.of(0n), 'crc32');
  assert.deepEqual(sum, { algorithm: 'crc32', low: 0xefb5af2en, high: 0n });
  assert.throws(() => bare.checksums(BigUint64Array.of(0n), 'xxh3'), failed('other'));
  const { store } = inMemory({ xxh3: await createXXHash128() });
  for (const [data, low, high] of [
    ['', 0x6001c324468d497fn, 0x99aa06d3014798d8n],
    ['-hello-', 0xc779cfaa5e523818n, 0xb5e9c1ad071b3e7fn],
  ]) {
    const part = bytes(data).subarray(1, 6);
    assert.deepEqual(store.checksum('xxh3', part), { algorithm: 'xxh3', low, high });
  }
});

test('tags_of_the_host_s_own_are_documented', () => {
  const read = (name) => fs.readFileSync(new URL(`../../../examples/${name}`, import.meta.url), 'utf8');
  const names = fs.readdirSync(new URL('../../../examples/hosts/javascript', import.meta.url)).map((name) => `javascript/${name}`);
  names.push('node/pagebox.js', 'browser/opfs.js');
  const sources = names.map((name) => read(`hosts/${name}`));
  // The last argument of what makes an error. Others are the component's.
  const made = /\b(?:PagerError|other)\((?:[^;]*?), '([a-z-]+)'[,)]/g;
  const tags = new Set(sources.flatMap((source) => Array.from(source.matchAll(made), ([, tag]) => tag)));
  for (const tag of ['closed', 'ended', 'locked', 'out-of-bounds', 'sandbox', 'store']) assert(tags.has(tag), tag);
  // Of the WIT's `error`, which are documented there.
  for (const tag of ['changed', 'not-protected', 'other']) tags.delete(tag);
  const doc = (text) => /Why an operation was not done.*?class PagerError/s.exec(text)[0];
  const declared = /class PagerError.*?tag: string;\n\}/s.exec(read('hosts/node/pagebox.d.ts'))[0];
  for (const text of [read('README.md'), doc(sources[names.indexOf('javascript/page-store.js')]), declared]) {
    assert.deepEqual(Array.from(tags).filter((tag) => !text.includes(`\`${tag}\``)), [], text.slice(0, 60));
  }
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

test('lock_ends_with_the_process', async () => {
  file.close();
  const script = `
    import { open } from '${import.meta.resolve('../../../examples/hosts/node/pagebox.js')}';
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
    import { open } from '${import.meta.resolve('../../../examples/hosts/node/pagebox.js')}';
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
