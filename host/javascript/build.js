// Makes what is in the package and not in the repository, of `pager.wasm`: `npm run build`.

import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const here = (name) => new URL(name, import.meta.url);
const glue = here('pager/pager.js');

rmSync(here('pager'), { recursive: true, force: true });
execFileSync(
  'jco',
  ['transpile', 'pager.wasm', '--name', 'pager', '--instantiation', 'async', '--no-nodejs-compat', '-o', 'pager'],
  { cwd: here('.'), stdio: ['ignore', 'ignore', 'inherit'] },
);
// The types of the package are its own.
for (const name of ['pager/pager.d.ts', 'pager/interfaces']) rmSync(here(name), { recursive: true });

// Each call of jco's glue, and each value that it carries, asks an environment variable
// whether to log it. That is never wanted here, and takes more time than what is asked
// of the component.
const LOG = /const _debugLog = \(\.\.\.args\) => \{\s*if \(!globalThis\?\.process\?\.env\?\.JCO_DEBUG\) \{ return; \}\s*console\.debug\(\.\.\.args\);\s*\};/g;
const made = readFileSync(glue, 'utf8');
if (made.match(LOG)?.length !== 1) throw new Error('jco logs in another way: see build.js');
writeFileSync(glue, made.replace(LOG, 'const _debugLog = () => {};'));

// hash-wasm's module with this one hash in it, which is no module of JavaScript's.
const { resolve } = createRequire(import.meta.url);
const hash = readFileSync(resolve('hash-wasm/dist/xxhash128.umd.min.js'), 'utf8');
const license = readFileSync(resolve('hash-wasm/package.json').replace('package.json', 'LICENSE'), 'utf8');
const module = [
  `/*\n${license.trim()}\n*/`,
  'const exports = {}, module = { exports };',
  hash.trim(),
  'export const { createXXHash128 } = exports;\n',
];
writeFileSync(here('pager/xxhash128.js'), module.join('\n'));
await import('./pager/xxhash128.js').then(({ createXXHash128 }) => createXXHash128());

// They are beside this file, or where the repository begins.
for (const name of ['LICENSE-APACHE', 'LICENSE-MIT']) {
  if (!existsSync(here(name))) copyFileSync(here(`../../${name}`), here(name));
}
