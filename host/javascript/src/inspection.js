// What is in a page file, be it damaged.

import { integer, u64 } from './arguments.js';
import { dispose } from './page-view.js';
import { Sandbox } from './sandbox.js';

/** A look at a page file as it was when it began. It changes nothing. */
export class Inspection {
  #store;
  #close;
  #sandbox;
  #inspector;

  /** `inspect` are the component's exports of that name; `close` closes the store's file. */
  constructor(inspect, describe, store, close) {
    this.#store = store;
    this.#close = close;
    this.#sandbox = new Sandbox(describe, store.name);
    try {
      this.#inspector = this.#sandbox.call('inspecting', () => inspect.open(store));
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Figures, and what is to be said of the file as a whole. */
  summary() {
    return this.#sandbox.call('summary', () => this.#inspector.summary());
  }

  /** The kinds that pages can be of, and how many there are of each. */
  pageKinds() {
    return this.#sandbox.call('pageKinds', () => this.#inspector.pageKinds());
  }

  /** The codes of the kinds of `count` pages from `first` on, or as many as there are. */
  kinds(first, count) {
    const start = u64('first', first);
    integer('count', count, 0xffffffff);
    return this.#sandbox.call('kinds', () => this.#inspector.kinds(start, count));
  }

  /** Closes the file. Closing it again does nothing. */
  close() {
    if (this.#sandbox.closed) return;
    this.#sandbox.close();
    this.#store[dispose]();
    this.#close();
  }

  [dispose]() {
    this.close();
  }
}
