// Page files in JavaScript, wherever the store's file is: the pager component's
// exports with their arguments checked and their errors in words.

import { flags, kind, u64 } from './arguments.js';
import { PagerError } from './errors.js';
import { changeOf, listed, nameOf, named, obstacleOf, PART, State } from './page-state.js';
import { dispose, PageView } from './page-view.js';
import { Sandbox } from './sandbox.js';
import { Transaction } from './transaction.js';

/** Bytes of pages that one step of a compaction moves at most. */
const STEP = 1 << 20;

/** An open page file. Pages and ids are BigInts; integers will do as arguments. */
export class PageFile {
  #api;
  #store;
  #close;
  #sandbox;
  #pager;
  // Whether a commit may not be durable yet.
  #deferred = false;
  // Where protected pages are whose bytes were verified, or written here.
  #places = new Map();
  // Of the checksums of protected pages, once it is known.
  #algorithm;

  /** `start` makes the pager of the component's exports; `close` closes the store's file. */
  constructor(api, store, start, close) {
    this.#api = api;
    this.#store = store;
    this.#close = close;
    this.#sandbox = new Sandbox(api.describe, store.name);
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

  /**
   * A protected page, verified, to read. Of a file that was opened to read it is a copy:
   * somebody else may commit meanwhile, and then what is not found any more is an error,
   * tag `changed`.
   */
  viewProtected(id) {
    const page = u64('id', id);
    if (this.#store.readOnly) {
      return new PageView(this.#store, { staged: { bytes: this.#verified(this.#pager, page) }, access: 'read' });
    }
    return this.#call('viewProtected', () => {
      try {
        return this.#pager.viewProtected(page);
      } catch (error) {
        if (error.payload?.tag !== 'not-supported') throw error;
        // It was never written: there are zeros, which no page has.
        return new PageView(this.#store, { access: 'read' });
      }
    });
  }

  /** Makes durable what was written to regular pages, and what was deferred. */
  sync() {
    this.#call('sync', () => this.#pager.sync());
    this.#deferred = false;
  }

  /**
   * Allocates a regular page, which reads as zeros, and commits that: a
   * transaction of one operation, in one call.
   */
  alloc() {
    return this.#call('alloc', () => this.#pager.alloc()).id;
  }

  /** Frees a regular page, and commits that. */
  free(id) {
    const page = u64('id', id);
    this.#call('free', () => this.#pager.free(page));
  }

  /** Allocates a protected page, which reads as zeros, and commits that. */
  allocProtected() {
    return this.#call('allocProtected', () => this.#pager.allocProtected()).id;
  }

  /** Frees a protected page, and commits that. */
  freeProtected(id) {
    const page = u64('id', id);
    this.#call('freeProtected', () => this.#pager.freeProtected(page));
    this.#places.delete(page);
  }

  /**
   * The numbers of allocated regular pages, in ascending order. A commit meanwhile
   * shows in what is still to come.
   */
  regularPages() {
    const runs = listed(
      (start) => this.#call('regularPages', () => this.#pager.allocated(start, PART)),
      ({ first, count }) => first + count - 1n,
    );
    return (function* () {
      for (const { first, count } of runs) for (let page = first; page < first + count; page += 1n) yield page;
    })();
  }

  /**
   * The ids of protected pages, in ascending order. A commit meanwhile shows in what
   * is still to come; a state has one list.
   */
  protectedPages() {
    return listed(
      (start) => this.#call('protectedPages', () => this.#pager.protected(start, PART)),
      ({ id }) => id,
      ({ id }) => id,
    );
  }

  /** Whether what was found at opening still counts: see `types.d.ts`. */
  isCurrent() {
    return this.#call('isCurrent', () => this.#pager.isCurrent());
  }

  /**
   * The protected pages as they are committed now, deferred commits among them, to
   * be read while commits go on. (`view` is another thing: the bytes of one page.)
   */
  committedState() {
    return this.#state(this.#call('committedState', () => this.#pager.pin()));
  }

  /**
   * The protected pages as they were when a snapshot was made. A file that was opened
   * to read cannot keep what somebody else deletes: then what is not found any more
   * is an error, tag `changed`.
   */
  snapshot(name) {
    const wanted = nameOf('name', name);
    const call = (operation) => named(() => this.#call('snapshot', operation), wanted);
    if (!this.#store.readOnly) return this.#state(call(() => this.#pager.pinSnapshot(wanted)));
    // A store of its own: it ends with the pager that reads there.
    const root = call(() => this.#pager.snapshotRoot(wanted));
    return this.#state(call(() => this.#api.openAt(this.#store.reader(), root)));
  }

  /** `source` is what a state is read from: a view of the WIT, or a pager at a root of its own. */
  #state(source) {
    const generation = this.#call('generation', () => source.generation?.() ?? source.stats().generation);
    const read = (id) => this.#verified(source, id);
    const drop = () => {
      if (this.#sandbox.answers) this.#call('closing a state', () => source[dispose]());
    };
    return new State(this.#store, generation, (what, operation) => this.#call(what, () => operation(source)), read, drop);
  }

  /** The snapshots, oldest first. A file of format 0 has none. */
  snapshots() {
    return this.#call('snapshots', () => this.#pager.snapshots());
  }

  /**
   * Gives the protected pages, as they are committed now, a name under which they
   * stay, whatever is committed later: one commit, durable when this returns, with
   * all that was deferred.
   */
  createSnapshot(name) {
    const time = BigInt(Date.now()) * 1_000_000n;
    const { generation } = this.#named('createSnapshot', name, (wanted) => this.#pager.createSnapshot(wanted, time));
    this.#deferred = false;
    return { name, generation, time };
  }

  /** Deletes a snapshot, durably. Gives the number of pages that this frees. */
  deleteSnapshot(name) {
    const { pages } = this.#named('deleteSnapshot', name, (wanted) => this.#pager.deleteSnapshot(wanted));
    this.#deferred = false;
    return pages;
  }

  /**
   * Gives every protected page the bytes that it had in a snapshot, and frees those
   * that there were not: one durable commit. Gives the number of pages that change.
   */
  restoreSnapshot(name) {
    const { pages } = this.#named('restoreSnapshot', name, (wanted) => {
      this.#places = new Map(); // each page may be elsewhere, after a failure too
      return this.#pager.restoreSnapshot(wanted);
    });
    this.#deferred = false;
    return pages;
  }

  /**
   * Makes the file as short as `pageCount` pages, or as short as can be: moves protected
   * pages, which keep their ids, in small durable commits, and gives the end back.
   */
  compact(pageCount = 0) {
    const target = u64('pageCount', pageCount);
    const limit = Math.max(1, Math.floor(STEP / this.#store.pageSize));
    let moved = 0n;
    for (;;) {
      const step = this.#call('compact', () => {
        this.#places = new Map(); // each page may be elsewhere, after a failure too
        return this.#pager.compact(target, limit);
      });
      this.#deferred = false;
      moved += step.moved;
      if (step.done) return { moved, pageCount: step.info.pageCount, obstacle: obstacleOf(step.obstacle) };
    }
  }

  /** The number of pages that a snapshot has alone, which deleting it frees. */
  snapshotPages(name) {
    return this.#named('snapshotPages', name, (wanted) => this.#pager.snapshotPages(wanted));
  }

  /** An operation with the name of a snapshot, which its error says. */
  #named(what, name, operation) {
    const wanted = nameOf('name', name);
    return named(() => this.#call(what, () => operation(wanted)), wanted);
  }

  /**
   * The protected pages whose bytes are others in one snapshot than in another, in
   * ascending order. In place of a name that is undefined: the committed state.
   */
  changes(before, after) {
    const [from, to] = [before, after].map((name, at) => {
      return name === undefined ? name : nameOf(['before', 'after'][at], name);
    });
    const part = (start) =>
      named(() => this.#call('changes', () => this.#pager.changes(from, to, start, PART)), from, to);
    return listed(part, ({ id }) => id, changeOf);
  }

  /**
   * Commits what `change` does to a transaction: all of it or, if it throws,
   * none. Gives what `change` returns, which must not be a promise: nothing
   * waits for it.
   *
   * With `deferred` (of format 1) it syncs nothing: it is seen at once, and durable
   * with the next commit that is not deferred, with `sync`, or when the file is
   * closed. A crash before that undoes it, and those after it, and nothing else.
   */
  commit(change, { deferred = false, ...unknown } = {}) {
    flags({ deferred }, unknown);
    if (typeof change !== 'function') throw new TypeError(`change must be a function, not ${kind(change)}`);
    if (/Generator/.test(Object.prototype.toString.call(change))) {
      throw new TypeError('change must be a function that does it at once, not a generator');
    }
    const handle = this.#call('begin', () => this.#pager.begin());
    const call = (what, operation) => this.#call(what, () => operation(handle));
    const tx = new Transaction(call, this.#store, (id) => this.#committed(id));
    let result;
    try {
      result = change(tx);
      if (typeof result?.then === 'function') {
        // It is reported here. What it does later fails: the transaction is over.
        result.then(undefined, () => {});
        throw new TypeError('change is async or returned a promise: commit waits for nothing, and changed nothing');
      }
      this.#write(handle, tx.end());
    } catch (error) {
      tx.end();
      tx.forget();
      if (this.#sandbox.answers) this.#call('rollback', () => handle[dispose]());
      throw error;
    }
    this.#finish(handle, tx, deferred ? 'deferred' : 'durable');
    return result;
  }

  /** Tells the component what is to be written: each page by a number, and its checksum. */
  #write(handle, staged) {
    if (staged.size === 0) return;
    this.#algorithm ??= this.stats().algorithm;
    const pages = Array.from(staged, ([id, { bytes }], number) => {
      return { id, buffer: BigInt(number), checksum: this.#store.checksum(this.#algorithm, bytes) };
    });
    this.#call('commit', () => handle.write(pages));
  }

  #finish(handle, tx, durability) {
    const staged = Array.from(tx.staged);
    const known = this.#places;
    this.#places = new Map(); // until it is known what became of them
    this.#store.hold(staged.map(([, { bytes }]) => bytes));
    try {
      const info = this.#call('commit', () => this.#api.commit(handle, durability));
      this.#deferred = info.durable < info.generation;
      for (const id of tx.freed) known.delete(id);
      staged.forEach(([id], number) => known.set(id, this.#store.written.get(number)));
      this.#places = known;
    } finally {
      this.#store.hold([]);
      tx.forget();
    }
  }

  /** A copy of a protected page as it is committed, verified. */
  #committed(id) {
    const known = this.#places.get(id);
    if (known !== undefined) return this.#store.copy(known);
    return this.#verified(this.#pager, id, this.#places);
  }

  /**
   * A copy of a protected page of the committed state, or of another one, verified.
   * Its bytes are read here; the component says where they are, which goes to
   * `places`.
   */
  #verified(source, id, places) {
    const { pageSize } = this.#store;
    const found = this.#call('reading', () => source.locateProtected(id));
    if (found.page === undefined) return new Uint8Array(pageSize); // zeros, which no page has
    const bytes = this.#store.copy(found.page);
    const { low, high } = this.#store.checksum(found.checksum.algorithm, bytes);
    if (low === found.checksum.low && high === found.checksum.high) {
      places?.set(id, found.page);
      return bytes;
    }
    // Allocated by another program, and never written.
    if (found.generation === 0n) return new Uint8Array(pageSize);
    this.#call('viewProtected', () => source.viewProtected(id)); // says what is wrong
    throw new PagerError(`protected page ${id} changes while it is read`, 'changed');
  }

  /**
   * Makes durable what was deferred, and closes the file, whatever happened before.
   * Closing it again does nothing.
   */
  close() {
    if (this.#sandbox.closed) return;
    try {
      if (this.#deferred && this.#sandbox.answers) this.sync();
    } catch (error) {
      if (error.tag !== 'poisoned') throw error; // that was told before
    } finally {
      this.#sandbox.close();
      // All else that the component would do is forget: its memory goes with it.
      this.#store[dispose]();
      this.#close();
    }
  }

  [dispose]() {
    this.close();
  }

  #call(what, operation) {
    return this.#sandbox.call(what, operation);
  }
}
