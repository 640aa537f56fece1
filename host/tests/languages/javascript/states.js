// What a JavaScript host makes of each case in a list of committed states: the same
// in Node and in the browser. The steps are those of `states.py`.

const encode = (text) => new TextEncoder().encode(text);
const begin = (view) => new TextDecoder().decode(view.read(0, 5));
const listed = (entries) => Array.from(entries).join(' ') || 'none';

/**
 * The list anew. A host makes a file anew with `create`, opens it with `open` and
 * `openToRead`, lets it go as a process that was killed does with `forget`, and does
 * no sync after `fails(true)`.
 */
export async function outcomes(list, host) {
  const lines = [];
  for (const line of list.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const steps = line.slice(0, line.lastIndexOf(':'));
    lines.push(`${steps}: ${await outcome(steps, host)}`);
  }
  return lines.join('\n');
}

async function outcome(steps, host) {
  const test = { host, file: await host.create() };
  test.file.commit((tx) => {
    tx.allocProtected(2);
    tx.stage(0).write(0, encode('first'));
  });
  test.file.createSnapshot('monday');
  const before = steps.split(', ');
  const last = before.pop();
  try {
    for (const step of before) {
      const result = await happens(test, step.replace('!', ''));
      if ((result !== 'done') !== step.startsWith('!')) throw new Error(`${steps}: ${step}: ${result}`);
    }
    return await happens(test, last);
  } finally {
    host.fails(false);
    test.file.close();
  }
}

async function happens(test, step) {
  try {
    return (await done(test, step)) ?? 'done';
  } catch (error) {
    if (error instanceof RangeError) return 'out-of-bounds';
    if (error.tag === undefined) throw error;
    return error.tag;
  }
}

const STOP = new Error('rolled back');

async function done(test, step) {
  const { file, host } = test;
  const [verb, name, other] = step.split(' ');
  const change = (options) => file.commit((tx) => tx.stage(0).write(0, encode(name)), options);
  switch (step) {
    case 'write page':
      return test.view.write(0, encode('scribble'));
    case 'take page':
      return file.commit((tx) => {
        tx.claimProtected([0]);
        tx.stage(0).write(0, encode('taken'));
      });
    case 'close file':
      return file.close();
    case 'close state':
      return test.state.close();
    case 'open to read':
      file.close();
      test.file = await host.openToRead();
      return;
    case 'read page':
      return begin(test.view);
    case 'read past page':
      return void test.view.read(1020, 5);
    case 'read state':
      return begin(test.state.viewProtected(0));
    case 'read missing':
      return void test.state.viewProtected(77n);
    case 'list state':
      return listed(test.state.protectedPages());
    case 'read file':
      return begin(file.viewProtected(0));
    case 'list file':
      return listed(file.protectedPages());
  }
  switch (verb) {
    case 'write':
      return change();
    case 'defer':
      return change({ deferred: true });
    case 'sync':
      return file.sync();
    case 'free':
      return file.freeProtected(0);
    case 'stage':
      return staged(file);
    case 'fail':
      return host.fails(true);
    case 'open':
      test.file = await host.open();
      return;
    case 'forget':
      await host.forget(file);
      test.file = await host.open();
      return;
    case 'state':
      test.state = file.committedState();
      return;
    case 'page':
      test.view = test.state.viewProtected(0);
      return;
    case 'snapshot':
      test.state = file.snapshot(name);
      return;
    case 'names':
      return listed(file.snapshots().map((snapshot) => snapshot.name));
    case 'create':
      return void file.createSnapshot(name);
    case 'delete':
      return void file.deleteSnapshot(name);
    case 'restore':
      return void file.restoreSnapshot(name);
    case 'grow':
      return grow(file);
    case 'keep':
      return grow(file, name);
    case 'compact':
      return void file.compact();
    case 'obstacle':
      return shortened(file);
    case 'alone':
      return file.snapshotPages(name) > 0n ? 'some' : 'none';
    case 'changes':
      return listed(Array.from(file.changes(name, other), ({ page, change }) => `${page} ${change}`));
    default:
      throw new Error(step);
  }
}

/** The file becomes longer than what it holds; a snapshot keeps a page at its end. */
function grow(file, name) {
  const pages = file.commit((tx) => {
    const made = tx.allocProtected(100);
    for (const page of made) tx.stage(page).write(0, encode('x'));
    return made;
  });
  const last = pages.pop();
  file.commit((tx) => tx.freeProtected(pages));
  if (name !== undefined) file.createSnapshot(name);
  file.freeProtected(last);
}

/** What a compaction comes to. */
function shortened(file) {
  const before = file.stats().pageCount;
  const { pageCount, obstacle } = file.compact();
  if (pageCount !== file.stats().pageCount) throw new Error('it has another length');
  const length = pageCount < before ? 'shorter' : 'as long';
  return `${length} ${obstacle?.kind ?? 'none'} ${obstacle?.name ?? ''}`.trim();
}

/** What a page that is staged begins with. */
function staged(file) {
  let found;
  try {
    file.commit((tx) => {
      found = begin(tx.stage(0));
      throw STOP;
    });
  } catch (error) {
    if (error !== STOP) throw error;
  }
  return found;
}
