// Calls of the component, which works on one file.

import { PagerError } from './errors.js';

/** Calls of the component: its errors in words, and none after it failed, or its file was closed. */
export class Sandbox {
  #describe;
  #name;
  #failed = false;
  #closed = false;

  /** `describe` gives an error in words, and `name` is that of the file. */
  constructor(describe, name) {
    this.#describe = describe;
    this.#name = name;
  }

  get closed() {
    return this.#closed;
  }

  /** Whether it can be called. */
  get answers() {
    return !this.#closed && !this.#failed;
  }

  close() {
    this.#closed = true;
  }

  call(what, operation) {
    const name = this.#name;
    if (this.#closed) throw new PagerError(`${name} is closed`, 'closed');
    if (this.#failed) throw new PagerError(`the sandbox failed before: close ${name} and open it again`, 'sandbox');
    try {
      return operation();
    } catch (error) {
      if (error.payload?.tag !== undefined) {
        throw new PagerError(this.#describe(error.payload), error.payload.tag);
      }
      this.#failed = true;
      throw new PagerError(`the sandbox failed in ${what} of ${name}: ${error.message}`, 'sandbox', { cause: error });
    }
  }
}
