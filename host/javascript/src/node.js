// Page files in Node: the pager component, on files with `fs.fdatasync`.

import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { fileOptions, flags } from './arguments.js';
import { PagerError } from './errors.js';
import { Component } from './host.js';

export { PagerError };

const component = new Component((name) => readFile(new URL(`../pager/${name}`, import.meta.url)));

/** A file, as the store wants it. */
class File {
  #fd;

  /** `name` is what errors name, of a file that is still at another `place`. */
  constructor(name, access, place = name) {
    this.name = name;
    try {
      // What is no regular file is never waited for.
      this.#fd = fs.openSync(place, access | fs.constants.O_NONBLOCK, 0o666);
    } catch (error) {
      throw Object.assign(error, { message: error.message.replace(place, () => name), path: name });
    }
    if (!fs.fstatSync(this.#fd).isFile()) {
      this.close();
      throw new PagerError(`${name} is not a regular file`, 'other');
    }
  }

  /** The open file. Somebody else's may have its number once it is closed. */
  get fd() {
    if (this.#fd === undefined) throw new PagerError(`${this.name} is closed`, 'closed');
    return this.#fd;
  }

  close() {
    const fd = this.#fd;
    this.#fd = undefined;
    if (fd !== undefined) fs.closeSync(fd);
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

  write(buffers, at) {
    const left = Array.from(buffers);
    while (left.length > 0) {
      let done = fs.writevSync(this.fd, left, at);
      at += done;
      while (left.length > 0 && done >= left[0].length) done -= left.shift().length;
      if (done > 0) left[0] = left[0].subarray(done);
    }
  }

  /** Writes zeros: that is how space is reserved without `fallocate`. */
  grow(size) {
    const before = this.size();
    try {
      const zeros = new Uint8Array(1 << 20);
      for (let at = before; at < size; at += zeros.length) {
        this.write([zeros.subarray(0, Math.min(zeros.length, size - at))], at);
      }
      fs.fsyncSync(this.fd);
    } catch (error) {
      fs.ftruncateSync(this.fd, before);
      throw error;
    }
  }

  truncate(size) {
    fs.ftruncateSync(this.fd, size);
  }

  /** The bytes, and as much else as reading them back takes. */
  sync() {
    fs.fdatasyncSync(this.fd);
  }
}

// Node has no call for flock(2). But that lock is of the open file, which a child
// process has too: one of these takes the lock on it and ends, and the lock
// stays until the file is closed here, or this process ends. They exit with 1
// where somebody else has it.
const LOCKING = [
  ['flock', '-x', '-n', '3'],
  ['perl', '-MErrno', '-e', 'open(my $file, "+<&=", 3) or exit 2; flock($file, 6) or exit($!{EWOULDBLOCK} ? 1 : 2)'],
];

/** Takes the lock that every other host takes. */
function lock(file) {
  const { name } = file;
  for (const [program, ...args] of LOCKING) {
    const { error, status, stderr } = spawnSync(program, args, { stdio: ['ignore', 'ignore', 'pipe', file.fd] });
    if (error?.code === 'ENOENT') continue;
    if (status === 0) return;
    if (status === 1) {
      throw new PagerError(`${name} is in use, by another process or by this one`, 'locked');
    }
    throw new PagerError(`${name} cannot be locked: ${error?.message ?? String(stderr).trim()}`, 'unlockable');
  }
  throw new PagerError(
    `${name} cannot be locked: there is neither \`flock\` nor \`perl\` here. ` +
      '`unlocked: true` opens it without a lock: then nobody else may write it meanwhile',
    'unlockable',
  );
}

/** Opens an existing file and, unless it is only read, locks it. */
function opened(name, readOnly, unlocked) {
  if (readOnly) return new File(name, fs.constants.O_RDONLY);
  for (;;) {
    const file = new File(name, fs.constants.O_RDWR);
    try {
      if (unlocked) return file;
      lock(file);
      // Another file may have taken the name in between: a lock on the old one
      // keeps nobody out.
      const [ours, named] = [fs.fstatSync(file.fd, { bigint: true }), fs.statSync(name, { bigint: true })];
      if (ours.dev === named.dev && ours.ino === named.ino) return file;
    } catch (error) {
      file.close();
      throw error;
    }
    file.close();
  }
}

function nameOf(name) {
  if (typeof name === 'string') return name;
  if (name instanceof URL) return fileURLToPath(name);
  throw new TypeError('name must be a string or a file URL');
}

/**
 * Makes a page file and locks it: after a crash there is all of it, or none. It is
 * of format 1, or of format 0, which `mappedpages` 0.2 reads, too.
 */
export async function create(name, options = {}) {
  const { unlocked = false, ...others } = options;
  const file = nameOf(name);
  flags({ unlocked }, {});
  const wanted = fileOptions(others);
  const instance = await component.instance();
  const exists = () =>
    Object.assign(new Error(`EEXIST: file already exists, '${file}'`), { code: 'EEXIST', path: file });
  if (fs.lstatSync(file, { throwIfNoEntry: false })) throw exists();
  const temporary = `${file}.new-${randomBytes(8).toString('hex')}`;
  const { O_RDWR, O_CREAT, O_EXCL } = fs.constants;
  try {
    const made = new File(file, O_RDWR | O_CREAT | O_EXCL, temporary);
    try {
      if (!unlocked) lock(made);
      const open = instance.create(made, wanted);
      try {
        fs.linkSync(temporary, file);
      } catch (error) {
        throw error.code === 'EEXIST' ? exists() : error;
      }
      const folder = fs.openSync(path.dirname(path.resolve(file)), 'r');
      try {
        fs.fsyncSync(folder);
      } finally {
        fs.closeSync(folder);
      }
      return open;
    } catch (error) {
      made.close();
      throw error;
    }
  } finally {
    fs.rmSync(temporary, { force: true });
  }
}

/**
 * Opens a page file to change it, and locks it; with `readOnly`, only to read it,
 * without a lock. Its page size and its format are found in it. `unlocked` changes a
 * file without a lock, where there is none to be had: nobody else may write it meanwhile.
 */
export async function open(name, { readOnly = false, unlocked = false, ...unknown } = {}) {
  const file = nameOf(name);
  flags({ readOnly, unlocked }, unknown);
  const instance = await component.instance();
  return instance.open(opened(file, readOnly, unlocked), readOnly);
}

/** Looks at what is in a page file, be it damaged, without a lock. */
export async function inspect(name) {
  const file = nameOf(name);
  const instance = await component.instance();
  return instance.inspect(opened(file, true));
}
