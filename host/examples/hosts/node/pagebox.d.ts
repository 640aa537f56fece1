// The types of `pagebox.js`.

/** A page, or an id of a protected one: integers will do as arguments. */
export type Id = bigint | number;

/** Why an operation was not done, in a sentence. */
export class PagerError extends Error {
  constructor(text: string, tag: string, options?: ErrorOptions);
  /**
   * The case of the WIT's `error` (`not-allocated`), or one of the host's own:
   * `closed`, `ended` (a view or a transaction), `read-only`, `locked`,
   * `unlockable`, `out-of-bounds` (somebody made the file shorter), `store` (the
   * file failed), `sandbox` (the component failed: close the file and open it
   * again).
   */
  readonly tag: string;
}

/**
 * The bytes of a page. A view ends with its file, a view of a page also when a
 * commit changes the file, and a staged page with its transaction: used after
 * that, it throws a `PagerError`, tag `ended`.
 */
export interface PageView {
  /** Bytes in the page. */
  readonly size: number;
  /** A copy of `len` bytes from `offset`: of all to the end, unless said. */
  read(offset?: number, len?: number): Uint8Array<ArrayBuffer>;
  /** Replaces bytes from `offset`. */
  write(offset: number, bytes: Uint8Array): void;
  /** The checksum of the page: CRC-32 unless said. */
  checksum(algorithm?: Algorithm): Checksum;
}

/** A checksum: bits 0 to 63, and those above them. */
export interface Checksum {
  readonly algorithm: Algorithm;
  readonly low: bigint;
  readonly high: bigint;
}

export type Algorithm = 'crc32' | 'xxh3';

/**
 * Figures of a page file, in pages unless said otherwise. Undefined: the file is
 * damaged, and does not say.
 */
export interface Stats {
  /** `0.2` of format 0, `1.0` of format 1. */
  readonly format: string;
  /** What can be done with the file besides what every format can. */
  readonly capabilities: readonly string[];
  /** No other file has it; undefined: nor does the format. */
  readonly uuid: readonly [bigint, bigint] | undefined;
  /** Of the checksums of protected pages: `crc32` in format 0, `xxh3` in format 1. */
  readonly algorithm: Algorithm;
  /** In bytes. */
  readonly pageSize: number;
  readonly pageCount: bigint | undefined;
  readonly pageLimit: bigint;
  readonly freePages: bigint | undefined;
  readonly regularPages: bigint | undefined;
  readonly protectedPages: bigint | undefined;
  readonly protectedCapacity: bigint | undefined;
  readonly protectedLimit: bigint;
  readonly internalPages: bigint | undefined;
  readonly generation: bigint | undefined;
  /** Pages that were freed and are still read, by views or by the durable state. */
  readonly heldPages: bigint;
  /** The oldest generation that a view reads. */
  readonly oldestView: bigint | undefined;
}

/** Pending changes, until `commit` returns. */
export interface Transaction {
  /** Allocates regular pages, which read as zeros once committed. */
  alloc(count: number): bigint[];
  free(ids: readonly Id[] | BigUint64Array): void;
  /** Allocates protected pages, which read as zeros once committed. */
  allocProtected(count: number): bigint[];
  /** Allocates protected pages under ids of the caller's choice. */
  claimProtected(ids: readonly Id[] | BigUint64Array): void;
  freeProtected(ids: readonly Id[] | BigUint64Array): void;
  /** A protected page to be changed; it starts as its current bytes. */
  stage(id: Id): PageView;
}

/** What nothing waits for: a promise is refused. */
export type Synchronous<T> = T extends PromiseLike<unknown> ? never : T;

/** An open page file. */
export interface PageFile extends Disposable {
  stats(): Stats;
  /** A regular page, to read and to write; durable after `sync`. */
  view(id: Id): PageView;
  /** A protected page, verified, to read. */
  viewProtected(id: Id): PageView;
  /** Makes durable what was written to regular pages, and what was deferred. */
  sync(): void;
  /** Allocates a regular page, which reads as zeros, and commits that. */
  alloc(): bigint;
  /** Frees a regular page, and commits that. */
  free(id: Id): void;
  /** Allocates a protected page, which reads as zeros, and commits that. */
  allocProtected(): bigint;
  /** Frees a protected page, and commits that. */
  freeProtected(id: Id): void;
  /** Commits what `change` does: all of it or, if it throws, none. */
  commit<T>(change: (tx: Transaction) => Synchronous<T>, options?: CommitOptions): T;
  /** Makes durable what was deferred, and closes the file. Closing it again does nothing. */
  close(): void;
}

export interface CommitOptions {
  /**
   * Syncs nothing: durable with the next commit that is not deferred, with `sync`, or
   * at `close`. A crash before that undoes it. Of format 1.
   */
  deferred?: boolean;
}

export interface CreateOptions {
  /** A power of two, 1024 to 1048576 bytes. 4096 unless said. */
  pageSize?: number;
  /** Pages of the file at first: 4 unless said, or the few more that it has at least. */
  pageCount?: Id;
  /** 1 unless said; 0 is that of `mappedpages` 0.2. */
  format?: 0 | 1;
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
