// A view: the bytes of one page.

import { integer, kind } from './arguments.js';
import { ended, readOnly, told } from './errors.js';

/** What ends a thing: of older JavaScript, as the component's glue has it. */
export const dispose = Symbol.dispose ?? Symbol.for('dispose');

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
