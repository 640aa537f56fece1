// A page store for the pager component, on any file with synchronous reads and
// writes: the import `page-store`, in Node and in the browser.
//
// A file is an object with `size()`, `read(bytes, at)`, `write(bytes, at)`,
// `grow(size)` and `sync()`. Reading fills all of `bytes`; growing reserves the
// space and is durable.

/** What ends a thing: of older JavaScript, as the component's glue has it. */
export const dispose = Symbol.dispose ?? Symbol.for('dispose');

/**
 * Why an operation was not done, in a sentence. `tag` is the case of the WIT's
 * `error` (`not-allocated`), or one of the host's own: `closed`, `ended` (a view
 * or a transaction), `read-only`, `locked`, `sandbox` (the component failed:
 * open the file again).
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

/** What a file throws becomes an `err` value instead of a trap. */
function io(operation) {
  try {
    return operation();
  } catch (error) {
    const full = error.code === 'ENOSPC' || error.code === 'EDQUOT' || error.name === 'QuotaExceededError';
    const payload = full ? { tag: 'insufficient-space' } : { tag: 'io', val: error.message };
    throw told(new PagerError(`the file failed: ${error.message}`, 'store', { cause: error }), payload);
  }
}

function outOfBounds(text) {
  return told(new RangeError(text), { tag: 'out-of-bounds' });
}

function readOnly(text) {
  return told(new PagerError(text, 'read-only'), { tag: 'read-only' });
}

function ended(why) {
  const text = `this view has ended: ${why}`;
  return told(new PagerError(text, 'ended'), { tag: 'other', val: text });
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
  #ended = false;
  // Grows when the pages change: what was shown of them has ended then.
  #state = 0;

  constructor(file, pageSize, { readOnly = false } = {}) {
    this.#file = file;
    this.#pageSize = pageSize;
    this.#readOnly = readOnly;
  }

  /** Ends the store, and its views: its file may be another one's soon. */
  [dispose]() {
    this.#ended = true;
  }

  get pageSize() {
    return this.#pageSize;
  }

  get readOnly() {
    return this.#readOnly;
  }

  get state() {
    return this.#ended ? undefined : this.#state;
  }

  geometry() {
    if (this.#ended) throw new PagerError('the file is closed', 'closed');
    const size = this.#file.size();
    const tail = size % this.#pageSize;
    return { pageSize: this.#pageSize, pageCount: BigInt((size - tail) / this.#pageSize), tail };
  }

  read(page, offset, len) {
    const at = this.#position(page, offset, len);
    const bytes = new Uint8Array(len);
    io(() => this.#file.read(bytes, at));
    return bytes;
  }

  crc32(page, offset, len) {
    return crc32(this.read(page, offset, len));
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

  write(changes, thenSync) {
    if (this.#readOnly && (changes.length > 0 || thenSync)) throw readOnly('the file was opened to read');
    const writes = changes.flatMap((change) => this.#writes(change));
    for (const [page] of writes) this.#position(page, 0, 0); // before anything is changed
    if (writes.length > 0) this.#state += 1;
    for (const [page, bytes] of writes) this.writeAt(page, 0, bytes);
    if (thenSync) io(() => this.#file.sync());
  }

  grow(pageCount) {
    if (this.#readOnly) throw readOnly('the file was opened to read');
    if (pageCount > this.geometry().pageCount) {
      io(() => this.#file.grow(Number(pageCount) * this.#pageSize));
    }
    return this.geometry();
  }

  writeAt(page, offset, bytes) {
    const at = this.#position(page, offset, bytes.length);
    io(() => this.#file.write(bytes, at));
  }

  /** Where in the file that is, if it is. */
  #position(page, offset, len) {
    const { pageSize, pageCount } = this.geometry();
    if (page >= pageCount || offset + len > pageSize) {
      throw outOfBounds(`${len} bytes from ${offset} of page ${page}: there are ${pageCount} pages of ${pageSize}`);
    }
    return Number(page) * pageSize + offset;
  }

  #writes({ tag, val }) {
    const zeros = new Uint8Array(this.#pageSize);
    switch (tag) {
      case 'sealed': {
        const bytes = new Uint8Array(val.bytes.length + 4);
        bytes.set(val.bytes);
        new DataView(bytes.buffer).setUint32(val.bytes.length, crc32(val.bytes.subarray(val.start)), true);
        return [[val.page, bytes]];
      }
      case 'staged':
        return [[val.page, val.view.read(0, this.#pageSize)]];
      case 'zero':
        return [[val, zeros]];
      case 'reset':
        return Array.from({ length: Number(val.count) }, (_, index) => [val.first + BigInt(index), zeros]);
    }
  }
}

/**
 * The bytes of a page. A view ends with its file, a view of a page also when a
 * commit changes the file, and a staged page with its transaction: used after
 * that, it throws a `PagerError`, tag `ended`.
 */
export class PageView {
  #store;
  #state;
  #what;

  /** `what` is `{ page, access }`, or `{ staged: { bytes }, owner }`. */
  constructor(store, what) {
    this.#store = store;
    this.#state = store.state;
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
    return staged ? staged.bytes.slice(offset, offset + count) : this.#store.read(page, offset, count);
  }

  /** Replaces bytes from `offset` by those of a `Uint8Array`. */
  write(offset, bytes) {
    integer('offset', offset, 0xffffffff);
    if (!(bytes instanceof Uint8Array)) {
      throw new TypeError(`bytes must be a Uint8Array, not ${kind(bytes)}: see TextEncoder for text`);
    }
    const { page, access, staged } = this.#open();
    if (this.#store.readOnly) throw readOnly('this view is read-only: the file was opened to read');
    if (access === 'read') {
      throw readOnly('this view is read-only: a protected page changes by a commit alone: see `stage`');
    }
    this.#require(offset, bytes.length);
    if (staged) staged.bytes.set(bytes, offset);
    else this.#store.writeAt(page, offset, bytes);
  }

  crc32() {
    return crc32(this.read());
  }

  share() {
    const view = new PageView(this.#store, { ...this.#what, owner: false });
    view.#state = this.#state;
    return view;
  }

  /** Its handle was dropped: a staged page ends with the first one. */
  [dispose]() {
    if (this.#what.owner) this.#what.staged.bytes = undefined;
  }

  #open() {
    if (this.#store.state === undefined) throw ended('its file is closed');
    const { staged } = this.#what;
    if (staged && staged.bytes === undefined) throw ended('its transaction is over');
    if (!staged && this.#state !== this.#store.state) throw ended('a commit changed its file since');
    return this.#what;
  }

  #require(offset, len) {
    if (offset + len > this.size) {
      throw outOfBounds(`offset ${offset} and ${len} bytes: the page has ${this.size}`);
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
