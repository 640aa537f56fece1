// Uses all that the declarations of the package have in Node: it compiles with
// `--strict`, and what it says of the values is so. `node types.mjs FOLDER`.

import * as pagebox from 'pagebox';
import type { ChangedPage, Checksum, Compacted, Inspection, Obstacle, PageFile, PageView, Snapshot, State, Stats, Summary } from 'pagebox';

declare const process: { argv: string[] };

function assert(value: boolean, what: string): void {
  if (!value) throw new Error(what);
}

const name: string = `${process.argv[2]}/types.pages`;
const file = await pagebox.create(name, { pageSize: 1024, pageCount: 8n, unlocked: false });
const ids = file.commit((tx) => {
  const pages: bigint[] = tx.alloc(2);
  const made: bigint[] = tx.allocProtected(2);
  const staged: PageView = tx.stage(made[0]!);
  staged.write(0, new TextEncoder().encode('hello'));
  return { pages, made };
});
file.commit((tx) => {
  tx.free([Number(ids.pages[1])]);
  tx.freeProtected(new BigUint64Array([ids.made[1]!]));
});
file.commit((tx) => tx.claimProtected([7, 9n]));
const [page, made]: [bigint, bigint] = [file.alloc(), file.allocProtected()];
file.free(page);
file.freeProtected(Number(made));
// @ts-expect-error: nothing waits for what it returns.
try { file.commit(async () => 1); } catch (error) { assert(error instanceof TypeError, 'it is refused'); }
// @ts-expect-error: text is no bytes.
try { file.view(ids.pages[0]!).write(0, 'text'); } catch (error) { assert(error instanceof TypeError, 'it is refused'); }

const stats: Stats = file.stats();
assert(stats.pageSize === 1024, 'bytes are a number');
for (const figure of [
  stats.pageCount, stats.pageLimit, stats.freePages, stats.regularPages, stats.protectedPages,
  stats.protectedCapacity, stats.protectedLimit, stats.internalPages, stats.generation,
  stats.heldPages,
]) {
  assert(typeof figure === 'bigint', 'pages are BigInts');
}
assert(Object.keys(stats).length === 16, 'they are all declared');
assert(stats.uuid?.length === 2, 'a file of format 1 has a number');
assert(stats.oldestView === undefined, 'no view is open');
file.commit((tx) => tx.stage(ids.made[0]!).write(0, new TextEncoder().encode('hello')), { deferred: true });
const view: PageView = file.viewProtected(0);
const bytes: Uint8Array = view.read(0, 5);
assert(bytes.length === 5 && view.size === 1024 && view.read().length === 1024, 'as long as asked for');
const sum: Checksum = view.checksum();
assert(typeof sum.low === 'bigint' && sum.high === 0n && sum.algorithm === 'crc32', 'a checksum is a number');
assert(view.checksum(stats.algorithm).high > 0n, 'of any algorithm');
assert(stats.format === '1.0' && stats.algorithm === 'xxh3', 'it is of format 1');
const monday: Snapshot = file.createSnapshot('monday');
assert(typeof monday.time === 'bigint' && monday.name === 'monday', 'a snapshot says when it was made');
const state: State = file.committedState();
file.commit((tx) => tx.freeProtected(ids.made.slice(0, 1)));
const copy: PageView = state.viewProtected(ids.made[0]!);
assert(copy.read(0, 5)[0] === 104 && state.generation === monday.generation, 'a state stays');
const listed: bigint[] = [...state.protectedPages()];
assert(listed.length === 3 && [...file.protectedPages()].length === 2, 'and its list');
const numbers: bigint[] = [...file.regularPages()];
assert(numbers.length === 1, 'those that are allocated');
state.close();
const changes: ChangedPage[] = [...file.changes('monday'), ...file.changes(undefined, 'monday')];
assert(changes.map(({ change }) => change).join() === 'removed,added', 'both ways');
// @ts-expect-error: a name is a text.
try { file.snapshot(7); } catch (error) { assert(error instanceof TypeError, 'it is refused'); }
const changed: bigint = file.restoreSnapshot('monday');
const alone: bigint = file.snapshotPages('monday');
const freed: bigint = file.deleteSnapshot('monday');
assert(changed === 1n && alone > 0n && freed >= alone, 'pages are BigInts');
const shorter: Compacted = file.compact();
assert(shorter.pageCount === file.stats().pageCount && shorter.moved >= 0n, 'as it says');
const way: Obstacle | undefined = file.compact(1n << 40n).obstacle;
assert(way === undefined || way.kind !== 'regular' || way.page > 0n, 'nothing to be done');
const current: boolean = file.isCurrent();
const snapshots: Snapshot[] = file.snapshots();
assert(current && snapshots.length === 0, 'it is deleted');
file.sync();
file.close();
const again = await pagebox.open(new URL(`file://${name}`), { readOnly: true, unlocked: false });
try {
  again.view(1000000n);
} catch (error) {
  assert(error instanceof pagebox.PagerError && error.tag === 'out-of-range', `${error}`);
}
again.close();
let disposed: PageFile;
{
  using kept = await pagebox.open(name);
  using state: State = kept.committedState();
  assert(state.generation > 0n, 'it is open');
  disposed = kept;
}
try {
  disposed.stats();
  assert(false, 'it is closed at the end of its block');
} catch (error) {
  assert(error instanceof pagebox.PagerError && error.tag === 'closed', `${error}`);
}
const looked: Inspection = await pagebox.inspect(name);
const summary: Summary = looked.summary();
assert(summary.pageSize === 1024 && summary.tail === 0, 'bytes are a number');
for (const figure of [
  summary.pageCount, summary.filePages, summary.freePages, summary.regularPages,
  summary.protectedPages, summary.internalPages, summary.generation, summary.snapshots,
]) {
  assert(typeof figure === 'bigint', 'pages are BigInts');
}
assert(summary.recovery.verdict === 'clean' && summary.format === '1.0', 'it is sound');
const codes: Uint8Array = looked.kinds(0, 4);
assert(codes instanceof Uint8Array && codes.length === 4, 'a code a page');
const [kind] = looked.pageKinds();
assert(typeof kind!.code === 'number' && typeof kind!.count === 'bigint' && kind!.letter.length === 1, 'a kind');
looked[Symbol.dispose]();
const zero = await pagebox.create(`${name}.0`, { format: 0 });
const figures: Stats = zero.stats();
assert(figures.format === '0.2' && figures.algorithm === 'crc32', 'it is of format 0');
assert(figures.capabilities.length === 0, 'it has what every file has');
zero.close();
console.log('all is as declared');
