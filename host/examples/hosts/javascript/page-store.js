// A page store for the pager component, on any file with synchronous reads and
// writes: the import `page-store`, in Node and in the browser.
//
// A file is an object with a `name`, which errors name, and `size()`,
// `read(bytes, at)`, `write(bytes, at)`, `grow(size)`, `truncate(size)` and
// `sync()`. Reading fills all of `bytes`; growing reserves the space and is
// durable.
//
// Format 0 asks for CRC-32, which is here, and format 1 for XXH3, which is that of
// the package `hash-wasm`. A store without it answers `other`.

/** What ends a thing: of older JavaScript, as the component's glue has it. */
export const dispose = Symbol.dispose ?? Symbol.for('dispose');

/**
 * Why an operation was not done, in a sentence. `tag` is the case of the WIT's
 * `error` (`not-allocated`), or one of the host's own: `closed`, `ended` (a view
 * or a transaction), `read-only`, `out-of-bounds` (somebody made the file
 * shorter), `store` (the file failed), `sandbox` (the component failed: close the
 * file and open it again); in Node `locked`, `unlockable`.
 */
export class PagerError extends Error {
  name = 'PagerError';

  constructor(text, tag, options) {
    super(text, options);
    this.tag = tag;
  }
}

/** What the component is told of an error: a case of `store-error`. */
function told(error, payload) {
  // Not shown with the error.
  return Object.defineProperty(error, 'payload', { value: payload });
}

function outOfBounds(text) {
  return told(new PagerError(text, 'out-of-bounds'), { tag: 'out-of-bounds' });
}

function readOnly(text) {
  return told(new PagerError(text, 'read-only'), { tag: 'read-only' });
}

function other(text, tag) {
  return told(new PagerError(text, tag), { tag: 'other', val: text });
}

function ended(why) {
  return other(`this view has ended: ${why}`, 'ended');
}

/** An argument that is to be an integer of 0 to `max`, as a number. */
export function integer(name, value, max) {
  if (typeof value !== 'number') throw new TypeError(`${name} must be a number, not ${kind(value)}`);
  if (!Number.isInteger(value) || value < 0 || value > max) {
    throw new RangeError(`${name} must be an integer of 0 to ${max}, not ${value}`);
  }
  return value;
}

/** An argument that is to be a number of 64 bits, as a BigInt. */
export function u64(name, value) {
  if (typeof value !== 'bigint' && typeof value !== 'number') {
    throw new TypeError(`${name} must be a BigInt or an integer, not ${kind(value)}`);
  }
  if (typeof value === 'number' && !Number.isSafeInteger(value)) {
    throw new RangeError(`${name} must be an integer, and a BigInt past ${Number.MAX_SAFE_INTEGER}, not ${value}`);
  }
  if (value < 0 || value >= 1n << 64n) throw new RangeError(`${name} must be 0 to 2^64 - 1, not ${value}`);
  return BigInt(value);
}

export function kind(value) {
  return value === null ? 'null' : typeof value === 'object' ? (value.constructor?.name ?? 'an object') : typeof value;
}

export class Store {
  #file;
  #pageSize;
  #readOnly;
  #xxh3;
  #ended = false;
  // What may be written by number, and the pages that it was written to.
  #buffers = [];
  #written = new Map();
  // Grows when the pages change: what was shown of them has ended then.
  #state = 0;
  // The page counts that the file was made shorter to: what was shown of pages
  // past those has ended too.
  #cuts = [];

  /** `xxh3` is what `createXXHash128` of `hash-wasm` gives. */
  constructor(file, pageSize, { readOnly = false, xxh3 } = {}) {
    this.#file = file;
    this.#pageSize = pageSize;
    this.#readOnly = readOnly;
    this.#xxh3 = xxh3;
  }

  /** Ends the store, and its views: its file may be another one's soon. */
  [dispose]() {
    this.#ended = true;
  }

  get name() {
    return this.#file.name;
  }

  get pageSize() {
    return this.#pageSize;
  }

  get readOnly() {
    return this.#readOnly;
  }

