// Page files in Node: the pager component, on files with `fs.fsync`. `demo.js`
// beside it shows how it is used.
//
// Node has no file locks: nobody else may write the file meanwhile.

import * as fs from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';

import { PageView, Store, StoreError } from '../javascript/page-store.js';
import { instantiate } from './pager/pager.js';

/** Why an operation was not done, in a sentence. `tag` is the case of the WIT's `error`. */
export class PagerError extends Error {
  name = 'PagerError';

  constructor(text, tag) {
    super(text);
    this.tag = tag;
  }
}

/** A new instance of the component. What traps in it is gone with it. */
async function instance() {
  const core = async (name) =>
    WebAssembly.compile(await readFile(new URL(`./pager/${name}`, import.meta.url)));
  const { pager } = await instantiate(core, { 'pagebox:pager/page-store': { PageView, Store } });
  return pager;
}

/** A file, as the store wants it. */
class File {
  constructor(fd) {
    this.fd = fd;
  }

  size() {
    return fs.fstatSync(this.fd).size;
  }

  read(bytes, at) {
    for (let done = 0; done < bytes.length; ) {
      const count = fs.readSync(this.fd, bytes, done, bytes.length - done, at + done);
      if (count === 0) throw new Error('the file ends early');
      done += count;
    }
  }

  write(bytes, at) {
    for (let done = 0; done < bytes.length; ) {
      done += fs.writeSync(this.fd, bytes, done, bytes.length - done, at + done);
    }
  }

  /** Writes zeros: that is how space is reserved without `fallocate`. */
  grow(size) {
    const before = this.size();
    try {
      const zeros = new Uint8Array(1 << 20);
      for (let at = before; at < size; at += zeros.length) {
        this.write(zeros.subarray(0, Math.min(zeros.length, size - at)), at);
      }
      this.sync();
    } catch (error) {
      fs.ftruncateSync(this.fd, before);
      throw error;
    }
  }

  sync() {
    fs.fsyncSync(this.fd);
  }
}

/** Makes a page file: after a crash there is all of it, or none. */
export async function create(name, { pageSize = 4096, pageCount = 4 } = {}) {
  const temporary = `${name}.new-${process.pid}`;
  const fd = fs.openSync(temporary, 'wx+');
  try {
    const pager = await instance();
    const store = new Store(new File(fd), pageSize);
    const file = new PageFile(pager, fd, (api) => api.create(store, BigInt(pageCount)));
    fs.linkSync(temporary, name); // fails where there is one already
    const folder = fs.openSync(path.dirname(path.resolve(name)), 'r');
    fs.fsyncSync(folder);
    fs.closeSync(folder);
    return file;
  } finally {
    fs.unlinkSync(temporary);
  }
}

/** Opens a page file to change it. Its page size is found in it. */
export async function open(name) {
  const fd = fs.openSync(name, 'r+');
  const pager = await instance();
  return new PageFile(pager, fd, (api) => {
    const head = new Uint8Array(512);
    const size = fs.readSync(fd, head, 0, head.length, 0);
    return api.open(new Store(new File(fd), api.pageSize(head.subarray(0, size))), 'write');
  });
}

/** An open page file. Pages and ids are BigInts. */
export class PageFile {
  #api;
  #fd;
  #pager;

  constructor(api, fd, start) {
    this.#api = api;
    this.#fd = fd;
    try {
      this.#pager = this.#explained(() => start(api));
    } catch (error) {
      fs.closeSync(fd);
      throw error;
    }
  }

  stats() {
    return this.#pager.stats();
  }

  /** A regular page, to read and to write; durable after `sync`. */
  view(id) {
    return this.#explained(() => this.#pager.view(id));
  }

  /** A protected page, verified, to read. */
  viewProtected(id) {
    return this.#explained(() => this.#pager.viewProtected(id));
  }

  sync() {
    this.#explained(() => this.#pager.sync());
  }

  /** Commits what `change` does to a transaction: all of it or, if it throws, none. */
  commit(change) {
    return this.#explained(() => {
      const tx = this.#pager.begin();
      let result;
      try {
        result = change(tx);
      } catch (error) {
        tx[Symbol.dispose]();
        throw error;
      }
      this.#api.commit(tx);
      return result;
    });
  }

  close() {
    this.#pager[Symbol.dispose]();
    fs.closeSync(this.#fd);
  }

  #explained(operation) {
    try {
      return operation();
    } catch (error) {
      if (error.payload?.tag === undefined) throw error;
      const cause = error.payload;
      const payload =
        error instanceof StoreError ? { tag: 'store', val: { operation: 'using a page', cause } } : cause;
      throw new PagerError(this.#api.describe(payload), payload.tag);
    }
  }
}
