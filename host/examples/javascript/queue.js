// The queue: messages that are pushed at one end and popped at the other, and
// survive a restart. The layout is in ../README.md.
//
// A failing call throws an error whose `payload` is the error of the WIT.
// Page numbers are BigInts. A resource is dropped with `Symbol.dispose`.

import { commit, describe, open } from 'pagebox:pager/pager@0.2.0';
import { take } from 'pagebox:pager/stores@0.2.0';

const ROOT = 0n; // the protected page that holds the root
const MAGIC = 'PBXQUEUE';
const TEXT = 12; // a message begins here; before it the next page and its length

export function run(args) {
  try {
    using(open(take('queue'), 'write'), (pager) => command(pager, args));
  } catch (error) {
    throw inWords(error);
  }
}

function command(pager, [name, ...texts]) {
  if (name === 'push' && texts.length > 0) push(pager, texts);
  else if (name === 'pop' && texts.length === 0) console.log(pop(pager));
  else if (name === 'list' && texts.length === 0) list(pager);
  else throw 'usage: push TEXT..., pop, list';
}

function push(pager, texts) {
  const root = readRoot(pager);
  const room = pager.stats().pageSize - TEXT;
  const tx = pager.begin();
  if (pager.stats().protectedPages === 0n) tx.allocProtected(1); // of an empty file it is page 0
  const pages = tx.allocProtected(texts.length);
  texts.forEach((text, index) => {
    const message = new TextEncoder().encode(text);
    if (message.length > room) throw `a message of ${message.length} bytes: there is room for ${room}`;
    const page = pages[index];
    if (root.count === 0n) root.first = page;
    else using(tx.stage(root.last), (view) => view.write(0, numbers(page)));
    using(tx.stage(page), (view) => {
      view.write(8, numbers(BigInt(message.length)).subarray(0, 4));
      view.write(TEXT, message);
    });
    root.last = page;
    root.count += 1n;
  });
  writeRoot(tx, root);
  commit(tx, 'durable');
}

/** Durably removes the first message. */
function pop(pager) {
  const root = readRoot(pager);
  if (root.count === 0n) throw 'the queue is empty';
  const { next, text } = readMessage(pager, root.first);
  const tx = pager.begin();
  tx.freeProtected(BigUint64Array.of(root.first));
  writeRoot(tx, { first: next, last: root.last, count: root.count - 1n });
  commit(tx, 'durable');
  return text;
}

function list(pager) {
  let { first: page, count } = readRoot(pager);
  for (; count > 0n; count -= 1n) {
    const { next, text } = readMessage(pager, page);
    console.log(text);
    page = next;
  }
}

function readRoot(pager) {
  if (pager.stats().protectedPages === 0n) return { first: 0n, last: 0n, count: 0n };
  const bytes = using(pager.viewProtected(ROOT), (view) => view.read(0, 32));
  if (new TextDecoder().decode(bytes.subarray(0, 8)) !== MAGIC) {
    throw 'the page file holds something else than a queue';
  }
  return { first: number(bytes, 8), last: number(bytes, 16), count: number(bytes, 24) };
}

function writeRoot(tx, { first, last, count }) {
  using(tx.stage(ROOT), (view) => {
    view.write(0, new TextEncoder().encode(MAGIC));
    view.write(8, numbers(first, last, count));
  });
}

/** A message, and the page of the next. */
function readMessage(pager, page) {
  return using(pager.viewProtected(page), (view) => {
    const head = view.read(0, TEXT);
    const length = new DataView(head.buffer, head.byteOffset).getUint32(8, true);
    return { next: number(head, 0), text: new TextDecoder().decode(view.read(TEXT, length)) };
  });
}

function number(bytes, offset) {
  return new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(offset, true);
}

function numbers(...values) {
  const bytes = new DataView(new ArrayBuffer(8 * values.length));
  values.forEach((value, index) => bytes.setBigUint64(8 * index, value, true));
  return new Uint8Array(bytes.buffer);
}

/** Uses a resource, and drops it whatever happens. */
function using(resource, use) {
  try {
    return use(resource);
  } finally {
    resource[Symbol.dispose]();
  }
}

/** What was thrown, in a sentence. */
function inWords(error) {
  const cause = error.payload ?? error;
  if (typeof cause === 'string') return cause;
  switch (cause.tag) {
    case 'not-granted':
    case 'taken':
    case 'unavailable':
      return cause.val;
    case 'out-of-bounds':
    case 'insufficient-space':
    case 'fenced':
      return `a page cannot be used: ${cause.tag}`;
    case 'io':
      return `a page cannot be used: ${cause.val ?? cause.tag}`;
    case 'other': // a page's has a text, the pager's own has none
      return cause.val ?? describe(cause);
    case undefined:
      throw error; // a mistake in this program
    default:
      return describe(cause);
  }
}
