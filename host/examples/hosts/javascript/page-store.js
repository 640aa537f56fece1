// A page store for the pager component, on any file with synchronous reads and
// writes: the import `page-store`, in Node and in the browser.
//
// A file is an object with `size()`, `read(bytes, at)`, `write(bytes, at)`,
// `grow(size)` and `sync()`. Reading fills all of `bytes`; growing reserves the
// space and is durable.

/** Thrown into the component, which sees the `payload`: a case of `store-error`. */
export class StoreError extends Error {
  constructor(tag, val) {
    super(val ?? tag);
    this.payload = val === undefined ? { tag } : { tag, val };
  }
}

/** What a file throws becomes an `err` value instead of a trap. */
function io(operation) {
  try {
    return operation();
  } catch (error) {
    if (error.code === 'ENOSPC' || error.name === 'QuotaExceededError') {
      throw new StoreError('insufficient-space');
    }
    throw new StoreError('io', error.message);
  }
}

export class Store {
  #file;
  #pageSize;

  constructor(file, pageSize) {
    this.#file = file;
    this.#pageSize = pageSize;
  }

  geometry() {
    const size = this.#file.size();
    const tail = size % this.#pageSize;
    return { pageSize: this.#pageSize, pageCount: BigInt((size - tail) / this.#pageSize), tail };
  }

  read(page, offset, len) {
    const at = this.position(page, offset, len);
    const bytes = new Uint8Array(len);
    io(() => this.#file.read(bytes, at));
    return bytes;
  }

  crc32(page, offset, len) {
    return crc32(this.read(page, offset, len));
  }

  view(page) {
    this.position(page, 0, 0);
    return new PageView(this, page);
  }

  stage(source) {
    const size = this.#pageSize;
    return new PageView(this, source, source === undefined ? new Uint8Array(size) : this.read(source, 0, size));
  }

  write(changes, thenSync) {
    const writes = changes.flatMap((change) => this.#writes(change));
    for (const [page] of writes) this.position(page, 0, 0); // before anything is changed
    for (const [page, bytes] of writes) this.writeAt(page, 0, bytes);
    if (thenSync) io(() => this.#file.sync());
  }

  grow(pageCount) {
    if (pageCount > this.geometry().pageCount) {
      io(() => this.#file.grow(Number(pageCount) * this.#pageSize));
    }
    return this.geometry();
  }

  writeAt(page, offset, bytes) {
    const at = this.position(page, offset, bytes.length);
    io(() => this.#file.write(bytes, at));
  }

  /** Where in the file that is, if it is. */
  position(page, offset, len) {
    const { pageSize, pageCount } = this.geometry();
    if (page >= pageCount || offset + len > pageSize) throw new StoreError('out-of-bounds');
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

/** The bytes of a page or, with `buffer`, of a private copy. */
export class PageView {
  #store;
  #page;
  #buffer;

  constructor(store, page, buffer) {
    this.#store = store;
    this.#page = page;
    this.#buffer = buffer;
  }

  read(offset, len) {
    if (!this.#buffer) return this.#store.read(this.#page, offset, len);
    this.#check(offset, len);
    return this.#buffer.slice(offset, offset + len);
  }

  write(offset, bytes) {
    if (!this.#buffer) return this.#store.writeAt(this.#page, offset, bytes);
    this.#check(offset, bytes.length);
    this.#buffer.set(bytes, offset);
  }

  crc32() {
    return crc32(this.read(0, this.#store.geometry().pageSize));
  }

  share() {
    return new PageView(this.#store, this.#page, this.#buffer);
  }

  #check(offset, len) {
    if (offset + len > this.#buffer.length) throw new StoreError('out-of-bounds');
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
