// A page store for the pager component, on any file with synchronous reads and
// writes: the import `page-store`, in Node and in the browser.
//
// A file is an object with a `name`, which errors name, and `size()`,
// `read(bytes, at)`, `write(bytes, at)`, `grow(size)`, `truncate(size)` and
// `sync()`. Reading fills all of `bytes`; growing reserves the space and is
// durable.
//
// Format 0 asks for CRC-32, and format 1 for XXH3, which is that of `hash-wasm`. A
// store without it answers `other`.

import { crc32 } from './checksum.js';
import { other, outOfBounds, PagerError, readOnly, told } from './errors.js';
import { dispose, PageView } from './page-view.js';

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
