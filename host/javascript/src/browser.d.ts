// The types of `browser.js`, which works in workers only.

import type { Inspection, NewFile, PageFile } from './types.js';

export * from './types.js';

export interface OpenOptions {
  /** Opens it only to read. Others may have it to read too, where the browser knows of that. */
  readOnly?: boolean;
}

/**
 * Makes a page file among the private files of the page's origin, in one that is not
 * there, or empty. Nobody else can have it open meanwhile: that is a `PagerError`, tag
 * `locked`. After a crash in between it may hold a part, which is no page file.
 */
export function create(name: string | FileSystemFileHandle, options?: NewFile): Promise<PageFile>;

/** Opens a private file to change it, which nobody else can have meanwhile; or only to read it. */
export function open(name: string | FileSystemFileHandle, options?: OpenOptions): Promise<PageFile>;

/** Looks at what is in a private file, be it damaged. */
export function inspect(name: string | FileSystemFileHandle): Promise<Inspection>;
