// The store, on a file in memory.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { createXXHash128 } from '../pager/xxhash128.js';
import { Store } from '../src/page-store.js';
import { bytes, failed } from './begun.js';

/** A store of four pages of 1 KiB in memory, and its bytes. */
function inMemory(options) {
  const medium = { bytes: new Uint8Array(4096), syncs: 0, sizes: 0, writes: 0 };
  const resize = (size) => {
    const before = medium.bytes;
    medium.bytes = new Uint8Array(size);
    medium.bytes.set(before.subarray(0, size));
  };
  const memory = {
    name: 'memory.pages',
    size: () => {
      medium.sizes += 1;
      return medium.bytes.length;
    },
    read: (into, at) => {
      if (at + into.length > medium.bytes.length) throw new Error('the file ends early');
      into.set(medium.bytes.subarray(at, at + into.length));
    },
    write: (buffers, at) => {
      medium.writes += 1;
      for (const from of buffers) {
        medium.bytes.set(from, at);
        at += from.length;
      }
    },
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

test('what_the_system_refuses_names_the_file', () => {
  const { store, memory } = inMemory();
  const view = store.view(1n, 'read-write');
  const failing = () => {
    throw new Error('it rots');
  };
  for (const [what, operation] of [
    ['size', () => view.write(0, bytes('x'))],
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

/** Each is a call of the system. */
test('store_asks_for_the_size_once_a_write_and_not_for_each_page', () => {
  const { store, medium, memory } = inMemory();
  const view = store.view(3n, 'read-write');
  const before = medium.sizes;
  for (let count = 0; count < 9; count += 1) view.read();
  assert.equal(medium.sizes, before);
  const pages = () => [0, 1, 2, 3].map((page) => medium.bytes[1024 * page]);
  const synced = [];
  memory.sync = () => synced.push(pages());
  // Pages 0 and 1 at once, since they are adjacent; 2 is too, but behind a sync.
  store.write([whole(0n, 1), whole(1n, 2), { tag: 'sync' }, whole(2n, 3), whole(1n, 4)]);
  assert.deepEqual([medium.sizes, medium.writes], [before + 1, 3]);
  assert.deepEqual([synced, pages()], [[[1, 2, 0, 0]], [1, 4, 3, 0]]);
  store.write([zero(0n, 4n)]);
  assert.equal(medium.writes, 4);
  assert(medium.bytes.every((byte) => byte === 0));
  // Somebody else may change the file of a reader.
  const { store: reader, medium: theirs } = inMemory({ readOnly: true });
  const shown = reader.view(3n, 'read');
  const asked = theirs.sizes;
  shown.read();
  assert.equal(theirs.sizes, asked + 1);
});

test('page_that_somebody_cut_off_is_out_of_bounds_though_nobody_asked', () => {
  const { store, medium } = inMemory();
  const [kept, gone] = [store.view(1n, 'read-write'), store.view(3n, 'read-write')];
  medium.bytes = medium.bytes.subarray(0, 2048);
  assert.throws(() => gone.read(), failed('out-of-bounds', 'page 3 ', 'memory.pages'));
  assert.throws(() => gone.read(), failed('out-of-bounds'));
  assert.throws(() => store.copy(2n), failed('out-of-bounds'));
  assert.equal(kept.read().length, 1024);
  assert.throws(() => store.write([whole(1n, 1), whole(2n, 1)]), failed('out-of-bounds'));
  assert.equal(medium.bytes[1024], 0);
});
