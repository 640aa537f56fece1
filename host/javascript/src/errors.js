// Why an operation was not done.

/**
 * Why an operation was not done, in a sentence. `tag` is the case of the WIT's
 * `error` (`not-allocated`), or one of the host's own: `closed`, `ended` (a view
 * or a transaction), `read-only`, `out-of-bounds` (somebody made the file
 * shorter), `store` (the file failed), `sandbox` (the component failed: close the
 * file and open it again); in Node `locked`, `unlockable`.
 */
export class PagerError extends Error {
  name = 'PagerError';

  constructor(text, tag, options) {
    super(text, options);
    this.tag = tag;
  }
}

/** What the component is told of an error: a case of `store-error`. */
export function told(error, payload) {
  // Not shown with the error.
  return Object.defineProperty(error, 'payload', { value: payload });
}

export function outOfBounds(text) {
  return told(new PagerError(text, 'out-of-bounds'), { tag: 'out-of-bounds' });
}

export function readOnly(text) {
  return told(new PagerError(text, 'read-only'), { tag: 'read-only' });
}

export function other(text, tag) {
  return told(new PagerError(text, tag), { tag: 'other', val: text });
}

export function ended(why) {
  return other(`this view has ended: ${why}`, 'ended');
}
