// The types of `node.js`.

import type { Inspection, NewFile, PageFile } from './types.js';

export * from './types.js';

export interface CreateOptions extends NewFile {
  /** Takes no lock, where there is none to be had. */
  unlocked?: boolean;
}

export interface OpenOptions {
  /** Opens it only to read, without a lock. */
  readOnly?: boolean;
  /** Takes no lock, where there is none to be had. */
  unlocked?: boolean;
}

/** Makes a page file and locks it: after a crash there is all of it, or none. */
export function create(name: string | URL, options?: CreateOptions): Promise<PageFile>;

/** Opens a page file to change it, and locks it; or only to read it. */
export function open(name: string | URL, options?: OpenOptions): Promise<PageFile>;

/** Looks at what is in a page file, be it damaged, without a lock. */
export function inspect(name: string | URL): Promise<Inspection>;
