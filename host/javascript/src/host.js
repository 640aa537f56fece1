// What Node and the browser have in common: the component, and page files in a file
// that is open. Each closes it if it fails.

import { instantiate } from '../pager/pager.js';
import { createXXHash128 } from '../pager/xxhash128.js';
import { PagerError } from './errors.js';
import { Inspection } from './inspection.js';
import { PageFile } from './page-file.js';
import { Store } from './page-store.js';
import { PageView } from './page-view.js';

/** The component, of which `load` gives the bytes of a part. */
export class Component {
  #compiled;

  constructor(load) {
    this.#compiled = parts(load);
  }

  /** Made anew for each file: what traps in it is gone with it. */
  async instance() {
    const exported = await instantiate(this.#compiled, { 'pagebox:pager/page-store': { PageView, Store } });
    return new Instance(exported, await createXXHash128());
  }
}

class Instance {
  #pager;
  #inspect;
  #xxh3;

  constructor({ pager, inspect }, xxh3) {
    this.#pager = pager;
    this.#inspect = inspect;
    this.#xxh3 = xxh3;
  }

  /** A new page file, with a number that no other one has. */
  create(file, { pageSize, pageCount, format }) {
    const store = new Store(file, pageSize, { xxh3: this.#xxh3 });
    const uuid = Array.from(crypto.getRandomValues(new BigUint64Array(2)));
    const start = (api) => api.create(store, { format, pageCount, uuid });
    return new PageFile(this.#pager, store, start, () => file.close());
  }

  open(file, readOnly) {
    const store = this.#storeIn(file, readOnly);
    const start = (api) => api.open(store, readOnly ? 'read' : 'write');
    return new PageFile(this.#pager, store, start, () => file.close());
  }

  inspect(file) {
    const store = this.#storeIn(file, true);
    return new Inspection(this.#inspect, this.#pager.describe, store, () => file.close());
  }

  #storeIn(file, readOnly) {
    try {
      return new Store(file, pageSizeIn(this.#pager, file), { readOnly, xxh3: this.#xxh3 });
    } catch (error) {
      file.close();
      if (error.payload?.tag === undefined) throw error;
      throw new PagerError(this.#pager.describe(error.payload), error.payload.tag);
    }
  }
}

/** The parts of the component, each compiled once. What failed is tried again. */
export function parts(load) {
  const modules = new Map();
  return (name) => {
    if (!modules.has(name)) {
      const compiled = load(name).then((bytes) => WebAssembly.compile(bytes));
      compiled.catch(() => modules.delete(name));
      modules.set(name, compiled);
    }
    return modules.get(name);
  };
}

/**
 * The page size of a file: it begins with it. Where that has rotted, a file of
 * format 1 says it again within its first pages.
 */
function pageSizeIn(api, file) {
  const first = (most) => {
    const bytes = new Uint8Array(Math.min(most, file.size()));
    file.read(bytes, 0);
    return bytes;
  };
  try {
    return api.pageSize(first(512));
  } catch (error) {
    if (error.payload?.tag !== 'not-a-page-file') throw error;
    return api.pageSize(first(3 << 20));
  }
}
