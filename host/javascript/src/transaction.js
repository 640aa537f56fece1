// A transaction of a page file.

import { integer, u64, u64s } from './arguments.js';
import { PagerError } from './errors.js';
import { PageView } from './page-view.js';

/**
 * Pending changes, until `commit` returns. The bytes of protected pages are
 * staged here: the component learns of them at commit, by their number and
 * checksum, and never sees them.
 */
export class Transaction {
  #call;
  #store;
  #committed;
  #over = false;
  #staged = new Map();
  #created = new Set();
  #freed = new Set();

  /** `committed` gives a copy of a protected page. */
  constructor(call, store, committed) {
    this.#call = (what, operation) => {
      this.#expectOpen();
      return call(what, operation);
    };
    this.#store = store;
    this.#committed = committed;
  }

  #expectOpen() {
    if (this.#over) throw new PagerError('the transaction is over', 'ended');
  }

  /** Nothing can be done with it any more. Gives what is staged. */
  end() {
    this.#over = true;
    return this.#staged;
  }

  /** Ends the views of what is staged: then nobody has its bytes. */
  forget() {
    for (const staged of this.#staged.values()) {
      this.#store.giveBack(staged.bytes);
      staged.bytes = undefined;
    }
    this.#staged.clear();
  }

  get staged() {
    return this.#staged;
  }

  get freed() {
    return this.#freed;
  }

  /** Allocates regular pages, which read as zeros once committed. */
  alloc(count) {
    integer('count', count, 0xffffffff);
    return Array.from(this.#call('alloc', (tx) => tx.alloc(count)));
  }

  free(ids) {
    const list = u64s('ids', ids);
    this.#call('free', (tx) => tx.free(list));
  }

  /** Allocates protected pages, which read as zeros once committed. */
  allocProtected(count) {
    integer('count', count, 0xffffffff);
    const made = Array.from(this.#call('allocProtected', (tx) => tx.allocProtected(count)));
    for (const id of made) this.#created.add(id);
    return made;
  }

  /** Allocates protected pages under ids of the caller's choice. */
  claimProtected(ids) {
    const list = u64s('ids', ids);
    this.#call('claimProtected', (tx) => tx.claimProtected(list));
    for (const id of list) this.#created.add(id);
  }

  freeProtected(ids) {
    const list = u64s('ids', ids);
    this.#call('freeProtected', (tx) => tx.freeProtected(list));
    for (const id of list) {
      this.#created.delete(id);
      this.#freed.add(id);
      const staged = this.#staged.get(id);
      if (staged) staged.bytes = undefined;
      this.#staged.delete(id);
    }
  }

  /** A protected page to be changed; it starts as its current bytes. */
  stage(id) {
    const page = u64('id', id);
    this.#expectOpen();
    if (!this.#staged.has(page)) this.#staged.set(page, { bytes: this.#first(page) });
    return new PageView(this.#store, { staged: this.#staged.get(page) });
  }

  #first(id) {
    if (this.#created.has(id)) return new Uint8Array(this.#store.pageSize);
    if (this.#freed.has(id)) {
      throw new PagerError(`there is no protected page ${id}: it was freed in this transaction`, 'not-protected');
    }
    return this.#committed(id);
  }
}
