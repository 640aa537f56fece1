// A page store for the pager component, on any file with synchronous reads and
// writes: the import `page-store`, in Node and in the browser.
//
// A file is an object with a `name`, which errors name, and `size()`,
// `read(bytes, at)`, `write(buffers, at)`, `grow(size)`, `truncate(size)` and
// `sync()`. Reading fills all of `bytes`; buffers are written one after the other;
// growing reserves the space and is durable.
//
// Format 0 asks for CRC-32, and format 1 for XXH3, which is that of `hash-wasm`. A
// store without it answers `other`.

import { crc32 } from './checksum.js';
import { other, outOfBounds, PagerError, readOnly, told } from './errors.js';
import { dispose, PageView } from './page-view.js';

/** Pages that are written at once at most, if they are adjacent. */
const RUN = 256;

/** Bytes that are kept at most of buffers that will be needed again. */
const SPARE = 1 << 20;

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
  // Buffers of a page that are nobody's. To make one anew takes longer than to read into it.
  #spare = [];
  // The page count, when it was asked for last.
  #known = 0n;
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
    this.#expectOpen();
    const size = this.#file.size();
    const tail = size % this.#pageSize;
    this.#known = BigInt((size - tail) / this.#pageSize);
    return { pageSize: this.#pageSize, pageCount: this.#known, tail };
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

  #expectOpen() {
    if (this.#ended) throw new PagerError(`${this.name} is closed`, 'closed');
  }

  #expectWritable() {
    if (this.#readOnly) throw readOnly(`${this.name} was opened to read`);
  }

  read(page, offset, len) {
    return this.#into(new Uint8Array(len), page, offset);
  }

  /** A copy of a page, in a buffer that can be given back. */
  copy(page) {
    return this.#into(this.#spare.pop() ?? new Uint8Array(this.#pageSize), page, 0);
  }

  /** Gives a buffer of a page back. Nobody may have it any more. */
  giveBack(bytes) {
    if (this.#spare.length * this.#pageSize < SPARE) this.#spare.push(bytes);
  }

  #into(bytes, page, offset) {
    const len = bytes.length;
    this.#expectOpen();
    // Where it is locked, nobody else makes it shorter. Who does all the same makes the
    // read fail, and then it is asked for.
    const asked = this.#readOnly || page >= this.#known;
    const at = this.#position(page, offset, len, asked ? this.#pageCount() : this.#known);
    try {
      this.#io(() => this.#file.read(bytes, at));
    } catch (error) {
      this.#position(page, offset, len, this.#pageCount());
      throw error;
    }
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
    this.#position(page, 0, 0, this.#pageCount());
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
    let run = [];
    let end = 0n;
    const flush = () => {
      const [buffers, at] = [run, Number(end) * this.#pageSize - run.length * this.#pageSize];
      run = [];
      if (buffers.length > 0) this.#io(() => this.#file.write(buffers, at));
    };
    for (const { page, count, bytes } of writes) {
      if (bytes === undefined) {
        flush();
        this.#io(() => this.#file.sync());
      }
      for (let at = page; at < page + count; at += 1n) {
        if (at !== end || run.length === RUN) flush();
        run.push(bytes);
        end = at + 1n;
      }
    }
    flush();
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
    const at = this.#position(page, offset, bytes.length, this.#pageCount());
    this.#io(() => this.#file.write([bytes], at));
  }

  /** Where in a file of so many pages that is, if it is. */
  #position(page, offset, len, pageCount) {
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
