// A file of the browser's private file system (OPFS), as the store wants it. Its
// handle is exclusive: nobody else has the file open meanwhile, in any tab.

export class Opfs {
  #handle;

  /** `name` is what errors name. */
  constructor(handle, name) {
    this.#handle = handle;
    this.name = name;
  }

  close() {
    this.#handle.close();
  }

  size() {
    return this.#handle.getSize();
  }

  read(bytes, at) {
    if (this.#handle.read(bytes, { at }) !== bytes.length) throw new Error('the file ends early');
  }

  write(buffers, at) {
    for (const bytes of buffers) {
      if (this.#handle.write(bytes, { at }) !== bytes.length) throw new Error('a short write');
      at += bytes.length;
    }
  }

  grow(size) {
    this.#handle.truncate(size);
    this.sync();
  }

  truncate(size) {
    this.#handle.truncate(size);
  }

  sync() {
    this.#handle.flush();
  }
}
