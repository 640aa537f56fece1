// Committed states of a page file: read while commits go on, kept under names,
// compared.
//
// A *view* is the bytes of one page, and ends with the next commit. A *state* is all
// protected pages as one commit left them, and stays until it is closed.

import { kind, u64 } from './arguments.js';
import { PagerError } from './errors.js';
import { dispose, PageView } from './page-view.js';

/** How many pages are asked for at once. */
export const PART = 256;

/**
 * The protected pages of a committed state. Commits go on, and it stays as it is,
 * also when a later one failed and the file can be changed no more. Regular pages
 * are changed in place: no state has them.
 */
export class State {
  #store;
  #generation;
  #call;
  #read;
  #drop;
  #closed = false;

  /** `call` asks what it is read from, `read` gives a copy of a page, and `drop` gives it up. */
  constructor(store, generation, call, read, drop) {
    this.#store = store;
    this.#generation = generation;
    this.#call = (what, operation) => {
      this.#expectOpen();
      return call(what, operation);
    };
    this.#read = read;
    this.#drop = drop;
  }

  #expectOpen() {
    if (this.#store.state === undefined) throw new PagerError(`${this.#store.name} is closed`, 'closed');
    if (this.#closed) throw new PagerError('the state is closed', 'closed');
  }

  /** The generation that it reads. */
  get generation() {
    return this.#generation;
  }

  /** A protected page, verified, to read: a copy, which commits do not end. */
  viewProtected(id) {
    const page = u64('id', id);
    this.#expectOpen();
    const copy = this.#read(page);
    const bytes = () => (this.#closed ? undefined : copy);
    const staged = {
      get bytes() {
        return bytes();
      },
      ended: 'its state is closed',
    };
    return new PageView(this.#store, { staged, access: 'read' });
  }

  /** The ids of its protected pages, in ascending order. */
  protectedPages() {
    return listed(
      (start) => this.#call('protectedPages', (source) => source.protected(start, PART)),
      ({ id }) => id,
      ({ id }) => id,
    );
  }

  /** Lets its pages be used again. Closing it again does nothing. */
  close() {
    if (this.#closed) return;
    this.#closed = true;
    this.#drop();
  }

  [dispose]() {
    this.close();
  }
}

/** An argument that is to be the name of a snapshot. Which ones there can be, the component says. */
export function nameOf(name, value) {
  if (typeof value !== 'string') throw new TypeError(`${name} must be a string, not ${kind(value)}`);
  // On their way into the component they would become other characters.
  if (/\p{Surrogate}/u.test(value)) throw new RangeError(`${name} has halves of characters`);
  return value;
}

/** An operation whose error has the name of the snapshot, which the component does not say. */
export function named(operation, ...names) {
  try {
    return operation();
  } catch (error) {
    const begins = { 'no-snapshot': 'there is no snapshot', 'is-snapshot': 'there is a snapshot' }[error.tag];
    if (begins === undefined) throw error;
    const given = new Set(names.filter((name) => name !== undefined));
    const quoted = Array.from(given, (name) => `"${name}"`).join(', ');
    const already = error.tag === 'is-snapshot' ? ' already' : '';
    const text = given.size === 1 ? `${begins} ${quoted}${already}` : `${begins} of one of these names: ${quoted}`;
    throw new PagerError(text, error.tag);
  }
}

/** A protected page that differs, in words. */
export function changeOf({ id, before, after }) {
  return { page: id, change: before === undefined ? 'added' : after === undefined ? 'removed' : 'changed' };
}

/** What stands in the way of a shorter file: see `types.d.ts`. */
export function obstacleOf(found) {
  switch (found?.tag) {
    case undefined:
      return undefined;
    case 'regular':
      return { kind: 'regular', page: found.val };
    case 'snapshot':
      return { kind: 'snapshot', ...found.val };
    case 'view':
      return { kind: 'view', generation: found.val };
    default:
      return { kind: found.tag };
  }
}

/**
 * What the component lists from a number on, a part at a time; `last` is the last
 * number of an entry, and `shown` what becomes of it. What is wrong at the start is
 * thrown at once.
 */
export function listed(part, last, shown = (entry) => entry) {
  const first = part(0n);
  return (function* () {
    for (let found = first; found.length > 0; ) {
      yield* found.map(shown);
      const start = last(found.at(-1)) + 1n;
      found = start < 1n << 64n ? part(start) : [];
    }
  })();
}
