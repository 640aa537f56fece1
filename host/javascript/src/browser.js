// Page files in the browser: the pager component, on private files of a page's origin
// (OPFS). Their synchronous handles exist in workers only.

import { flags, fileOptions } from './arguments.js';
import { PagerError } from './errors.js';
import { Component } from './host.js';
import { Opfs } from './opfs.js';

export { PagerError };

const component = new Component(async (name) => {
  const answer = await fetch(new URL(`../pager/${name}`, import.meta.url));
  if (!answer.ok) throw new Error(`${answer.url} cannot be had: ${answer.status}`);
  return answer.arrayBuffer();
});

/** The handle of a file that is meant by its name, or by its handle. */
async function entryOf(name, options) {
  if (name instanceof FileSystemFileHandle) return name;
  if (typeof name !== 'string') throw new TypeError('name must be a string or a FileSystemFileHandle');
  const folder = await navigator.storage.getDirectory();
  return folder.getFileHandle(name, options);
}

/** Opens a file, which nobody can have to write then. */
async function opened(entry, options) {
  try {
    return new Opfs(await entry.createSyncAccessHandle(options), entry.name);
  } catch (error) {
    if (error.name !== 'NoModificationAllowedError') throw error;
    throw new PagerError(`${entry.name} is in use, by this page or by another one`, 'locked');
  }
}

/**
 * Makes a page file in a private file that is not there, or empty. After a crash
 * meanwhile it may hold a part of it, which is no page file.
 */
export async function create(name, options = {}) {
  const wanted = fileOptions(options);
  const instance = await component.instance();
  const entry = await entryOf(name, { create: true });
  return instance.create(await opened(entry), wanted);
}

/** Opens a page file to change it, or only to read it. */
export async function open(name, { readOnly = false, ...unknown } = {}) {
  flags({ readOnly }, unknown);
  const instance = await component.instance();
  const entry = await entryOf(name);
  return instance.open(await opened(entry, readOnly ? { mode: 'read-only' } : undefined), readOnly);
}

/** Looks at what is in a page file, be it damaged. */
export async function inspect(name) {
  const instance = await component.instance();
  const entry = await entryOf(name);
  return instance.inspect(await opened(entry, { mode: 'read-only' }));
}