  /** Another store on the same file, to read it. */
  reader() {
    return new Store(this.#file, this.#pageSize, { readOnly: true, xxh3: this.#xxh3 });
  }

  get state() {
    return this.#ended ? undefined : this.#state;
  }

  get cuts() {
    return this.#cuts;
  }

  geometry() {
    if (this.#ended) throw new PagerError(`${this.name} is closed`, 'closed');
    const size = this.#file.size();
    const tail = size % this.#pageSize;
    return { pageSize: this.#pageSize, pageCount: BigInt((size - tail) / this.#pageSize), tail };
  }

  /** What a file throws becomes an `err` value instead of a trap. */
  #io(operation) {
    try {
      return operation();
    } catch (error) {
      if (error instanceof PagerError) throw error;
      const full = error.code === 'ENOSPC' || error.code === 'EDQUOT' || error.name === 'QuotaExceededError';
      const text = `${this.name} failed: ${error.message}`;
      const payload = full ? { tag: 'insufficient-space' } : { tag: 'io', val: text };
      throw told(new PagerError(text, 'store', { cause: error }), payload);
    }
  }

  #pageCount() {
    return this.#io(() => this.geometry().pageCount);
  }

  #expectWritable() {
    if (this.#readOnly) throw readOnly(`${this.name} was opened to read`);
  }

  read(page, offset, len) {
    const at = this.#position(page, offset, len);
    const bytes = new Uint8Array(len);
    this.#io(() => this.#file.read(bytes, at));
    return bytes;
  }

  /** Buffers that a pager may write by number: 0, 1 and so on. */
  hold(buffers) {
    this.#buffers = buffers;
    this.#written = new Map();
  }

  /** The pages that buffers were written to, by number. */
  get written() {
    return this.#written;
  }

  checksums(pages, algorithm) {
    return Array.from(pages, (page) => this.checksum(algorithm, this.read(page, 0, this.#pageSize)));
  }

  /** The checksum of bytes, as the WIT has it. */
  checksum(algorithm, bytes) {
    if (algorithm === 'crc32') return { algorithm, low: BigInt(crc32(bytes)), high: 0n };
    if (algorithm !== 'xxh3' || this.#xxh3 === undefined) throw other(`this host has no ${algorithm}`, 'other');
    // The digest has the bytes of the whole number, the highest first.
    const digest = new DataView(this.#xxh3.init().update(bytes).digest('binary').buffer);
    return { algorithm, low: digest.getBigUint64(8), high: digest.getBigUint64(0) };
  }

  view(page, access) {
    this.#position(page, 0, 0);
    return new PageView(this, { page, access });
  }

  stage(source) {
    const size = this.#pageSize;
    return new PageView(this, {
      staged: { bytes: source === undefined ? new Uint8Array(size) : this.read(source, 0, size) },
      owner: true,
    });
  }

  write(changes) {
    if (changes.length > 0) this.#expectWritable();
    const writes = changes.map((change) => this.#native(change));
    // All of it before anything is changed.
    const pageCount = this.#pageCount();
    let touched = 0n;
    for (const { page, count } of writes) {
      touched += count;
      if (page + count > pageCount || touched > pageCount) {
        throw this.#outside(`${count} pages from ${page}`, pageCount);
      }
    }
    if (touched > 0n) this.#state += 1;
    for (const { page, count, bytes } of writes) {
      if (count === 0n && bytes === undefined) this.#io(() => this.#file.sync());
      for (let at = page; at < page + count; at += 1n) this.writeAt(at, 0, bytes);
    }
    for (const { tag, val } of changes) if (tag === 'held') this.#written.set(Number(val.buffer), val.page);
  }

  grow(pageCount) {
    this.#expectWritable();
    if (pageCount > this.#pageCount()) {
      this.#io(() => this.#file.grow(Number(pageCount) * this.#pageSize));
    }
    return this.geometry();
  }

  truncate(pageCount) {
    this.#expectWritable();
    if (pageCount < this.#pageCount()) {
      this.#io(() => this.#file.truncate(Number(pageCount) * this.#pageSize));
      this.#cuts.push(pageCount);
    }
    return this.geometry();
  }

  writeAt(page, offset, bytes) {
    const at = this.#position(page, offset, bytes.length);
    this.#io(() => this.#file.write(bytes, at));
  }

  /** Where in the file that is, if it is. */
  #position(page, offset, len) {
    const pageCount = this.#pageCount();
    if (page >= pageCount || offset + len > this.#pageSize) {
      throw this.#outside(`${len} bytes from offset ${offset} of page ${page}`, pageCount);
    }
    return Number(page) * this.#pageSize + offset;
  }

  #outside(what, pageCount) {
    return outOfBounds(`${what} are not in ${this.name}: it has ${pageCount} pages of ${this.#pageSize} bytes`);
  }

  /** A change as bytes over pages; of a sync, no pages. */
  #native({ tag, val }) {
    switch (tag) {
      case 'sealed': {
        const bytes = new Uint8Array(val.bytes.length + 4);
        bytes.set(val.bytes);
        new DataView(bytes.buffer).setUint32(val.bytes.length, crc32(val.bytes.subarray(val.start)), true);
        return this.#whole(val.page, bytes);
      }
      case 'staged':
        return this.#whole(val.page, val.view.read(0, this.#pageSize));
      case 'held':
        if (val.buffer >= this.#buffers.length) throw other(`there is no buffer ${val.buffer}`, 'other');
        return this.#whole(val.page, this.#buffers[Number(val.buffer)]);
      case 'bytes':
        return this.#whole(val.page, val.bytes);
      case 'zero':
        return { page: val.first, count: val.count, bytes: new Uint8Array(this.#pageSize) };
      case 'order': // of a file there is no less than a sync that keeps order
      case 'sync':
        return { page: 0n, count: 0n };
    }
  }

  #whole(page, bytes) {
    if (bytes.length !== this.#pageSize) throw outOfBounds(`${bytes.length} bytes over a page of ${this.#pageSize}`);
    return { page, count: 1n, bytes };
  }
}

/**
 * The bytes of a page. A view ends with its file, a view of a page also when a
 * commit changes the file, a staged page with its transaction, and one of a state
 * with that: used after that, it throws a `PagerError`, tag `ended`.
 */
export class PageView {
  #store;
  #state;
  #cuts;
  #what;

  /**
   * `what` is `{ page, access }`, where without a `page` there are zeros that no
   * page has, or `{ staged: { bytes, ended }, access, owner }`: a private buffer,
   * and why there are no bytes any more.
   */
  constructor(store, what) {
    this.#store = store;
    this.#state = store.state;
    this.#cuts = store.cuts.length;
    this.#what = what;
  }

  /** Bytes in the page. */
  get size() {
    return this.#store.pageSize;
  }

  /** A copy of `len` bytes from `offset`: of all to the end, unless said. */
  read(offset = 0, len = undefined) {
    integer('offset', offset, 0xffffffff);
    if (len !== undefined) integer('len', len, 0xffffffff);
    const { page, staged } = this.#open();
    const count = len ?? Math.max(this.size - offset, 0);
    this.#require(offset, count);
    if (!staged && page === undefined) return new Uint8Array(count);
    return staged ? staged.bytes.slice(offset, offset + count) : this.#store.read(page, offset, count);
  }

  /** Replaces bytes from `offset` by those of a `Uint8Array`. */
  write(offset, bytes) {
    integer('offset', offset, 0xffffffff);
    if (!(bytes instanceof Uint8Array)) {
      throw new TypeError(`bytes must be a Uint8Array, not ${kind(bytes)}: see TextEncoder for text`);
    }
    const { page, access, staged } = this.#open();
    if (this.#store.readOnly) throw readOnly(`this view is read-only: ${this.#store.name} was opened to read`);
    if (access === 'read') {
      throw readOnly('this view is read-only: a protected page changes by a commit alone: see `stage`');
    }
    this.#require(offset, bytes.length);
    if (staged) staged.bytes.set(bytes, offset);
    else this.#store.writeAt(page, offset, bytes);
  }

  /** The checksum of the page: `low` and `high` are its bits, as BigInts. */
  checksum(algorithm = 'crc32') {
    return this.#store.checksum(algorithm, this.read());
  }

  share() {
    const view = new PageView(this.#store, { ...this.#what, owner: false });
    view.#state = this.#state;
    view.#cuts = this.#cuts;
    return view;
  }

  /** Its handle was dropped: a staged page ends with the first one. */
  [dispose]() {
    if (this.#what.owner) this.#what.staged.bytes = undefined;
  }

  #open() {
    const { name } = this.#store;
    if (this.#store.state === undefined) throw ended(`${name} is closed`);
    const { staged } = this.#what;
    if (staged && staged.bytes === undefined) throw ended(staged.ended ?? 'its transaction is over');
    if (!staged && this.#state !== this.#store.state) throw ended(`a commit changed ${name} since`);
    const { page } = this.#what;
    if (page !== undefined && this.#store.cuts.slice(this.#cuts).some((pageCount) => pageCount <= page)) {
      throw ended(`${name} became shorter`);
    }
    return this.#what;
  }

  #require(offset, len) {
    if (offset + len > this.size) {
      const text = `offset ${offset} and ${len} bytes: the page has ${this.size}`;
      throw told(new RangeError(text), { tag: 'out-of-bounds' });
    }
  }
}

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  for (let bit = 0; bit < 8; bit += 1) byte = byte & 1 ? (byte >>> 1) ^ 0xedb88320 : byte >>> 1;
  return byte;
});

/** CRC-32 (ISO-HDLC, as in zlib). */
export function crc32(bytes) {
  let crc = ~0;
  for (const byte of bytes) crc = TABLE[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  return ~crc >>> 0;
}
