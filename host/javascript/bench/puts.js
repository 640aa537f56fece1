// How fast small records are put, beside better-sqlite3: one a commit, and 100 a
// commit. All take turns in one run, since what a machine does meanwhile changes more
// than what is measured; what counts is the ratio of a round, and of these the median.
//
//     npm run build && npm install --no-save better-sqlite3
//     node bench/puts.js
//
// More hosts to take turns with, of another version, are arguments: `old=PATH/node.js`.
// `BENCH_FOLDER` says where the files are: on a disk, or in memory without syncs.

import * as fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import Database from 'better-sqlite3';

const RECORDS = 1000;
const ROUNDS = 15;
/** Puts of a commit, and commits of a round. */
const LOADS = [[1, 200], [100, 20]];

/** A record on a protected page of its own. */
async function pagebox(module, name) {
  const { create } = await import(module);
  const file = await create(name);
  const pages = file.commit((tx) => tx.allocProtected(RECORDS));
  return {
    commit: (puts) =>
      file.commit((tx) => {
        for (const [key, record] of puts) tx.stage(pages[key]).write(0, record);
      }),
    get: (key) => file.viewProtected(pages[key]).read(0, 100),
    close: () => file.close(),
  };
}

/** As durable: a sync at each commit. */
function sqlite(name) {
  const database = new Database(name);
  database.pragma('journal_mode = WAL');
  database.pragma('synchronous = FULL');
  database.exec('CREATE TABLE records (key INTEGER PRIMARY KEY, record BLOB)');
  const put = database.prepare(
    'INSERT INTO records VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET record = excluded.record',
  );
  const get = database.prepare('SELECT record FROM records WHERE key = ?').pluck();
  return {
    commit: database.transaction((puts) => {
      for (const [key, record] of puts) put.run(key, record);
    }),
    get: (key) => get.get(key),
    close: () => database.close(),
  };
}

const folder = fs.mkdtempSync(path.join(process.env.BENCH_FOLDER ?? os.tmpdir(), 'puts-'));
const modules = { pagebox: new URL('../src/node.js', import.meta.url).href };
for (const argument of process.argv.slice(2)) {
  const [name, file] = argument.split('=');
  modules[name] = path.resolve(file);
}
const stores = { 'better-sqlite3': sqlite(path.join(folder, 'sqlite.db')) };
for (const [name, module] of Object.entries(modules)) {
  stores[name] = await pagebox(module, path.join(folder, `${name}.pages`));
}
const names = Object.keys(stores);

/** What is put, the same in each. */
function drawn(count) {
  const record = () => crypto.getRandomValues(new Uint8Array(100));
  return Array.from({ length: count }, () => [Math.floor(Math.random() * RECORDS), record()]);
}

const median = (list) => list.toSorted((one, other) => one - other)[Math.floor(list.length / 2)];
const last = new Map();
const all = Array.from({ length: RECORDS }, (_, key) => [key, new Uint8Array(100)]);
for (const name of names) stores[name].commit(all);

for (const [size, commits] of LOADS) {
  const rates = Object.fromEntries(names.map((name) => [name, []]));
  // The first round counts for nothing: code is compiled as it runs.
  for (let round = 0; round <= ROUNDS; round += 1) {
    const work = Array.from({ length: commits }, () => drawn(size));
    for (const puts of work) for (const [key, record] of puts) last.set(key, record);
    for (let turn = 0; turn < names.length; turn += 1) {
      const name = names[(round + turn) % names.length];
      const begin = performance.now();
      for (const puts of work) stores[name].commit(puts);
      const seconds = (performance.now() - begin) / 1000;
      if (round > 0) rates[name].push((size * commits) / seconds);
    }
  }
  const base = rates['better-sqlite3'];
  for (const name of names) {
    const ratio = median(rates[name].map((rate, round) => rate / base[round]));
    console.log(`${size} a commit, ${name}: ${Math.round(median(rates[name]))} puts/s, ${ratio.toFixed(3)} of better-sqlite3`);
  }
}

// A bench of what is wrong would say nothing.
for (const name of names) {
  for (const [key, record] of last) {
    if (Buffer.compare(stores[name].get(key), record) !== 0) throw new Error(`${name}: record ${key} is another one`);
  }
  stores[name].close();
}
fs.rmSync(folder, { recursive: true });
