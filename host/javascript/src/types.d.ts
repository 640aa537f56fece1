// What Node and the browser have in common.

/// <reference lib="esnext.disposable" />

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
 * commit changes the file, a staged page with its transaction, and one of a state
 * with that: used after that, it throws a `PagerError`, tag `ended`.
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

/**
 * The protected pages of a committed state, to be read while commits go on, also when
 * a later one failed and the file can be changed no more. It keeps pages that commits
 * have freed until it is closed, or its file is: after that calls are errors, tag
 * `closed`. Regular pages are changed in place: no state has them.
 *
 * (A *view* is another thing: the bytes of one page, until the next commit.)
 */
export interface State extends Disposable {
  /** The generation that it reads. */
  readonly generation: bigint;
  /** A protected page, verified, to read: a copy, which commits do not end. */
  viewProtected(id: Id): PageView;
  /** The ids of its protected pages, in ascending order. */
  protectedPages(): Generator<bigint, void, undefined>;
  /** Lets its pages be used again. Closing it again does nothing. */
  close(): void;
}

/** A committed state that has a name, and stays until it is deleted. */
export interface Snapshot {
  readonly name: string;
  /** The generation that was committed when it was made. */
  readonly generation: bigint;
  /** When that was, in nanoseconds since 1970. */
  readonly time: bigint;
}

/** A protected page whose bytes are others in one state than in another. */
export interface ChangedPage {
  readonly page: bigint;
  readonly change: 'added' | 'removed' | 'changed';
}

/**
 * What stands in the way of a shorter file: what it holds (`contents`); a regular page,
 * whose number is its id, so that it is not moved; a page of a snapshot, by its name where
 * that was found out; or a state that was not closed, of this generation or a younger one.
 */
export type Obstacle =
  | { readonly kind: 'contents' }
  | { readonly kind: 'regular'; readonly page: bigint }
  | { readonly kind: 'snapshot'; readonly page: bigint; readonly name: string | undefined }
  | { readonly kind: 'view'; readonly generation: bigint };

/** What a compaction came to. */
export interface Compacted {
  /** Pages that were moved. */
  readonly moved: bigint;
  /** Pages that the file has now. */
  readonly pageCount: bigint;
  /** What stands in the way of a shorter file; undefined: it is as short as was asked. */
  readonly obstacle: Obstacle | undefined;
}

/** What nothing waits for: a promise is refused. */
export type Synchronous<T> = T extends PromiseLike<unknown> ? never : T;

/** An open page file. */
export interface PageFile extends Disposable {
  stats(): Stats;
  /** A regular page, to read and to write; durable after `sync`. */
  view(id: Id): PageView;
  /**
   * A protected page, verified, to read. Of a file that was opened to read it is a copy:
   * somebody else may commit meanwhile, and then what is not found any more is an error,
   * tag `changed`.
   */
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
  /**
   * The numbers of allocated regular pages, in ascending order. A commit meanwhile
   * shows in what is still to come.
   */
  regularPages(): Generator<bigint, void, undefined>;
  /** The ids of protected pages, likewise. */
  protectedPages(): Generator<bigint, void, undefined>;
  /**
   * Whether what was found at opening still counts. A file that was opened to read
   * does not see what others commit: open it again for that.
   */
  isCurrent(): boolean;
  /**
   * The protected pages as they are committed now, deferred commits among them. Of a
   * file of format 1 that was opened to change it.
   */
  committedState(): State;
  /**
   * The protected pages as they were when a snapshot was made, also when it is deleted
   * here. A file that was opened to read cannot keep what somebody else deletes: then
   * what is not found any more is an error, tag `changed`.
   */
  snapshot(name: string): State;
  /** The snapshots, oldest first. A file of format 0 has none. */
  snapshots(): Snapshot[];
  /**
   * Gives the protected pages, as they are committed now, a name of 1 to 64 bytes under
   * which they stay, whatever is committed later: one commit, durable when it returns,
   * with all that was deferred. Nothing is copied. Of format 1.
   *
   * Throws a `PagerError`, tag `is-snapshot`, if there is one of this name, and
   * `snapshot-name` if none can have it.
   */
  createSnapshot(name: string): Snapshot;
  /**
   * Deletes a snapshot, durably. Gives the number of pages that this frees: what is read
   * of it still stays until that is closed. Throws a `PagerError`, tag `no-snapshot`, if
   * there is none of this name; so does whatever takes a name, but for `createSnapshot`.
   */
  deleteSnapshot(name: string): bigint;
  /**
   * Gives every protected page the bytes that it had in a snapshot, and frees those that
   * there were not: one durable commit. Gives the number of protected pages that change.
   * Snapshots stay, newer ones too, and so do regular pages.
   */
  restoreSnapshot(name: string): bigint;
  /**
   * Makes the file as short as `pageCount` pages, or as short as can be unless given: moves
   * protected pages, which keep their ids, to free places further down, in small durable
   * commits, and gives the end of the file back. Whatever happens, nothing is lost. Regular
   * pages and those of snapshots are not moved, and a state that is not closed keeps the
   * whole end. Transactions that are open cannot be committed any more. Of format 1.
   */
  compact(pageCount?: Id): Compacted;
  /** The number of pages that a snapshot has alone, which deleting it frees. */
  snapshotPages(name: string): bigint;
  /**
   * The protected pages whose bytes are others in one snapshot than in another, in
   * ascending order. In place of a name that is undefined: the committed state. What both
   * have in common is not read.
   */
  changes(before?: string, after?: string): Generator<ChangedPage, void, undefined>;
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

/** What a new file is to be. */
export interface NewFile {
  /** A power of two, 1024 to 1048576 bytes. 4096 unless said. */
  pageSize?: number;
  /** Pages of the file at first: 4 unless said, or the few more that it has at least. */
  pageCount?: Id;
  /** 1 unless said; 0 is that of `mappedpages` 0.2. */
  format?: 0 | 1;
}

/**
 * A look at a page file, be it damaged, as it was when the look began. It changes
 * nothing. Figures that are undefined: the bytes of a damaged file do not say them.
 */
export interface Inspection extends Disposable {
  summary(): Summary;
  /** The kinds that pages can be of, and how many there are of each. */
  pageKinds(): PageKind[];
  /** The codes of the kinds of `count` pages from `first` on, or as many as there are. */
  kinds(first: Id, count: number): Uint8Array;
  /** Closes the file. Closing it again does nothing. */
  close(): void;
}

export interface Summary {
  readonly format: string;
  readonly capabilities: readonly string[];
  /** In bytes. */
  readonly pageSize: number;
  readonly pageCount: bigint | undefined;
  /** Whole pages that the file has, and bytes after them. */
  readonly filePages: bigint;
  readonly tail: number;
  readonly freePages: bigint | undefined;
  readonly regularPages: bigint | undefined;
  readonly protectedPages: bigint | undefined;
  readonly internalPages: bigint | undefined;
  readonly generation: bigint | undefined;
  readonly snapshots: bigint | undefined;
  /** What opening it would come to: in a word, and in a sentence. */
  readonly recovery: { readonly verdict: string; readonly explanation: string };
}

/** What a page can be. */
export interface PageKind {
  readonly code: number;
  readonly name: string;
  /** In maps. */
  readonly letter: string;
  readonly description: string;
  readonly count: bigint;
}
