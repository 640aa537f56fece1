// Pages in Node: allocated, staged, committed, read.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { afterEach, beforeEach, test } from 'node:test';

import { create, open } from 'pagebox';

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

/** Buffers are used again: what was in them must not be. */
test('what_was_staged_is_never_seen_again', () => {
  const fill = (tx, ids) => {
    for (const id of ids) tx.stage(id).write(0, new Uint8Array(4096).fill(0xee));
  };
  const ids = file.commit((tx) => tx.allocProtected(8));
  const kept = [];
  file.commit((tx) => {
    fill(tx, ids.slice(0, 4));
    kept.push(...ids.slice(0, 4).map((id) => tx.stage(id)));
  });
  const rolledBack = new Error('rolled back');
  for (let round = 0; round < 3; round += 1) {
    assert.throws(() => file.commit((tx) => {
      fill(tx, ids);
      kept.push(tx.stage(ids[0]));
      throw rolledBack;
    }), rolledBack);
    const made = file.commit((tx) => {
      const made = tx.allocProtected(8);
      // A transaction within another one has buffers of its own.
      const outer = tx.stage(page);
      assert.throws(() => file.commit((inner) => {
        fill(inner, [page]);
        throw rolledBack;
      }), rolledBack);
      assert.equal(text(outer, 5), 'hello');
      for (const id of made) {
        assert(tx.stage(id).read().every((byte) => byte === 0));
        tx.stage(id).write(round, bytes('made'));
      }
      return made;
    });
    for (const view of kept) assert.throws(() => view.write(0, bytes('never')), failed('ended'));
    for (const id of made) {
      const found = file.viewProtected(id).read();
      assert.equal(new TextDecoder().decode(found.subarray(round, round + 4)), 'made');
      assert.equal(found.filter((byte) => byte !== 0).length, 4);
    }
    assert(file.viewProtected(ids[4]).read().every((byte) => byte === 0));
  }
});

test('write_that_the_system_does_in_parts_is_whole', () => {
  const { writevSync } = fs;
  let parts = 0;
  // Half of the first page that is left, then a page and a half, and so on.
  fs.writevSync = (fd, buffers, at) => {
    parts += 1;
    const some = parts % 2 === 0 ? buffers.slice(0, 1) : [];
    const next = buffers[some.length];
    if (next !== undefined) some.push(next.subarray(0, Math.ceil(next.length / 2)));
    return writevSync(fd, some, at);
  };
  syncBuiltinESMExports();
  const filled = (number) => new Uint8Array(4096).map((_, at) => at * number);
  let ids;
  try {
    ids = file.commit((tx) => {
      const ids = tx.allocProtected(40);
      ids.forEach((id, number) => tx.stage(id).write(0, filled(number)));
      return ids;
    });
  } finally {
    fs.writevSync = writevSync;
    syncBuiltinESMExports();
  }
  assert(parts > 40, `${parts} parts`);
  ids.forEach((id, number) => assert.deepEqual(file.viewProtected(id).read(), filled(number)));
});

test('commit_syncs_as_often_as_its_format_says', () => {
  const { fdatasyncSync } = fs;
  let syncs = 0;
  fs.fdatasyncSync = (fd) => {
    syncs += 1;
    fdatasyncSync(fd);
  };
  syncBuiltinESMExports();
  const change = (tx) => tx.stage(page).write(0, bytes('again'));
  const during = (operation) => {
    syncs = 0;
    operation();
    return syncs;
  };
  try {
    file.commit(change); // the first one may make the file longer
    assert.equal(during(() => file.commit(change)), format === 0 ? 2 : 1);
    if (format === 1) assert.equal(during(() => file.commit(change, { deferred: true })), 0);
    file.view(regular).write(0, bytes('bytes'));
    assert.equal(during(() => file.sync()), 1);
  } finally {
    fs.fdatasyncSync = fdatasyncSync;
    syncBuiltinESMExports();
  }
});
