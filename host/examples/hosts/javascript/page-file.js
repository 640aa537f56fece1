// Page files in JavaScript, wherever the store's file is: the pager component's
// exports with their arguments checked and their errors in words.

import { dispose, integer, kind, PagerError, u64 } from './page-store.js';

/** An open page file. Pages and ids are BigInts; integers will do as arguments. */
export class PageFile {
  #api;
  #store;
  #close;
  #pager;
  #failed = false;
  #closed = false;

  /** `start` makes the pager of the component's exports; `close` closes the store's file. */
  constructor(api, store, start, close) {
    this.#api = api;
    this.#store = store;
    this.#close = close;
    try {
      this.#pager = this.#call('opening', () => start(api, store));
    } catch (error) {
      this.close();
      throw error;
    }
  }

  stats() {
    return this.#call('stats', () => this.#pager.stats());
  }

  /** A regular page, to read and to write; durable after `sync`. */
  view(id) {
    const page = u64('id', id);
    return this.#call('view', () => this.#pager.view(page));
  }

  /** A protected page, verified, to read. */
  viewProtected(id) {
    const page = u64('id', id);
    return this.#call('viewProtected', () => this.#pager.viewProtected(page));
  }

  /** Makes durable what was written to regular pages. */
  sync() {
    this.#call('sync', () => this.#pager.sync());
  }

  /**
   * Commits what `change` does to a transaction: all of it or, if it throws,
   * none. Gives what `change` returns, which must not be a promise: nothing
   * waits for it.
   */
  commit(change) {
    if (typeof change !== 'function') throw new TypeError(`change must be a function, not ${kind(change)}`);
    const handle = this.#call('begin', () => this.#pager.begin());
    const tx = new Transaction((what, operation) => this.#call(what, () => operation(handle)));
    let result;
    try {
      result = change(tx);
      if (typeof result?.then === 'function') {
        // It is reported here. What it does later fails: the transaction is over.
        result.then(undefined, () => {});
        throw new TypeError('change is async or returned a promise: commit waits for nothing, and changed nothing');
      }
    } catch (error) {
      tx.end();
      if (!this.#closed && !this.#failed) this.#call('rollback', () => handle[dispose]());
      throw error;
    }
    tx.end();
    this.#call('commit', () => this.#api.commit(handle));
    return result;
  }

  /** Closes the file, whatever happened before. Closing it again does nothing. */
  close() {
    if (this.#closed) return;
    this.#closed = true;
    // All that the component would do is forget: its memory goes with it.
    this.#store[dispose]();
    this.#close();
  }

  [dispose]() {
    this.close();
  }

  /** Calls the component: its errors in words, and none after it failed. */
  #call(what, operation) {
    if (this.#closed) throw new PagerError('the file is closed', 'closed');
    if (this.#failed) throw new PagerError('the sandbox failed before: close the file and open it again', 'sandbox');
    try {
      return operation();
    } catch (error) {
      if (error.payload?.tag !== undefined) {
        throw new PagerError(this.#api.describe(error.payload), error.payload.tag);
      }
      this.#failed = true;
      throw new PagerError(`the sandbox failed in ${what}: ${error.message}`, 'sandbox', { cause: error });
    }
  }
}

/** Pending changes, until `commit` returns. */
export class Transaction {
  #call;
  #over = false;

  constructor(call) {
    this.#call = (what, operation) => {
      if (this.#over) throw new PagerError('the transaction is over', 'ended');
      return call(what, operation);
    };
  }

  /** Nothing can be done with it any more. */
  end() {
    this.#over = true;
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
    return Array.from(this.#call('allocProtected', (tx) => tx.allocProtected(count)));
  }

  freeProtected(ids) {
    const list = u64s('ids', ids);
    this.#call('freeProtected', (tx) => tx.freeProtected(list));
  }

  /** A protected page to be changed; it starts as its current bytes. */
  stage(id) {
    const page = u64('id', id);
    return this.#call('stage', (tx) => tx.stage(page));
  }
}

function u64s(name, list) {
  if (!Array.isArray(list) && !(list instanceof BigUint64Array)) {
    throw new TypeError(`${name} must be an array of BigInts, not ${kind(list)}`);
  }
  return BigUint64Array.from(list, (id, at) => u64(`${name}[${at}]`, id));
}

/** That a page size is one; gives it. */
export function pageSizeOf(value) {
  integer('pageSize', value, 1 << 20);
  if (value < 1024 || (value & (value - 1)) !== 0) {
    throw new RangeError(`pageSize must be a power of two, 1024 to 1048576, not ${value}`);
  }
  return value;
}
